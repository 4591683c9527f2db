//! `sapari kick` and `sapari ping` as a person uses them.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::support::{Space, json};

#[tokio::test]
async fn a_delayed_kick_has_the_id_and_the_delay_that_were_asked_for() {
    let space = Space::new();
    let _worker = space.start("sapari-render", &[]).ready().await;
    let id = format!("custom-{}", Uuid::new_v4());
    let begun = Instant::now();
    let kick = ["kick", "ping", "--role", "render", "--delay", "1s"];
    let kick = [&kick[..], &["--id", &id, "--wait", "60s"]].concat();
    let ended = space.sapari(&kick).ended().await;
    // The broker counts from a moment after `begun`, so no result that waited comes earlier than this.
    assert!(
        begun.elapsed() >= Duration::from_secs(1),
        "it came too early"
    );
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let [printed, output] = ended.stdout.as_slice() else {
        panic!("an id and an output were expected: {ended:?}")
    };
    assert_eq!(*printed, id);
    assert!(output.contains("\"pid\""), "{output}");
}

#[tokio::test]
async fn a_delay_that_no_broker_keeps_is_a_mistake_and_not_a_broker_that_is_away() {
    let space = Space::new();
    let kick = ["kick", "ping", "--role", "render", "--delay", "200000h"];
    let ended = space.sapari(&kick).ended().await;
    ended.assert_sentence(64, "over the limit");
}

#[tokio::test]
async fn args_are_read_from_a_file() {
    let space = Space::new();
    let _worker = space.start("sapari-render", &[]).ready().await;
    let file = space.path("args.json");
    std::fs::write(&file, "{}").expect("written");
    let args = format!("@{}", file.display());
    let kick = ["kick", "ping", "--role", "render", "--args", &args];
    let kick = [&kick[..], &["--wait", "60s"]].concat();
    let ended = space.sapari(&kick).ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let known = ["task", &ended.stdout[0], "--json"];
    let known = space.sapari(&known).ended().await;
    let known = json(known.only_line());
    assert_eq!(
        (&known["task"], &known["state"]),
        (&"ping".into(), &"done".into())
    );
}

#[tokio::test]
async fn ping_prints_every_answer_and_a_summary() {
    let space = Space::new();
    let _worker = space.start("sapari-render", &[]).ready().await;
    let ping = ["ping", "render", "--count", "3", "--within", "60s"];
    let ended = space.sapari(&ping).ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let [answers @ .., summary] = ended.stdout.as_slice() else {
        panic!("nothing was printed: {ended:?}")
    };
    assert_eq!(answers.len(), 3, "{ended:?}");
    for (answer, number) in answers.iter().zip(1..) {
        let of = format!("{number} of 3");
        assert!(answer.contains(&of), "{answer}");
    }
    assert!(summary.contains("median"), "{summary}");
}

#[tokio::test]
async fn ping_without_a_worker_says_that_nobody_answered() {
    let space = Space::new();
    let ping = ["ping", "render", "--within", "300ms"];
    let ended = space.sapari(&ping).ended().await;
    ended.assert_sentence(1, "no render worker answered");
}
