//! The README's tree of a retry is the one that a test compares with what the processes sent, with parts left out where `..` stands.
//! The tree of the demo is compared by the demo's own test.

use crate::processes::retried::TREE;

const README: &str = include_str!("../../../README.md");
/// What the README's tree begins with. The one that is held has an id in it.
const HEAD: &str = "trace sapari-cli";
const HELD_HEAD: &str = "trace <id 1> sapari-cli";

/// The first place where the part is not the whole with lines left out: a line of the part. Where it says `..`, any lines
/// may be missing, and nowhere else.
fn differs<'a>(part: &[&'a str], whole: &[&str]) -> Option<&'a str> {
    let mut whole = whole.iter();
    let mut may_skip = false;
    for line in part {
        if words(line) == ".." {
            may_skip = true;
            continue;
        }
        let is_it = |held: &&&str| *held == line;
        let found = match may_skip {
            true => whole.find(is_it),
            false => whole.next().filter(is_it),
        };
        if found.is_none() {
            return Some(line);
        }
        may_skip = false;
    }
    match whole.next() {
        Some(_) if !may_skip => Some("its end"),
        _ => None,
    }
}

fn words(line: &str) -> &str {
    line.trim_start_matches(['│', '├', '└', '─', ' '])
}

#[test]
fn the_readme_shows_the_tree_that_a_test_holds() {
    let blocks = README.split("```text\n").skip(1);
    let mut blocks = blocks.filter_map(|rest| rest.split("\n```").next());
    let block = blocks.find(|block| block.starts_with(HEAD));
    let block = block.expect("the README shows a tree");
    let part: Vec<&str> = block.lines().collect();
    let held = TREE.replacen(HELD_HEAD, HEAD, 1);
    let whole: Vec<&str> = held.lines().collect();
    assert_eq!(
        differs(&part, &whole),
        None,
        "the README says otherwise than {TREE}"
    );
}

#[test]
fn only_what_is_said_to_be_left_out_may_be_missing() {
    let whole = ["a", "├─ b", "│  └─ c", "└─ d"];
    let table: [(&[&str], Option<&str>); 7] = [
        (&whole, None),
        (&["a", "├─ b", "│  ..", "└─ d"], None),
        (&["a", ".."], None),
        (&["a", "├─ b", "└─ d"], Some("└─ d")),
        (&["a", "..", "├─ x"], Some("├─ x")),
        (&["a", "├─ b"], Some("its end")),
        (&["a", "..", "└─ d", "├─ b"], Some("├─ b")),
    ];
    for (part, expected) in table {
        assert_eq!(differs(part, &whole), expected, "{part:?}");
    }
}
