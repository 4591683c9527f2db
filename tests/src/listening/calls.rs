//! One call to an endpoint that says no, nothing, half of it, too much, or something else.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sapari_services::{ClipCall, ModelError, Question};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::processes::support::within;

const LENGTH: Duration = Duration::from_secs(10);

fn sound(place: &Scratch) -> PathBuf {
    let path = place.path("a.wav").expect("a name");
    std::fs::write(&path, b"RIFF....WAVE").expect("writable");
    path
}

async fn transcribe(says: Says, cancel: &CancellationToken) -> (Result<usize, ModelError>, Models) {
    let place = Scratch::new(&std::env::temp_dir(), "sapari-calls").expect("writable");
    let models = Models::start([says], []).await;
    let call = ClipCall {
        clip_file_uuid: Uuid::nil(),
        cancel,
    };
    let heard = transcribed(&models, call, &sound(&place)).await;
    (heard, models)
}

async fn transcribed(
    models: &Models,
    call: ClipCall<'_>,
    sound: &Path,
) -> Result<usize, ModelError> {
    let whisper = whisper(models);
    let heard = within("an answer", whisper.transcribe(call, sound, LENGTH)).await?;
    Ok(heard.words.len())
}

#[tokio::test]
async fn sound_goes_out_as_a_form_and_words_come_back() {
    let (heard, models) = transcribe(heard(), &CancellationToken::new()).await;
    assert_eq!(heard.expect("words"), 14);
    let asked = models.asked("/audio/transcriptions");
    let [asked] = asked.as_slice() else {
        panic!("one call: {asked:?}")
    };
    assert_eq!(asked.authorization, format!("Bearer {KEY}"));
    for part in [
        "name=\"model\"\r\n\r\nwhisper-1\r\n",
        "name=\"response_format\"\r\n\r\nverbose_json\r\n",
        "name=\"timestamp_granularities[]\"\r\n\r\nword\r\n",
        "name=\"file\"; filename=\"audio.wav\"\r\nContent-Type: audio/wav\r\n\r\nRIFF....WAVE\r\n",
    ] {
        assert!(asked.body.contains(part), "{part} is not in {}", asked.body);
    }
}

#[tokio::test]
async fn every_no_is_either_lasting_or_not_and_repeats_nothing() {
    let table = [
        (
            Says::No(401, "", "invalid_api_key"),
            true,
            "refused the call with 401 (invalid_api_key)",
        ),
        (
            Says::No(400, "", "what you said"),
            true,
            "refused the call with 400:",
        ),
        (
            Says::No(429, "", "insufficient_quota"),
            true,
            "429 (insufficient_quota)",
        ),
        (
            Says::No(302, "location: http://127.0.0.1:9/\r\n", "moved"),
            true,
            "302",
        ),
        (
            Says::No(429, "retry-after: 7\r\n", "rate_limit_exceeded"),
            false,
            "is busy or broken, it answered 429",
        ),
        (
            Says::No(500, "", "server_error"),
            false,
            "500 (server_error)",
        ),
        (Says::No(503, "", ""), false, "503"),
        (Says::Half, false, "gave no answer"),
        (Says::Endless, false, "more than 16777216 bytes"),
        (
            Says::Text("<html>I want"),
            false,
            "no JSON, at line 1 column 1",
        ),
        (Says::Json(json!({ "text": "I want" })), false, "no `words`"),
        (
            Says::Json(json!({ "words": "I want" })),
            false,
            "JSON of another form",
        ),
    ];
    for (says, lasting, words) in table {
        let what = format!("{says:?}");
        let (heard, _models) = transcribe(says, &CancellationToken::new()).await;
        let error = heard.expect_err(&what);
        let said = error.to_string();
        assert!(said.contains(words), "{what}: {said}");
        assert_eq!(error.is_permanent(), lasting, "{what}: {said}");
        let seven = what.contains("retry-after").then(|| Duration::from_secs(7));
        assert_eq!(error.retry_after(), seven, "{what}");
        let all = format!("{said} {error:?}");
        assert!(!all.contains(KEY) && !all.contains("I want"), "{all}");
    }
}

#[tokio::test]
async fn sound_that_no_endpoint_takes_is_not_sent() {
    let models = Models::start([heard()], []).await;
    let place = Scratch::new(&std::env::temp_dir(), "sapari-calls").expect("writable");
    let sound = sound(&place);
    let file = std::fs::File::options().write(true).open(&sound);
    // Nothing is written: the file is a hole.
    let grown = file.and_then(|file| file.set_len(sapari_services::Whisper::MAX_SOUND + 1));
    grown.expect("writable");
    let call = ClipCall {
        clip_file_uuid: Uuid::nil(),
        cancel: &CancellationToken::new(),
    };
    let error = transcribed(&models, call, &sound)
        .await
        .expect_err("too large");
    assert!(error.is_permanent(), "{error}");
    assert!(
        error.to_string().contains("cut the clip into parts"),
        "{error}"
    );
    assert!(models.asked("/audio/transcriptions").is_empty());
}

#[tokio::test]
async fn a_call_that_nobody_answers_ends_with_its_task() {
    let cancel = CancellationToken::new();
    let models = Models::start([Says::Silence], []).await;
    let place = Scratch::new(&std::env::temp_dir(), "sapari-calls").expect("writable");
    let sound = sound(&place);
    let call = ClipCall {
        clip_file_uuid: Uuid::nil(),
        cancel: &cancel,
    };
    let stop = async {
        let mut looks = tokio::time::interval(Duration::from_millis(10));
        while models.asked("/audio/transcriptions").is_empty() {
            looks.tick().await;
        }
        cancel.cancel();
    };
    let (heard, ()) = tokio::join!(transcribed(&models, call, &sound), stop);
    assert!(matches!(heard, Err(ModelError::Cancelled)), "{heard:?}");
}

#[tokio::test]
async fn an_answer_that_is_cut_off_or_empty_is_no_answer() {
    let cancel = CancellationToken::new();
    let call = ClipCall {
        clip_file_uuid: Uuid::nil(),
        cancel: &cancel,
    };
    let question = Question {
        system: "be brief",
        user: "I want",
        most_tokens: 5,
    };
    let cut =
        json!({ "choices": [{ "message": { "content": "{\"cha" }, "finish_reason": "length" }] });
    let table = [
        (Says::Json(cut), "cut off"),
        (says(" "), "the answer is empty"),
        (Says::Json(json!({ "choices": [] })), "no choices"),
    ];
    for (says, words) in table {
        let models = Models::start([], [says]).await;
        let error = chat(&models).ask(call, question).await.err().expect(words);
        assert!(
            error.to_string().contains(words) && !error.is_permanent(),
            "{error}"
        );
        let asked = &models.asked("/chat/completions")[0];
        let body: Value = serde_json::from_str(&asked.body).expect("JSON");
        assert_eq!(body["messages"][1]["content"], "I want");
        assert_eq!(body["max_completion_tokens"], 5);
    }
}
