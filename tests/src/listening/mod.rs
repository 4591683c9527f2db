//! What the analysis makes of models that answer, and of those that do not: the real role on the embedded broker, the real ffmpeg, and
//! endpoints of the test's own that speak OpenAI's dialect. Time is real, because ffmpeg's is.

mod calls;
mod endpoints;
mod passed_over;
mod tree;

use std::path::Path;

use sapari_analysis::Listener;
use sapari_runtime::handle::OutputError;
use sapari_runtime::testing::{Harness, Running};
use sapari_services::{Chat, Endpoint, Ffmpeg, Media, Scratch, Storage, Whisper};
use sapari_tasks::{Analysis, AnalyzeProject, EditList};
use sapari_telemetry::testing::Collector;
use sapari_telemetry::tree::TreeStyle;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::processes::support::INTERVIEW;
use endpoints::{Models, Says};

const KEY: &str = "sk-test-key";

/// What of each span is compared.
const ATTRIBUTES: &[&str] = &[
    "taskiq.attempt",
    "taskiq.outcome",
    "pipeline.outcome",
    "pipeline.failed_steps",
    "step.depends_on",
    "step.attempt",
    "step.index",
    "step.items",
    "step.outcome",
    "step.reason",
    "usage.calls",
    "usage.input_tokens",
    "usage.output_tokens",
    "usage.cost_microcents",
    "usage.models",
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "operation.cost",
];

/// The sample in a storage of the test's own.
struct Studio {
    place: Scratch,
    order: AnalyzeProject,
}

/// What a task came to, the spans of it, and the edit list that it stored.
struct Analysed {
    result: Result<Analysis, OutputError>,
    tree: String,
    edits: Option<EditList>,
}

impl Studio {
    fn new() -> Self {
        let place = Scratch::new(&std::env::temp_dir(), "sapari-listening").expect("writable");
        let order = AnalyzeProject {
            project_uuid: Uuid::new_v4(),
            clip_file_uuid: Uuid::new_v4(),
            clip_key: "clips/interview.mp4".to_owned(),
            export_uuid: None,
        };
        let to = place.dir().join("storage").join(&order.clip_key);
        std::fs::create_dir_all(to.parent().expect("a directory")).expect("writable");
        std::fs::copy(INTERVIEW, to).expect("copied");
        Self { place, order }
    }

    /// With a quarter of an hour and more of a tone in the place of the sample.
    fn with_a_long_clip() -> Self {
        let studio = Self::new();
        let clip = studio
            .place
            .dir()
            .join("storage")
            .join(&studio.order.clip_key);
        let tone = "sine=frequency=440:sample_rate=16000:duration=900";
        let made = std::process::Command::new("ffmpeg")
            .args(["-v", "error", "-y", "-f", "lavfi", "-i", tone])
            .args(["-c:a", "aac", "-b:a", "32k"])
            .arg(clip)
            .output();
        let made = made.expect("ffmpeg is installed");
        assert!(made.status.success(), "{made:?}");
        studio
    }

    /// Without models.
    fn listener(&self) -> Listener {
        let storage = format!("file://{}", self.place.dir().join("storage").display());
        let storage = Storage::open(&storage).expect("a directory");
        let scratch = self.place.dir().join("scratch");
        Listener::new(Media::new(Ffmpeg::in_path(), storage, scratch))
    }

    fn listener_with(&self, models: &Models) -> Listener {
        let listener = self.listener().with_whisper(whisper(models));
        listener.with_chat(chat(models))
    }

    /// Runs the order, with all spans of it as text.
    async fn analyse(&self, listener: Listener) -> Analysed {
        self.analyse_as(listener, &TreeStyle::for_tests(ATTRIBUTES))
            .await
    }

    async fn analyse_as(&self, listener: Listener, style: &TreeStyle) -> Analysed {
        let (collector, _default) = Collector::scoped();
        let (tasks, running): (_, Running) =
            Harness::new(sapari_analysis::worker(listener)).start();
        let handle = tasks.kick(self.order.clone()).await.expect("kicked");
        let result = handle.output().await;
        running.stop().await;
        let edits = self
            .place
            .dir()
            .join("storage")
            .join(EditList::key(self.order.project_uuid));
        Analysed {
            result,
            tree: collector.tree(style),
            edits: read(&edits),
        }
    }
}

fn read(edits: &Path) -> Option<EditList> {
    let bytes = std::fs::read(edits).ok()?;
    Some(serde_json::from_slice(&bytes).expect("an edit list"))
}

fn whisper(models: &Models) -> Whisper {
    let endpoint = Endpoint::open(&models.url(), Some(KEY)).expect("an endpoint");
    Whisper::new(endpoint, "whisper-1", "0.006".parse().ok())
}

fn chat(models: &Models) -> Chat {
    let endpoint = Endpoint::open(&models.url(), Some(KEY)).expect("an endpoint");
    Chat::new(
        endpoint,
        "gpt-4o-mini",
        ("0.15".parse().ok(), "0.6".parse().ok()),
    )
}

/// What an endpoint hears in the sample: a false start, strong language, and a name that it does not know.
fn heard() -> Says {
    let words = [
        ("so", 0.10, 0.40),
        ("I", 0.50, 0.60),
        ("want", 0.60, 0.90),
        ("I", 1.20, 1.30),
        ("want", 1.30, 1.60),
        ("to", 1.60, 1.80),
        ("show", 1.80, 2.10),
        ("you", 2.10, 2.40),
        ("sa", 2.40, 2.70),
        ("pari", 2.70, 3.20),
        ("oh", 6.40, 6.70),
        ("shit", 6.80, 7.20),
        ("it", 7.40, 7.60),
        ("works", 7.60, 8.10),
    ];
    let word = |(word, start, end)| json!({ "word": word, "start": start, "end": end });
    let words: Vec<Value> = words.map(word).to_vec();
    let text = "so I want I want to show you sa pari oh shit it works";
    Says::Json(json!({ "text": text, "language": "english", "duration": 26.48, "words": words }))
}

/// A chat model's answer with this text.
fn says(text: &str) -> Says {
    Says::Json(json!({
        "model": "gpt-4o-mini-2026",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 300, "completion_tokens": 40, "total_tokens": 340 }
    }))
}

/// The corrections that the sample needs.
fn corrected() -> Says {
    let changes = json!({ "changes": [
        { "from": 0, "to": 0, "text": "So" },
        { "from": 8, "to": 9, "text": "Sapari." },
        { "from": 10, "to": 10, "text": "Oh" },
        { "from": 13, "to": 13, "text": "works!" },
    ] });
    says(&changes.to_string())
}
