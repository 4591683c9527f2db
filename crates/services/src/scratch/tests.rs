//! What is made, kept and swept.

use std::os::unix::fs::PermissionsExt;
use std::time::SystemTime;

use super::*;

/// A script in a scratch directory, for tests that need a program of a kind.
pub(crate) fn executable(scratch: &Scratch, name: &str, script: &str) -> PathBuf {
    let path = scratch.path(name).unwrap();
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    path
}

/// How often two threads are let race.
const RACES: usize = 300;

#[test]
fn what_is_ours_and_locked_by_nobody_is_swept_at_once() {
    let root = Scratch::new(&std::env::temp_dir(), "sweep-test").unwrap();
    let running = Scratch::new(root.dir(), "running").unwrap();
    let left = |name: &str| {
        let dir = root.dir().join(name);
        std::fs::create_dir(&dir).unwrap();
        dir
    };
    let killed = left(&format!("render-{}", Uuid::now_v7()));
    let not_ours = [
        left("somebody-elses"),
        left(&format!("render-{}", Uuid::new_v4())),
        left(&Uuid::now_v7().to_string()),
    ];
    std::fs::write(killed.join("export.mp4.unfinished"), b"half").unwrap();
    // Its owner lives, however long it has run.
    let handle = File::open(running.dir()).unwrap();
    handle.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(Scratch::sweep(root.dir()).unwrap(), 1);
    assert!(!killed.exists() && running.dir().exists());
    for dir in not_ours {
        assert!(dir.exists(), "{}", dir.display());
    }
}

#[test]
fn what_is_made_while_others_sweep_is_never_theirs() {
    let root = Scratch::new(&std::env::temp_dir(), "race").unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    Scratch::sweep(root.dir()).unwrap();
                }
            });
        }
        let raced = std::panic::catch_unwind(|| {
            for race in 0..RACES {
                let scratch = Scratch::new(root.dir(), "raced").unwrap();
                let file = scratch.path("clip.mp4").unwrap();
                std::fs::write(&file, b"ours").unwrap();
                assert!(file.exists(), "race {race}");
            }
        });
        is_over.store(true, Ordering::Relaxed);
        raced.unwrap();
    });
}

#[test]
fn the_directory_of_a_message_is_found_again_by_its_next_attempt() {
    let root = Scratch::new(&std::env::temp_dir(), "again").unwrap();
    let of = |id: &str| Scratch::of_message(root.dir(), "render", id).unwrap();
    let first = of("one");
    std::fs::write(first.path("clip.mp4").unwrap(), b"whole").unwrap();
    std::fs::write(first.path("export.mp4.unfinished").unwrap(), b"half").unwrap();
    std::fs::write(first.path("page.mp4.part").unwrap(), b"half").unwrap();
    let beside = of("one");
    assert_ne!(first.dir(), beside.dir(), "its owner lives");
    assert!(!beside.path("clip.mp4").unwrap().exists());
    first.leave();
    drop((first, beside));
    let next = of("one");
    assert!(next.path("clip.mp4").unwrap().exists());
    assert!(!next.path("export.mp4.unfinished").unwrap().exists());
    assert!(
        next.path("page.mp4.part").unwrap().exists(),
        "it is yt-dlp's"
    );
    assert_ne!(next.dir(), of("other").dir());
    let dir = next.dir().to_owned();
    drop(next);
    assert!(!dir.exists(), "the message has come to its end");
}

#[test]
fn the_directory_of_a_message_is_swept_after_hours() {
    let root = Scratch::new(&std::env::temp_dir(), "hours").unwrap();
    let left = |id: &str, changed: SystemTime| {
        let scratch = Scratch::of_message(root.dir(), "render", id).unwrap();
        File::open(scratch.dir())
            .unwrap()
            .set_modified(changed)
            .unwrap();
        scratch.leave();
        scratch.dir().to_owned()
    };
    let old = left("old", SystemTime::now() - OF_USE);
    let new = left("new", SystemTime::now() - OF_USE / 2);
    assert_eq!(Scratch::sweep(root.dir()).unwrap(), 1);
    assert!(!old.exists() && new.exists());
}

#[test]
fn the_directory_of_a_message_is_forgotten_with_it_unless_somebody_works_in_it() {
    let root = Scratch::new(&std::env::temp_dir(), "forgotten").unwrap();
    let of = |label: &str, id: &str| Scratch::of_message(root.dir(), label, id).unwrap();
    let left = |label: &str, id: &str| {
        let scratch = of(label, id);
        std::fs::write(scratch.path("clip.mp4").unwrap(), b"whole").unwrap();
        scratch.leave();
        scratch.dir().to_owned()
    };
    let over = left("render", "one");
    let others = [left("render", "x-one"), left("proxy", "one")];
    let forget = |id: &str| Scratch::forget(root.dir(), &["render", "preview"], id);
    assert_eq!((forget("one"), forget("one")), (1, 0));
    assert!(!over.exists() && others.iter().all(|dir| dir.exists()));
    let working = of("render", "two");
    assert_eq!(forget("two"), 0);
    assert!(working.dir().exists());
}

#[test]
fn a_directory_that_others_may_enter_is_not_taken_over() {
    let root = Scratch::new(&std::env::temp_dir(), "theirs").unwrap();
    let planted = root.dir().join(name_of_message("render", "one"));
    std::fs::create_dir(&planted).unwrap();
    std::fs::set_permissions(&planted, std::fs::Permissions::from_mode(0o755)).unwrap();
    let link = root.dir().join(name_of_message("render", "two"));
    std::os::unix::fs::symlink(&planted, &link).unwrap();
    for (id, theirs) in [("one", planted), ("two", link)] {
        let ours = Scratch::of_message(root.dir(), "render", id).unwrap();
        assert_ne!(ours.dir(), theirs);
        drop(ours);
        assert_eq!(Scratch::forget(root.dir(), &["render"], id), 0);
        assert!(theirs.exists());
    }
}

#[test]
fn an_id_is_a_name_whatever_it_holds() {
    let root = Scratch::new(&std::env::temp_dir(), "ids").unwrap();
    let long = "x".repeat(255);
    let ids = ["a", "A", "../up", "a/b", "a_2fb", ".", &long, "\u{e4}"];
    let made: Vec<_> = ids
        .map(|id| Scratch::of_message(root.dir(), "render", id).unwrap())
        .into();
    let mut dirs: Vec<&Path> = made.iter().map(Scratch::dir).collect();
    assert!(dirs.iter().all(|dir| dir.parent() == Some(root.dir())));
    dirs.sort();
    dirs.dedup();
    assert_eq!(dirs.len(), ids.len());
}

#[test]
fn it_is_private_unique_and_gone_after() {
    let root = Scratch::new(&std::env::temp_dir(), "root").unwrap();
    let inner = root.path("deep").unwrap();
    let one = Scratch::new(&inner, "render").unwrap();
    let two = Scratch::new(&inner, "render").unwrap();
    assert_ne!(one.dir(), two.dir());
    let mode = std::fs::metadata(one.dir()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    std::fs::write(one.path("a.wav").unwrap(), b"x").unwrap();
    let dir = one.dir().to_owned();
    drop(one);
    assert!(!dir.exists() && two.dir().exists());
}

#[test]
fn a_name_cannot_lead_out() {
    let scratch = Scratch::new(&std::env::temp_dir(), "names").unwrap();
    for bad in [
        "", ".", "..", "/etc", "a/b", "../a", "a/", "./a", "a\\b", "a\0b",
    ] {
        assert!(scratch.path(bad).is_err(), "{bad:?}");
    }
    for good in ["a", "-a.mp4", "a:b", "..a"] {
        assert!(scratch.path(good).is_ok(), "{good:?}");
    }
    assert!(Scratch::new(&std::env::temp_dir(), "../up").is_err());
}
