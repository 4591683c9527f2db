//! One call to an endpoint that says no, nothing, half of it, too much, or something else.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sapari_services::{Answer, ClipCall, ModelError, Question};
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
    let models = Models::start([says.clone()], []).await;
    let call = ClipCall {
        clip_file_uuid: Uuid::nil(),
        cancel,
    };
    let heard = transcribed(endpoint(&models, &says), call, &sound(&place)).await;
    (heard, models)
}

async fn transcribed(
    endpoint: Endpoint,
    call: ClipCall<'_>,
    sound: &Path,
) -> Result<usize, ModelError> {
    let whisper = Whisper::new(endpoint, "whisper-1", None);
    let heard = within("an answer", whisper.transcribe(call, sound, LENGTH)).await?;
    Ok(heard.words.len())
}

async fn asked(endpoint: Endpoint) -> Result<Answer, ModelError> {
    let chat = Chat::new(endpoint, "gpt-4o-mini", (None, None));
    let call = ClipCall {
        clip_file_uuid: Uuid::nil(),
        cancel: &CancellationToken::new(),
    };
    let question = Question {
        system: "be brief",
        user: "I want",
        most_tokens: 5,
    };
    within("an answer", chat.ask(call, question)).await
}

/// Who never answers, or not to the end, is given up after a second.
fn endpoint(models: &Models, says: &Says) -> Endpoint {
    let endpoint = Endpoint::open(&models.url(), Some(KEY)).expect("an endpoint");
    match says {
        Says::Silence | Says::Slowly => endpoint.patient_for(Duration::from_secs(1)),
        _ => endpoint,
    }
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

/// What every endpoint does now and then, whether that lasts, and what is said of it.
fn faults() -> Vec<(Says, bool, &'static str)> {
    vec![
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
        (Says::Silence, false, "gave no answer: not within 1s"),
        (Says::Slowly, false, "gave no answer: not within 1s"),
        (
            Says::Text("<html>I want"),
            false,
            "no JSON, at line 1 column 1",
        ),
        (Says::Json(json!("I want")), false, "JSON of another form"),
    ]
}

/// Fails unless the error is said as expected, and repeats nothing that was sent.
#[track_caller]
fn assert_said(error: &ModelError, (says, lasting, words): &(Says, bool, &str)) {
    let (what, said) = (format!("{says:?}"), error.to_string());
    assert!(said.contains(words), "{what}: {said}");
    assert_eq!(error.is_permanent(), *lasting, "{what}: {said}");
    let seven = what.contains("retry-after").then(|| Duration::from_secs(7));
    assert_eq!(error.retry_after(), seven, "{what}");
    let all = format!("{said} {error:?}");
    assert!(!all.contains(KEY) && !all.contains("I want"), "{all}");
}

#[tokio::test]
async fn every_no_to_sound_is_either_lasting_or_not_and_repeats_nothing() {
    let own = [
        (Says::Endless, false, "more than 16777216 bytes"),
        (Says::Json(json!({ "text": "I want" })), false, "no `words`"),
        (
            Says::Json(json!({ "words": "I want" })),
            false,
            "JSON of another form",
        ),
    ];
    for fault in faults().into_iter().chain(own) {
        let (heard, _models) = transcribe(fault.0.clone(), &CancellationToken::new()).await;
        assert_said(&heard.expect_err(fault.2), &fault);
    }
}

#[tokio::test]
async fn every_no_to_a_question_is_either_lasting_or_not_and_repeats_nothing() {
    let cut =
        json!({ "choices": [{ "message": { "content": "{\"cha" }, "finish_reason": "length" }] });
    let own = [
        (Says::Endless, false, "more than 1048576 bytes"),
        (Says::Json(cut), false, "cut off"),
        (says(" "), false, "the answer is empty"),
        (Says::Json(json!({ "choices": [] })), false, "no choices"),
        (
            Says::Json(json!({ "choices": "I want" })),
            false,
            "JSON of another form",
        ),
    ];
    for fault in faults().into_iter().chain(own) {
        let models = Models::start([], [fault.0.clone()]).await;
        let asked = asked(endpoint(&models, &fault.0)).await;
        assert_said(&asked.err().expect(fault.2), &fault);
        let asked = &models.asked("/chat/completions")[0];
        let body: Value = serde_json::from_str(&asked.body).expect("JSON");
        assert_eq!(body["messages"][1]["content"], "I want");
        assert_eq!(body["max_completion_tokens"], 5);
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
    let error = transcribed(endpoint(&models, &heard()), call, &sound)
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
    let patient = Endpoint::open(&models.url(), None).expect("an endpoint");
    let stop = async {
        let mut looks = tokio::time::interval(Duration::from_millis(10));
        while models.asked("/audio/transcriptions").is_empty() {
            looks.tick().await;
        }
        cancel.cancel();
    };
    let (heard, ()) = tokio::join!(transcribed(patient, call, &sound), stop);
    assert!(matches!(heard, Err(ModelError::Cancelled)), "{heard:?}");
}
