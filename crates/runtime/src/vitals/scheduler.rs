//! How the scheduler of a process is, as it last said. Values only.

/// A scheduler at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SchedulerState {
    /// Whether it leads.
    pub stand: Stand,
    /// When the next tick is due, in milliseconds since 1970; as it was when it last led.
    pub next: Option<i64>,
    /// How many entries it plans; as it was when it last led.
    pub entries: usize,
    /// How many runs nobody holds as they should be held; none when it does not count them.
    pub stuck_runs: Option<usize>,
}

/// Whether a scheduler leads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Stand {
    /// It has not tried yet.
    #[default]
    Starts,
    /// It fires what is due; the number of its lead.
    Leads(u64),
    /// Another one does, and it would take over.
    By,
    /// It could do neither, and why.
    Away(String),
}

impl Stand {
    /// One word for it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Starts => "starts",
            Self::Leads(_) => "leads",
            Self::By => "stands by",
            Self::Away(_) => "away",
        }
    }
}

impl SchedulerState {
    /// How long the most overdue tick has been due at `now`, in milliseconds; nothing for one that stands by.
    #[must_use]
    pub fn overdue(&self, now: i64) -> i64 {
        match (&self.stand, self.next) {
            (Stand::By | Stand::Starts, _) | (_, None) => 0,
            (_, Some(next)) => (now - next).max(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_that_should_fire_is_overdue() {
        let away = Stand::Away("the broker is away".to_owned());
        let table = [
            (Stand::Leads(1), Some(4000), 6000),
            (Stand::Leads(1), Some(11_000), 0),
            (Stand::Leads(1), None, 0),
            (away, Some(4000), 6000),
            (Stand::By, Some(4000), 0),
            (Stand::Starts, Some(4000), 0),
        ];
        for (stand, next, overdue) in table {
            let entries = 1;
            let state = SchedulerState {
                stand,
                next,
                entries,
                stuck_runs: None,
            };
            assert_eq!(state.overdue(10_000), overdue, "{state:?}");
        }
    }
}
