//! All entries, on one screen.

use sapari_runtime::duration::minutes;
use sapari_runtime::schedule::{Missed, Overlap, Timetable};
use sapari_tasks::{CleanupExpiredExports, PruneResults, ReconcileStorage, RescueStuckTasks};

/// What is done by the clock.
#[must_use]
pub fn timetable() -> Timetable {
    Timetable::in_utc()
        .every(minutes(1), RescueStuckTasks::default())
        .overlap(Overlap::Skip)
        .cron("0 */15 * * * *", CleanupExpiredExports::default())
        .overlap(Overlap::Skip)
        .cron("0 0 3 * * *", ReconcileStorage::default())
        .tz("Europe/Lisbon")
        .missed(Missed::RunOnce)
        .cron("0 7 * * * *", PruneResults::default())
        .missed(Missed::RunOnce)
        .overlap(Overlap::Skip)
}

#[cfg(test)]
mod tests {
    use sapari_runtime::schedule::{Clock, Tick};

    use super::*;

    /// Each entry makes sense, its task is one of a role, and it will come; the next runs are for whoever changes it.
    #[test]
    fn every_entry_kicks_a_task_of_a_role() {
        let now = Tick::at(Clock::system().now() / 1000);
        for entry in timetable().entries().expect("every entry makes sense") {
            let task = sapari_tasks::find(entry.task()).expect("a task of the catalogue");
            assert_eq!(task.queue, entry.queue(), "{}", entry.id());
            assert_eq!(
                sapari_tasks::find_queue(entry.queue().name()),
                Some(entry.queue())
            );
            let runs =
                std::iter::successors(entry.when().next(now), |tick| entry.when().next(*tick));
            let runs: Vec<String> = runs.take(3).map(|tick| tick.to_string()).collect();
            assert_eq!(runs.len(), 3, "{} comes again", entry.id());
            println!(
                "{:24} {:32} {}",
                entry.id(),
                entry.when().to_string(),
                runs.join("  ")
            );
        }
    }
}
