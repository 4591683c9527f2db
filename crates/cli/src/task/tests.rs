//! What is known of a message, as text and as JSON.

use std::time::Duration;

use sapari_runtime::error::TaskError;
use sapari_runtime::outcome::DeadReason;
use serde_json::value::to_raw_value;

use super::*;

const NOW: f64 = 1_000_000.0;
const SECRET: &str = "a-return-value";

fn known() -> Known {
    Known {
        id: "t-1".parse().expect("an id"),
        record: None,
        sighting: None,
        busy: None,
        progress: None,
        cancel: None,
    }
}

fn text(known: &Known) -> String {
    aligned(&known.rows(NOW)).join("\n")
}

fn done() -> Record {
    Record::done(
        to_raw_value(SECRET).expect("JSON"),
        Duration::from_millis(1_500),
    )
}

fn failed(reason: &str) -> Record {
    let error = TaskError::permanent("disk full\u{1b}[2J").context("upload failed");
    let mut record = Record::dead(DeadReason::Permanent, &error, Duration::from_secs(2));
    if let Err(failure) = &mut record.outcome {
        failure.reason = Some(reason.to_owned());
        failure.error_type = "Upload".to_owned();
    }
    record
}

fn running(starts: u32) -> Sighting {
    Sighting::Running {
        worker: "w-1".to_owned(),
        starts,
    }
}

fn sent_on_and_abandoned() -> [Sighting; 2] {
    let worker = "w-1".to_owned();
    [
        Sighting::SentOn { hop: 2 },
        Sighting::Abandoned { worker, starts: 1 },
    ]
}

fn asked() -> Cancel {
    Cancel {
        id: "t-1".parse().expect("an id"),
        at: 999_988_000,
    }
}

fn at_work() -> (String, Busy) {
    let busy = Busy {
        id: "t-1".parse().expect("an id"),
        task: "render_export".to_owned(),
        attempt: 2,
        since: NOW - 200.0,
        stuck: false,
    };
    ("w-1".to_owned(), busy)
}

#[test]
fn of_a_message_that_nobody_met_nothing_is_known() {
    let expected =
        "id     t-1\nstate  nothing is known of it: it waits, is delayed, or was never kicked";
    assert_eq!(text(&known()), expected);
    assert_eq!(known().value(true)["state"], "unknown");
}

#[test]
fn a_running_task_says_where_since_when_and_how_far_it_is() {
    let known = Known {
        sighting: Some(running(2)),
        busy: Some(at_work()),
        progress: Some(Progress::started(0.4, json!({"frame": 12}))),
        cancel: Some(asked()),
        ..known()
    };
    assert_eq!(
        text(&known),
        "\
id        t-1
task      render_export
state     running on w-1 for 3m, attempt 2, start 2 of this attempt: a worker died in it before
progress  40 %  {\"frame\":12}
cancel    asked for 12s ago, not carried out yet"
    );
    let value = known.value(false);
    assert_eq!(value["run"]["attempt"], 2);
    assert_eq!(value["cancel_asked_at"], 999_988.0);
    assert_eq!(value["progress"]["meta"]["fraction"], 0.4);
}

#[test]
fn a_claim_without_a_report_and_a_report_without_a_claim_are_both_runs() {
    let claimed = Known {
        sighting: Some(running(1)),
        ..known()
    };
    assert_eq!(claimed.state_text(NOW), "running on w-1");
    let mut at_work = at_work();
    at_work.1.stuck = true;
    let reported = Known {
        busy: Some(at_work),
        ..known()
    };
    let said = reported.state_text(NOW);
    assert_eq!(
        said,
        "running on w-1 for 3m, attempt 2, stuck: past its deadline"
    );
}

#[test]
fn what_waits_for_another_attempt_says_why() {
    let [sent_on, abandoned] = sent_on_and_abandoned().map(|sighting| Known {
        sighting: Some(sighting),
        ..known()
    });
    assert!(sent_on.state_text(NOW).contains("sent on so far: 2"));
    assert_eq!(sent_on.state(), "waiting");
    assert!(abandoned.state_text(NOW).starts_with("abandoned by w-1"));
    assert_eq!(abandoned.state(), "abandoned");
    let gone = Known {
        sighting: Some(Sighting::Finished),
        ..known()
    };
    assert!(gone.state_text(NOW).contains("not kept any more"));
}

#[test]
fn what_was_replayed_waits_until_somebody_runs_it() {
    let replayed = || Known {
        sighting: Some(Sighting::Replayed),
        ..known()
    };
    assert_eq!(replayed().state(), "waiting");
    assert!(replayed().state_text(NOW).ends_with("was replayed"));
    let at_work = Known {
        busy: Some(at_work()),
        ..replayed()
    };
    assert_eq!(at_work.state(), "running");
}

#[test]
fn a_return_value_is_shown_only_when_asked_for() {
    let known = Known {
        record: Some(done()),
        sighting: Some(Sighting::Finished),
        ..known()
    };
    assert_eq!(
        text(&known),
        "id     t-1\nstate  done\ntook   1.5s, its last attempt"
    );
    assert!(!known.value(false).to_string().contains(SECRET));
    assert_eq!(known.value(true)["result"]["output"], SECRET);
}

#[test]
fn a_failure_has_its_reason_and_its_causes() {
    let known = Known {
        record: Some(failed("permanent")),
        ..known()
    };
    assert_eq!(
        text(&known),
        "\
id       t-1
state    failed
took     2.0s, its last attempt
reason   permanent
error    Upload: upload failed
because  disk full [2J"
    );
    assert_eq!(
        known.value(false)["result"]["error"],
        json!(["upload failed", "disk full\u{1b}[2J"])
    );
}

#[test]
fn a_run_under_way_counts_before_the_record_of_an_earlier_kick() {
    let known = Known {
        record: Some(done()),
        sighting: Some(running(1)),
        ..known()
    };
    assert_eq!(known.state(), "running");
}

#[test]
fn a_task_that_has_ended_says_nothing_of_how_far_it_was() {
    let ends = [
        (Some(done()), "done"),
        (Some(failed("permanent")), "failed"),
        (Some(failed(CANCELLED)), "cancelled"),
        (Some(failed(SUPERSEDED)), "superseded"),
        (None, "ended"),
    ];
    for (record, state) in ends {
        let known = Known {
            record,
            sighting: Some(Sighting::Finished),
            progress: Some(Progress::started(0.4, Value::Null)),
            cancel: Some(asked()),
            ..known()
        };
        assert_eq!(known.state(), state);
        let said = text(&known);
        assert!(!said.contains("40 %"), "{said}");
        assert!(said.ends_with("asked for 12s ago"), "{said}");
        assert_eq!(known.value(false)["progress"], Value::Null);
    }
}

#[test]
fn an_ending_is_one_line() {
    assert_eq!(ending(&done()), "done");
    assert_eq!(ending(&failed(CANCELLED)), "cancelled");
    let expected = "failed (permanent): upload failed: disk full [2J";
    assert_eq!(ending(&failed("permanent")), expected);
}

#[test]
fn progress_of_other_clients_is_shown_as_it_is() {
    let other = Progress {
        state: "RETRY".to_owned(),
        meta: json!("soon"),
    };
    assert_eq!(progress_text(&other), "RETRY  \"soon\"");
    let bare = Progress::started(1.0, Value::Null);
    assert_eq!(progress_text(&bare), "100 %");
}
