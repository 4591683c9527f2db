//! The steps that ask models, each of which costs money: within the budget, and said on spans.

use std::path::PathBuf;
use std::sync::Arc;

use sapari_runtime::error::ErrorKind;
use sapari_runtime::pipeline::{Item, Skip, Usage};
use sapari_runtime::prelude::*;
use sapari_services::{MediaError, ModelError, Question, Used, Whisper, Word as HeardWord};

use super::media::Audio;
use super::{Cx, call};
use crate::improve::{Change, Passage, SYSTEM, passages};
use crate::words::{Stretch, Transcript, Word};

pub(super) async fn transcribe(cx: Cx, audio: Arc<Audio>) -> TaskResult<Transcript> {
    let Some(whisper) = &cx.deps().listener.whisper else {
        let why = "no endpoint puts speech into words: set --whisper-url";
        return Err(Skip::because(why).into());
    };
    let sound = small_enough(&cx, &audio).await?;
    let reserved = cx.set_aside(whisper.cost(audio.duration))?;
    let heard = whisper.transcribe(call(&cx), &sound, audio.duration).await;
    let heard = heard.map_err(task_error)?;
    reserved.spend(&usage(heard.used))?;
    let word = |word: HeardWord| Word {
        text: word.text,
        at: Stretch::between(word.from, word.to),
    };
    let words = heard.words.into_iter().map(word).collect();
    Ok(Transcript { words })
}

/// The sound as it is, or compressed: an endpoint takes no more than a quarter of an hour of WAV.
async fn small_enough(cx: &Cx, audio: &Audio) -> TaskResult<PathBuf> {
    let bytes = tokio::fs::metadata(&audio.wav).await?.len();
    if bytes <= Whisper::MAX_SOUND {
        return Ok(audio.wav.clone());
    }
    let to = cx.deps().scratch.path("audio.ogg")?;
    let ffmpeg = &cx.deps().listener.media.ffmpeg;
    let compressed = ffmpeg.compress_speech(call(cx), &audio.wav, &to).await;
    compressed.permanent_when(MediaError::is_permanent)?;
    Ok(to)
}

pub(super) async fn split_transcript(cx: Cx, heard: Arc<Transcript>) -> TaskResult<Vec<Passage>> {
    if cx.deps().listener.chat.is_none() {
        let why = "no endpoint corrects words: set --chat-url";
        return Err(Skip::because(why).into());
    }
    Ok(passages(&heard))
}

pub(super) async fn improve_passage(cx: Cx, passage: Item<Passage>) -> TaskResult<Vec<Change>> {
    let Some(chat) = &cx.deps().listener.chat else {
        return Err(Skip::because("no endpoint corrects words").into());
    };
    let user = passage.question();
    let question = Question {
        system: SYSTEM,
        user: &user,
        most_tokens: passage.most_tokens(),
    };
    let reserved = cx.set_aside(chat.most(question))?;
    let answer = chat.ask(call(&cx), question).await.map_err(task_error)?;
    // Also an answer that is of no use was paid for.
    reserved.spend(&usage(answer.used))?;
    Ok(passage.changes(&answer.text)?)
}

fn usage(used: Used) -> Usage {
    Usage {
        model: used.model,
        input_tokens: used.input_tokens,
        output_tokens: used.output_tokens,
        microcents: used.microcents,
    }
}

fn task_error(error: ModelError) -> TaskError {
    let kind = match (error.is_permanent(), error.retry_after()) {
        (true, _) => ErrorKind::Permanent,
        (false, Some(pause)) => ErrorKind::RetryAfter(pause),
        (false, None) => ErrorKind::Retryable,
    };
    TaskError::from(error).into_kind(kind)
}
