//! What the notes of a long run come to: who ran how often, and what was in flight when something broke. Pure: it reads no file.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use sapari_fault_worker::Note;

/// Something that was broken on purpose.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fault {
    pub(super) at_us: u128,
    /// Until when settling could not get through, for a server that was away.
    pub(super) until_us: u128,
    /// The only process that it hit; none when it hit all.
    pub(super) pid: Option<u32>,
}

/// The numbers of one run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tally {
    /// Messages that have begun at least once.
    pub(super) ran: usize,
    /// Runs beyond the first of a message.
    pub(super) again: usize,
    /// Runs that were in flight at a fault, added up over all faults.
    pub(super) in_flight: usize,
    /// Runs beyond the first of messages none of whose earlier runs was in flight at the kill of its own process: a lost
    /// connection, or a server that restarted, is no reason to run again.
    pub(super) unkilled: Vec<String>,
}

/// One run: begun, and ended unless its process died.
struct Run<'a> {
    id: &'a str,
    pid: u32,
    begun_us: u128,
    ended_us: Option<u128>,
}

impl Tally {
    /// `settling`: how long after a handler's end its result may still be on its way: so long it is in flight.
    pub(super) fn of(notes: &[Note], faults: &[Fault], settling: Duration) -> Self {
        let runs = runs(notes);
        let mut times: HashMap<&str, usize> = HashMap::new();
        let mut killed = HashSet::new();
        let mut in_flight = 0;
        for run in &runs {
            *times.entry(run.id).or_default() += 1;
            in_flight += faults
                .iter()
                .filter(|fault| hit(run, fault, settling))
                .count();
            let kills = faults.iter().filter(|fault| fault.pid.is_some());
            if kills.filter(|kill| hit(run, kill, settling)).count() > 0 {
                killed.insert(run.id);
            }
        }
        let twice = times.iter().filter(|(_, times)| **times > 1);
        let unkilled = twice.filter(|(id, _)| !killed.contains(*id));
        Self {
            ran: times.len(),
            again: runs.len() - times.len(),
            in_flight,
            unkilled: unkilled.map(|(id, _)| (*id).to_owned()).collect(),
        }
    }
}

fn hit(run: &Run<'_>, fault: &Fault, settling: Duration) -> bool {
    let here = fault.pid.is_none_or(|pid| pid == run.pid);
    let open = |ended_us: u128| ended_us + settling.as_micros() >= fault.at_us;
    here && run.begun_us <= fault.until_us && run.ended_us.is_none_or(open)
}

fn runs(notes: &[Note]) -> Vec<Run<'_>> {
    let mut runs: Vec<Run<'_>> = Vec::new();
    let mut open: HashMap<(&str, u32), usize> = HashMap::new();
    for note in notes {
        let key = (&*note.id, note.pid);
        match &*note.moment {
            "begun" => {
                open.insert(key, runs.len());
                runs.push(Run {
                    id: &note.id,
                    pid: note.pid,
                    begun_us: note.at_us,
                    ended_us: None,
                });
            }
            _ => runs[open[&key]].ended_us = Some(note.at_us),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(moment: &str, at_us: u128, id: &str, pid: u32) -> Note {
        Note {
            moment: moment.to_owned(),
            at_us,
            id: id.to_owned(),
            pid,
            attempt: 1,
            level: 0,
        }
    }

    fn fault(at_us: u128, pid: Option<u32>) -> Fault {
        Fault {
            at_us,
            until_us: at_us,
            pid,
        }
    }

    #[test]
    fn a_second_run_is_explained_by_a_kill_in_the_first() {
        let notes = [
            note("begun", 10, "killed", 1),
            note("begun", 10, "other", 2),
            note("ended", 15, "other", 2),
            note("begun", 40, "killed", 2),
            note("ended", 50, "killed", 2),
            note("begun", 60, "other", 2),
        ];
        let faults = [fault(20, Some(1)), fault(12, None)];
        let tally = Tally::of(&notes, &faults, Duration::ZERO);
        let expected = Tally {
            ran: 2,
            again: 2,
            in_flight: 3,
            unkilled: vec!["other".to_owned()],
        };
        assert_eq!(tally, expected, "a cut is no reason to run again");
    }

    #[test]
    fn what_begins_in_an_outage_is_in_flight_and_so_is_what_settles() {
        let notes = [
            note("begun", 10, "a", 1),
            note("ended", 15, "a", 1),
            note("begun", 25, "b", 1),
            note("ended", 26, "b", 1),
        ];
        let outage = Fault {
            at_us: 20,
            until_us: 30,
            pid: Some(1),
        };
        let tally = |settling| Tally::of(&notes, &[outage], Duration::from_micros(settling));
        assert_eq!(tally(4).in_flight, 1);
        assert_eq!(tally(5).in_flight, 2);
    }
}
