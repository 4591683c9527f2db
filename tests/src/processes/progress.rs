//! How far a render is, as whoever asks is told while it runs.

use super::stopping::Waiting;
use super::support::json;

/// How many different answers are waited for, each further than the one before.
const ANSWERS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_meanwhile_is_told_how_far_the_cutting_is() {
    let waiting = Waiting::kicked().await;
    let (_worker, _ffmpeg) = waiting.worker_at_work(&[]).await;
    let mut seen: Vec<f64> = Vec::new();
    while seen.len() < ANSWERS {
        let asked = ["task", waiting.id.as_str(), "--json"];
        let ended = waiting.space.sapari(&asked).ended().await;
        let task = json(ended.only_line());
        assert_eq!(task["state"], "running", "it ended first: {task}");
        let said = &task["progress"]["meta"];
        // What was said before the first frame may still stand there.
        if said["detail"]["step"] != "apply_cuts" {
            continue;
        }
        assert_eq!(said["detail"]["state"], "running", "{task}");
        for fraction in [&said["fraction"], &said["detail"]["step_fraction"]] {
            let fraction = fraction.as_f64().expect("a number");
            assert!((0.0..1.0).contains(&fraction), "{task}");
        }
        let fraction = said["detail"]["step_fraction"].as_f64();
        seen.extend(fraction.filter(|it| seen.last().is_none_or(|last| it > last) && *it > 0.0));
    }
}
