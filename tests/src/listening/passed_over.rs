//! Steps that cannot do their work, and what comes of the clip all the same.

use std::time::Duration;

use super::*;
use crate::processes::support::within;

/// Silences alone.
const KEPT: f64 = 16.5;

#[track_caller]
fn assert_silences_are_cut(analysed: &Analysed) -> &Analysis {
    let analysis = analysed.result.as_ref().expect("it has an output");
    assert!((analysis.kept_seconds - KEPT).abs() < 0.5, "{analysis:?}");
    let edits = analysed.edits.as_ref().expect("it was stored");
    assert_eq!(edits.keep.len(), 4, "{edits:?}");
    analysis
}

#[tokio::test]
async fn without_endpoints_silences_are_cut_and_the_spans_say_what_was_skipped() {
    let studio = Studio::new();
    let analysed = studio.analyse(studio.listener()).await;
    let analysis = assert_silences_are_cut(&analysed);
    assert!(
        analysis.failures.is_empty() && analysis.captions == 0,
        "{analysis:?}"
    );
    for line in [
        "step.transcribe  step.depends_on=load_audio step.attempt=1 step.outcome=skipped step.reason=no endpoint puts speech into words: set --whisper-url",
        "step.detect_false_starts  step.depends_on=transcribe step.attempt=0 step.outcome=skipped step.reason=it needs step `transcribe`, which was skipped",
        "step.censor_profanity  step.depends_on=transcribe,improve_transcript step.attempt=0 step.outcome=skipped step.reason=it needs step `transcribe`, which was skipped",
        "step.validate_edits  step.depends_on=detect_silences,detect_false_starts,censor_profanity step.attempt=1 step.outcome=done",
    ] {
        assert!(
            analysed.tree.contains(line),
            "{line}\nis not in\n{}",
            analysed.tree
        );
    }
}

#[tokio::test]
async fn without_a_chat_endpoint_words_are_used_as_they_were_heard() {
    let studio = Studio::new();
    let models = Models::start([heard()], []).await;
    let analysed = studio
        .analyse(studio.listener().with_whisper(whisper(&models)))
        .await;
    let reason = "step.split_transcript  step.depends_on=transcribe step.attempt=1 step.outcome=skipped step.reason=no endpoint corrects words: set --chat-url";
    assert!(analysed.tree.contains(reason), "{}", analysed.tree);
    let captions = analysed.edits.expect("stored").captions;
    let captions: Vec<&str> = captions
        .iter()
        .map(|caption| caption.text.as_str())
        .collect();
    assert_eq!(
        captions,
        ["so I want to show you sa pari", "oh s*** it works"]
    );
}

#[tokio::test]
async fn a_transcript_that_cannot_be_improved_is_used_as_it_was_heard() {
    let studio = Studio::new();
    let models = Models::start([heard()], [Says::No(401, "", "invalid_api_key")]).await;
    let analysed = studio.analyse(studio.listener_with(&models)).await;
    let analysis = analysed.result.as_ref().expect("it has an output");
    let [failure] = analysis.failures.as_slice() else {
        panic!("one failure: {analysis:?}")
    };
    assert_eq!(failure.step, "improve_transcript");
    assert!(
        failure
            .error
            .contains("refused the call with 401 (invalid_api_key)"),
        "{failure:?}"
    );
    assert_eq!(
        (analysis.false_starts, analysis.mutes, analysis.captions),
        (1, 1, 2)
    );
    assert_eq!(
        models.asked("/chat/completions").len(),
        1,
        "no retry can heal it"
    );
    for line in [
        "pipeline.outcome=done pipeline.failed_steps=improve_transcript",
        "step.improve_transcript  step.depends_on=split_transcript step.attempt=1 step.items=1 step.outcome=failed  \u{2717} Permanent",
    ] {
        let there = analysed.tree.contains(line)
            || analysed
                .tree
                .contains(&line.replace("Permanent", "ModelError"));
        assert!(there, "{line}\nis not in\n{}", analysed.tree);
    }
    let kept = analysed.edits.expect("stored").keep.len();
    assert_eq!(
        kept, 5,
        "four without silences, one of them without its false start"
    );
}

#[tokio::test]
async fn an_answer_that_is_of_no_use_is_paid_for_and_asked_for_again() {
    let studio = Studio::new();
    let bad = says("{\"changes\": [{\"from\": 90, \"to\": 91, \"text\": \"x\"}]}");
    let models = Models::start([heard()], [bad, says("Sure! Here you are."), corrected()]).await;
    let analysed = studio.analyse(studio.listener_with(&models)).await;
    let analysis = analysed.result.as_ref().expect("it has an output");
    assert!(analysis.failures.is_empty(), "{analysis:?}");
    assert_eq!(models.asked("/chat/completions").len(), 3);
    let improved =
        "step.attempt=3 step.index=0 step.outcome=done usage.calls=1 usage.input_tokens=300";
    assert!(analysed.tree.contains(improved), "{}", analysed.tree);
    // 26.48 s at $0.006 a minute, and three answers of 300 and 40 tokens.
    assert_eq!(analysis.spent_microcents, 2648 + 3 * (45 + 24));
}

#[tokio::test]
async fn a_busy_endpoint_is_asked_again_when_it_said_so() {
    let studio = Studio::new();
    let busy = [
        Says::No(429, "retry-after: 0.2\r\n", "rate_limit_exceeded"),
        Says::No(500, "", ""),
        Says::Half,
        heard(),
    ];
    let models = Models::start(busy, [corrected()]).await;
    let analysed = studio.analyse(studio.listener_with(&models)).await;
    assert_eq!(analysed.result.expect("it has an output").captions, 2);
    assert_eq!(models.asked("/audio/transcriptions").len(), 4);
    assert!(
        analysed.tree.contains(
            "step.transcribe  step.depends_on=load_audio step.attempt=4 step.outcome=done"
        ),
        "{}",
        analysed.tree
    );
}

#[tokio::test]
async fn a_busy_or_slow_chat_is_asked_again_too() {
    let studio = Studio::new();
    let first = [
        Says::No(429, "retry-after: 0.2\r\n", "rate_limit_exceeded"),
        Says::No(500, "", "server_error"),
        corrected(),
    ];
    let busy = Models::start([heard()], first).await;
    let slow = Models::start([heard()], [Says::Slowly, Says::Half, corrected()]).await;
    for models in [busy, slow] {
        let endpoint = Endpoint::open(&models.url(), Some(KEY)).expect("an endpoint");
        let chat = Chat::new(
            endpoint.patient_for(Duration::from_secs(1)),
            "gpt-4o-mini",
            (None, None),
        );
        let listener = studio.listener().with_whisper(whisper(&models));
        let analysed = studio.analyse(listener.with_chat(chat));
        // Less than a slow answer is waited for by itself.
        let analysed = within("an analysis", analysed).await;
        let analysis = analysed.result.expect("it has an output");
        assert!(analysis.failures.is_empty(), "{analysis:?}");
        assert_eq!(models.asked("/chat/completions").len(), 3);
        let improved = "step.attempt=3 step.index=0 step.outcome=done";
        assert!(analysed.tree.contains(improved), "{}", analysed.tree);
        let captions = analysed.edits.expect("stored").captions;
        assert_eq!(captions[0].text, "So I want to show you Sapari.");
    }
}

#[tokio::test]
async fn what_was_paid_for_is_not_paid_again_by_a_retry() {
    let mut studio = Studio::new();
    // There is no queue for the render, so that every attempt fails once the pipeline is done.
    studio.order.export_uuid = Some(Uuid::new_v4());
    let models = Models::start([heard()], [corrected()]).await;
    let analysed = studio.analyse(studio.listener_with(&models)).await;
    analysed.result.expect_err("there is no render");
    assert!(
        analysed.tree.contains("taskiq.attempt=3"),
        "{}",
        analysed.tree
    );
    assert_eq!(models.asked("/audio/transcriptions").len(), 1);
    assert_eq!(models.asked("/chat/completions").len(), 1);
    for step in ["detect_silences", "transcribe", "improve_transcript"] {
        let resumed = analysed.tree.lines().filter(|line| {
            line.contains(&format!("step.{step} ")) && line.contains("step.outcome=resumed")
        });
        assert_eq!(resumed.count(), 2, "{step}: {}", analysed.tree);
    }
    let again = analysed
        .tree
        .matches("step.load_audio  step.depends_on= step.attempt=1")
        .count();
    assert_eq!(again, 1, "nobody needs the sound again: {}", analysed.tree);
}

#[tokio::test]
async fn the_budget_is_held_before_the_call() {
    let studio = Studio::new();
    let models = Models::start([heard()], [corrected()]).await;
    let analysed = studio
        .analyse(studio.listener_with(&models).with_budget(2_000))
        .await;
    let error = analysed.result.expect_err("it costs more").to_string();
    assert!(
        error.contains("the pipeline may spend $0.002000"),
        "{error}"
    );
    assert!(models.asked("/audio/transcriptions").is_empty());
}

#[tokio::test]
async fn a_long_clip_goes_out_compressed() {
    let studio = Studio::with_a_long_clip();
    let models = Models::start([heard()], []).await;
    let analysed = studio
        .analyse(studio.listener().with_whisper(whisper(&models)))
        .await;
    let analysis = analysed.result.expect("it has an output");
    assert!(
        (analysis.source_seconds - 900.0).abs() < 1.0,
        "{analysis:?}"
    );
    let [asked] = &models.asked("/audio/transcriptions")[..] else {
        panic!("one call")
    };
    let file = "filename=\"audio.ogg\"\r\nContent-Type: audio/ogg\r\n\r\nOggS";
    assert!(asked.body.contains(file));
    let compressed = "│  ├─ ext.ffmpeg.compress_speech [client]";
    assert!(analysed.tree.contains(compressed), "{}", analysed.tree);
}
