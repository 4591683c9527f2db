//! The state file: what survives a process, who may use it, and what becomes of one that is broken.

use super::*;

fn place() -> PathBuf {
    std::env::temp_dir().join(format!("schedule-{}.json", uuid::Uuid::new_v4()))
}

fn tidy(path: &Path) {
    std::fs::remove_file(path).expect("tidied up");
    std::fs::remove_file(beside(path, ".lock")).expect("tidied up");
}

fn known(last: i64) -> Known {
    Known {
        last: Tick::at(last),
        of: u64::MAX,
        waits: false,
    }
}

#[tokio::test]
async fn what_is_settled_and_added_outlives_the_process() {
    let path = place();
    let lease = Duration::from_secs(5);
    let before = StateFile::open(&path).expect("a new file");
    let number = before.take_lead("a", lease).await.expect("written");
    let waits = Known {
        waits: true,
        ..known(7)
    };
    let ticks = [("e".to_owned(), waits)];
    assert!(before.settle_ticks(number, &ticks).await.expect("written"));
    before.add_entry("x", "{}").await.expect("written");
    before.pause_entry("e", true).await.expect("written");
    drop(before);
    let after = StateFile::open(&path).expect("the same file");
    let settled = after.settled_ticks().await.expect("read");
    assert_eq!(settled.get("e"), Some(&waits));
    let written = after.written().await.expect("read");
    assert!(written.added.contains_key("x") && written.paused.contains("e"));
    assert!(after.take_lead("b", lease).await.expect("written") > number);
    assert!(
        !after.settle_ticks(number, &ticks).await.expect("read"),
        "an old lead"
    );
    assert!(!after.remove_entry_as("x", "other").await.expect("written"));
    assert!(after.remove_entry_as("x", "{}").await.expect("written"));
    assert!(!after.remove_entry("x").await.expect("written"));
    tidy(&path);
}

#[tokio::test]
async fn changes_side_by_side_are_all_kept() {
    let path = place();
    let file = StateFile::open(&path).expect("a new file");
    let ids: Vec<String> = (0..64).map(|number| format!("e{number}")).collect();
    let adding = ids.iter().map(|id| file.add_entry(id, "{}"));
    for added in futures_util::future::join_all(adding).await {
        added.expect("written");
    }
    drop(file);
    let file = StateFile::open(&path).expect("the same file");
    let written = file.written().await.expect("read");
    assert_eq!((written.added.len(), written.version), (64, 64));
    tidy(&path);
}

#[tokio::test]
async fn a_write_that_nobody_waits_for_any_more_is_whole_before_the_next() {
    let path = place();
    let file = StateFile::open(&path).expect("a new file");
    // As far as handing the write over, and dropped.
    let _ = futures_util::poll!(&mut file.add_entry("dropped", "{}"));
    file.pause_entry("last", true).await.expect("written");
    let written = file.written().await.expect("read");
    drop(file);
    let again = StateFile::open(&path).expect("the same file");
    assert_eq!(again.written().await.expect("read"), written);
    assert!(written.added.contains_key("dropped") && written.paused.contains("last"));
    tidy(&path);
}

#[tokio::test]
async fn a_lead_begins_with_what_stands_in_the_file() {
    let (path, other) = (place(), place());
    let lease = Duration::from_secs(5);
    let file = StateFile::open(&path).expect("a new file");
    let newer = StateFile::open(&other).expect("a new file");
    let number = newer.take_lead("b", lease).await.expect("written");
    let ticks = [("e".to_owned(), known(9))];
    assert!(newer.settle_ticks(number, &ticks).await.expect("written"));
    std::fs::copy(&other, &path).expect("put in its place");
    assert_eq!(
        file.take_lead("a", lease).await.expect("written"),
        number + 1
    );
    let settled = file.settled_ticks().await.expect("read");
    assert_eq!(
        settled.get("e"),
        Some(&known(9)),
        "not the one from its start"
    );
    std::fs::remove_file(&path).expect("it was there");
    assert_eq!(
        file.take_lead("a", lease).await.expect("written"),
        number + 2
    );
    assert!(path.is_file(), "one that is gone is written anew");
    tidy(&path);
    tidy(&other);
}

#[test]
fn a_file_has_one_user_and_no_reader() {
    use std::os::unix::fs::PermissionsExt as _;
    let path = place();
    std::fs::write(beside(&path, ".new"), "left by a crash").expect("written");
    let first = StateFile::open(&path).expect("a new file");
    let error = StateFile::open(&path).err().expect("refused");
    assert!(matches!(error, BadStateFile::InUse { .. }), "{error:?}");
    assert!(
        error.to_string().contains("used by another scheduler"),
        "{error}"
    );
    for file in [path.clone().into_os_string(), beside(&path, ".lock")] {
        let mode = std::fs::metadata(file).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let link = place();
    std::os::unix::fs::symlink(&path, &link).expect("a link");
    let error = StateFile::open(&link).err().expect("refused");
    assert!(matches!(error, BadStateFile::InUse { .. }), "{error:?}");
    drop(first);
    StateFile::open(&link).expect("it is free");
    assert!(link.is_symlink(), "it leads to the file still");
    std::fs::remove_file(&path).expect("removed");
    StateFile::open(&link).expect("it is free");
    assert!(
        link.is_symlink() && path.exists(),
        "also to one that was not there"
    );
    tidy(&path);
    std::fs::remove_file(&link).expect("removed");
}

#[test]
fn a_file_that_is_none_of_ours_is_not_overwritten() {
    let path = place();
    std::fs::write(&path, "my diary").expect("written");
    let error = StateFile::open(&path).err().expect("refused");
    assert!(error.to_string().contains("cannot be used"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).expect("there"), "my diary");
    tidy(&path);
}
