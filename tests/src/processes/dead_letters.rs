//! What cannot be run is not dropped: it stands in the dead-letter queue with its reason, and the worker goes on.

use std::sync::Arc;
use std::time::Duration;

use sapari_runtime::broker::conformance::settled_depth;
use sapari_runtime::broker::{Broker, DeadLetter, Destination, Headers, Parcel};
use sapari_runtime::handle::OutputError;
use sapari_runtime::message::{MessageId, Route};
use sapari_runtime::queue::Priority;
use sapari_tasks::Role;
use serde_json::json;
use uuid::Uuid;

use super::support::{PATIENCE, Space};

#[tokio::test(flavor = "multi_thread")]
async fn bad_messages_end_in_the_dead_letter_queue_with_their_reason() {
    let space = Space::new();
    let (broker, queue) = (space.broker().await, Role::Render.queue());
    let patient = &["--unknown-wait", "0s"];
    let worker = space.start("sapari-render", patient).ready().await;

    let nowhere = json!({"export_uuid": Uuid::new_v4(), "project_uuid": Uuid::new_v4()});
    let mut mistyped = nowhere.clone();
    mistyped["settings"] = json!({"resolutoin": "720p"});
    let (nowhere, mistyped) = (nowhere.to_string(), mistyped.to_string());
    let kicks = [
        ("no_such_task", "{}", "unknown_task", "no_such_task"),
        (
            "render_export",
            r#"{"export_uuid": 7}"#,
            "bad_args",
            "`export_uuid`",
        ),
        ("render_export", &mistyped, "bad_args", "`resolutoin`"),
        ("render_export", &nowhere, "permanent", "edits.json"),
    ];
    let mut expected = vec![bytes(&space, &broker).await];
    for (task, args, reason, names) in kicks {
        let id = kick(&space, task, args, names).await;
        expected.push(Died { id, reason, names });
    }

    settled_depth(&*broker, queue, |depth| depth.dead == 5).await;
    let letters = broker.dead_letters(queue, 10).await.expect("readable");
    for died in &expected {
        died.assert_among(&letters);
    }
    let pinged = space.sapari(&["ping", "render"]).ended().await;
    assert_eq!(pinged.code, Some(0), "the worker lives: {pinged:?}");
    drop(worker);
}

/// What is expected of one dead letter.
struct Died {
    id: String,
    reason: &'static str,
    /// What its error names.
    names: &'static str,
}

impl Died {
    #[track_caller]
    fn assert_among(&self, letters: &[DeadLetter]) {
        let of_id = |letter: &&DeadLetter| letter.task_id() == Some(&self.id);
        let letter = letters.iter().find(of_id);
        let letter = letter.unwrap_or_else(|| panic!("no {} in {letters:#?}", self.reason));
        assert_eq!(letter.reason(), Some(self.reason), "{letter:#?}");
        assert_eq!(letter.attempts(), Some(1), "{letter:#?}");
        let error = letter.error().unwrap_or_default();
        assert!(error.contains(self.names), "{error:?}");
        let trace = letter.trace_id().unwrap_or_default();
        let hex = trace.len() == 32 && trace.chars().all(|c| c.is_ascii_hexdigit());
        assert!(hex, "no trace id: {letter:#?}");
    }
}

/// Kicks a task that must fail, as a person does, who is told so in one sentence. Returns the id that was printed.
async fn kick(space: &Space, task: &str, args: &str, names: &str) -> String {
    let line = ["kick", task, "--role", "render", "--args", args];
    let line = [&line[..], &["--wait", "60s"]].concat();
    let ended = space.sapari(&line).ended().await;
    ended.assert_sentence(1, names);
    ended.only_line().to_owned()
}

/// Publishes what is no message at all. Who sent it with an id in the headers is told, too.
async fn bytes(space: &Space, broker: &Arc<dyn Broker>) -> Died {
    let (id, queue) = (MessageId::new(), Role::Render.queue());
    let route = Route {
        queue,
        level: queue.level(Priority::Normal),
        delay: Duration::ZERO,
    };
    let parcel = Parcel {
        to: Destination::Work(route),
        id: id.to_string(),
        body: b"\xff\x00 no message".to_vec(),
        headers: Headers::from([("task_id".to_owned(), id.to_string())]),
        priority: 1,
    };
    broker.publish(parcel).await.expect("stored");
    let handle = space.tasks(broker).await.handle_named(id.clone());
    let record = handle.record().within(PATIENCE).await.expect("a record");
    let failure = record.outcome.map_err(OutputError::Failed);
    let said = failure.expect_err("a failure").to_string();
    assert!(said.contains("not a message"), "{said}");
    Died {
        id: id.to_string(),
        reason: "undecodable",
        names: "not a message",
    }
}
