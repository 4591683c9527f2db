//! `sapari dead`, as whoever is woken uses it: look, mend the cause, run it again, drop the rest.

use sapari_runtime::broker::BrokerError;
use sapari_runtime::broker::conformance::settled_depth;
use sapari_tasks::{EditList, Kept, Role};
use serde_json::{Value, json};
use uuid::Uuid;

use super::support::{Ended, INTERVIEW, Space};

/// What a dead render's letter and its project are about.
struct Render {
    id: String,
    project: Uuid,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_task_is_found_mended_and_run_again() {
    let space = Space::new();
    let broker = space.broker().await;
    let worker = space
        .start("sapari-render", &["--unknown-wait", "0s"])
        .ready()
        .await;
    let render = dead_render(&space).await;
    let stray = kick(&space, "no_such_task", "{}").await;
    settled_depth(&*broker, Role::Render.queue(), |depth| depth.dead == 2).await;

    let listed = dead(&space, &["list"]).await;
    let [head, first, second] = listed.stdout.as_slice() else {
        panic!("a head and two letters: {listed:?}")
    };
    assert!(
        head.starts_with("task id ") && head.ends_with("error"),
        "{head}"
    );
    assert!(
        first.starts_with(&render.id) && first.contains("permanent"),
        "{first}"
    );
    assert!(
        second.starts_with(&stray) && second.contains("unknown_task"),
        "{second}"
    );

    assert_listed_as_json(&space, &render.id).await;

    let shown = dead(&space, &["show", "--id", &render.id]).await;
    let shown: Value = serde_json::from_str(shown.only_line()).expect("JSON");
    assert_eq!(
        shown["body"]["kwargs"]["project_uuid"],
        json!(render.project)
    );
    assert_eq!(shown["headers"]["dead-reason"], "permanent");

    mend(&space, render.project);
    let replayed = dead(&space, &["replay", "--task", "render_export"]).await;
    assert_eq!(replayed.only_line(), "1 replayed");
    let tasks = space.tasks(&broker).await;
    let handle = tasks.handle_named(render.id.parse().expect("an id"));
    let record = handle
        .record()
        .within(super::support::PATIENCE)
        .await
        .expect("a record");
    assert!(
        record.outcome.is_ok(),
        "run again, with its cause mended: {record:?}"
    );

    let dropped = dead(&space, &["drop", "--reason", "unknown_task"]).await;
    assert_eq!(dropped.only_line(), "1 dropped");
    settled_depth(&*broker, Role::Render.queue(), |depth| depth.dead == 0).await;
    let empty = dead(&space, &["list"]).await;
    assert_eq!(empty.stdout.len(), 1, "only the head: {empty:?}");
    let gone = ["dead", "show", "render", "--id", &render.id];
    let gone = space.sapari(&gone).ended().await;
    assert_eq!(gone.code, Some(1), "{gone:?}");
    let said = gone.stderr.join("\n");
    assert!(said.contains(&render.id), "{said}");
    drop(worker);
}

/// What the table says, and no args.
async fn assert_listed_as_json(space: &Space, id: &str) {
    let listed = dead(space, &["list", "--json", "--id", id]).await;
    let listed: Value = serde_json::from_str(listed.only_line()).expect("JSON");
    assert_eq!(listed["task"], "render_export");
    assert_eq!(listed["reason"], "permanent");
    assert!(listed["body"].is_null(), "{listed}");
}

/// The limit counts what is meant, not what is looked at; that there is more is said.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_task_is_found_behind_others_and_nothing_is_declared_to_look_for_it() {
    let space = Space::new();
    let nowhere = space.sapari(&["dead", "list", "render"]).ended().await;
    assert_eq!(
        nowhere.code,
        Some(69),
        "no worker ever was there: {nowhere:?}"
    );

    let broker = space.broker().await;
    let none = broker.depth(Role::Render.queue()).await;
    assert!(matches!(none, Err(BrokerError::NoQueue { .. })), "{none:?}");
    let worker = space.start("sapari-render", &["--unknown-wait", "0s"]);
    let worker = worker.ready().await;
    for _ in 0..2 {
        kick(&space, "no_such_task", "{}").await;
    }
    let render = dead_render(&space).await;
    settled_depth(&*broker, Role::Render.queue(), |depth| depth.dead == 3).await;

    let chosen = ["show", "--id", &render.id, "--limit", "1"];
    let shown = dead(&space, &chosen).await;
    assert!(shown.only_line().contains(&render.id), "{shown:?}");
    assert!(shown.stderr.is_empty(), "there is no other: {shown:?}");
    let listed = dead(&space, &["list", "--limit", "2"]).await;
    assert_eq!(listed.stdout.len(), 3, "a head and two letters: {listed:?}");
    assert!(listed.stderr.join("").contains("more than 2"), "{listed:?}");
    let one = ["replay", "--task", "no_such_task", "--limit", "1"];
    assert_eq!(dead(&space, &one).await.only_line(), "1 replayed");
    settled_depth(&*broker, Role::Render.queue(), |depth| depth.dead == 3).await;
    for verb in ["replay", "drop"] {
        let vague = space.sapari(&["dead", verb, "render"]).ended().await;
        vague.assert_sentence(64, &format!("say which letters to {verb}"));
    }
    assert_eq!(
        dead(&space, &["drop", "--all"]).await.only_line(),
        "3 dropped"
    );
    drop(worker);
}

async fn dead(space: &Space, words: &[&str]) -> Ended {
    let (verb, filters) = words.split_first().expect("a verb");
    let line = [&["dead", verb, "render"], filters].concat();
    let ended = space.sapari(&line).ended().await;
    assert_eq!(ended.code, Some(0), "{line:?}: {ended:?}");
    ended
}

async fn kick(space: &Space, task: &str, args: &str) -> String {
    let line = [
        "kick", task, "--role", "render", "--args", args, "--wait", "60s",
    ];
    let ended = space.sapari(&line).ended().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    ended.only_line().to_owned()
}

/// A render of a project that nobody has analysed.
async fn dead_render(space: &Space) -> Render {
    let project = Uuid::new_v4();
    let args = json!({"export_uuid": Uuid::new_v4(), "project_uuid": project});
    let id = kick(space, "render_export", &args.to_string()).await;
    Render { id, project }
}

/// Puts into storage what the render missed.
fn mend(space: &Space, project: Uuid) {
    let first_second = Kept {
        from_us: 0,
        to_us: 1_000_000,
    };
    let clip = (Uuid::new_v4(), "clips/interview.mp4");
    let edits = EditList::new(project, clip, vec![first_second]);
    space.store(&edits.clip_key, INTERVIEW.as_ref());
    let file = space.path("edits.json");
    std::fs::write(&file, serde_json::to_vec(&edits).expect("JSON")).expect("writable");
    space.store(&EditList::key(project), &file);
}
