//! What steps spend on calls that cost money, summed for each step and in total, and the budget that holds across all of them.
//! It knows no prices: a step says what its call took.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sapari_telemetry::framework::{self, SpentOnSpan};
use serde::{Deserialize, Serialize};
use tracing::Span;

use super::context::Own;
use crate::error::{TaskError, TaskResult};

/// What one call took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// The model that answered.
    pub model: String,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// What it cost, in millionths of a US dollar: what the Python services call microcents.
    pub microcents: u64,
}

/// What several calls took together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// How many calls.
    pub calls: u64,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// What they cost, in millionths of a US dollar.
    pub microcents: u64,
    /// The models that answered.
    pub models: BTreeSet<String>,
}

impl Spent {
    fn add(&mut self, usage: &Usage) {
        self.calls += 1;
        self.input_tokens = self.input_tokens.saturating_add(usage.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(usage.output_tokens);
        self.microcents = self.microcents.saturating_add(usage.microcents);
        if !self.models.contains(&usage.model) {
            self.models.insert(usage.model.clone());
        }
    }

    /// In US dollars, for people.
    #[must_use]
    pub fn dollars(&self) -> f64 {
        self.microcents as f64 / 1e6
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.calls == 0
    }

    /// What cost nothing leaves no attributes.
    pub(super) fn record(&self, span: &Span) {
        if self.is_nothing() {
            return;
        }
        let models: Vec<&str> = self.models.iter().map(String::as_str).collect();
        let spent = SpentOnSpan {
            calls: self.calls,
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            microcents: self.microcents,
            models: &models.join(","),
        };
        framework::record_spent(span, spent);
    }
}

/// The budget would not hold, or does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverBudget {
    /// The most that the pipeline may spend, in millionths of a US dollar.
    pub budget: u64,
    /// What it has spent, the attempts before this one included.
    pub spent: u64,
    /// What is set aside for calls under way, and what was asked for beside it.
    pub wanted: u64,
    /// What each step has spent in this attempt, those that spent nothing left out.
    pub by_step: Vec<(&'static str, u64)>,
}

impl fmt::Display for OverBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dollars = |microcents: u64| format!("${:.6}", microcents as f64 / 1e6);
        let (budget, spent) = (dollars(self.budget), dollars(self.spent));
        write!(f, "the pipeline may spend {budget} and has spent {spent}")?;
        let steps = self.by_step.iter();
        let steps: Vec<String> = steps
            .map(|(step, spent)| format!("{step} {}", dollars(*spent)))
            .collect();
        if !steps.is_empty() {
            write!(f, " ({})", steps.join(", "))?;
        }
        if self.wanted > 0 {
            write!(
                f,
                "; {} more is set aside or asked for",
                dollars(self.wanted)
            )?;
        }
        f.write_str("; raise the budget, or let it do less")
    }
}

impl std::error::Error for OverBudget {}

/// Who may spend how much, and what was spent. Shared by all steps of a run.
#[derive(Debug)]
pub(super) struct Purse {
    budget: Option<u64>,
    ids: Vec<&'static str>,
    // A std mutex: held for a few additions, never across an await.
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    total: Spent,
    steps: Vec<Spent>,
    set_aside: u64,
}

impl Purse {
    pub(super) fn new(budget: Option<u64>, ids: Vec<&'static str>) -> Self {
        let steps = vec![Spent::default(); ids.len()];
        let book = Book {
            steps,
            ..Book::default()
        };
        Self {
            budget,
            ids,
            book: Mutex::new(book),
        }
    }

    /// What the attempts before this one spent, and what of it each step did whose output they left.
    pub(super) fn begin_with(&self, total: Spent, step: impl Fn(usize) -> Option<Spent>) {
        let mut book = self.book();
        book.total = total;
        for (index, spent) in book.steps.iter_mut().enumerate() {
            *spent = step(index).unwrap_or_default();
        }
    }

    /// Writes down what was spent; an error once that is more than there is.
    fn spend(&self, step: usize, usage: &Usage) -> TaskResult<()> {
        let mut book = self.book();
        book.total.add(usage);
        book.steps[step].add(usage);
        self.check(&book, 0)
    }

    fn set_aside(&self, most: u64) -> TaskResult<()> {
        let mut book = self.book();
        self.check(&book, book.set_aside.saturating_add(most))?;
        book.set_aside += most;
        Ok(())
    }

    fn check(&self, book: &Book, wanted: u64) -> TaskResult<()> {
        let Some(budget) = self.budget else {
            return Ok(());
        };
        let spent = book.total.microcents;
        if spent.saturating_add(wanted) <= budget {
            return Ok(());
        }
        let steps = self.ids.iter().zip(&book.steps);
        let steps = steps.map(|(id, spent)| (*id, spent.microcents));
        Err(TaskError::permanent(OverBudget {
            budget,
            spent,
            wanted,
            by_step: steps.filter(|(_, spent)| *spent > 0).collect(),
        }))
    }

    pub(super) fn total(&self) -> Spent {
        self.book().total.clone()
    }

    pub(super) fn of_step(&self, step: usize) -> Spent {
        self.book().steps[step].clone()
    }

    pub(super) fn of_step_called(&self, id: &str) -> Option<Spent> {
        let step = self.ids.iter().position(|own| *own == id)?;
        Some(self.of_step(step))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Only sums: a panic elsewhere leaves nothing half done that matters.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Part of the budget that is set aside for one call, so that calls side by side cannot spend it twice. Dropped, it is free
/// again.
#[derive(Debug)]
#[must_use = "dropped, it sets nothing aside"]
pub struct Reservation {
    purse: Arc<Purse>,
    own: Arc<Own>,
    most: u64,
}

impl Reservation {
    pub(super) fn of(purse: &Arc<Purse>, own: &Arc<Own>, most: u64) -> TaskResult<Self> {
        purse.set_aside(most)?;
        Ok(Self {
            purse: Arc::clone(purse),
            own: Arc::clone(own),
            most,
        })
    }

    /// The call is over, and took this.
    ///
    /// # Errors
    /// [`OverBudget`], when it took more than was set aside, and there was not that much.
    pub fn spend(self, usage: &Usage) -> TaskResult<()> {
        spend(&self.purse, &self.own, usage)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.purse.book().set_aside -= self.most;
    }
}

pub(super) fn spend(purse: &Purse, own: &Own, usage: &Usage) -> TaskResult<()> {
    own.note_spent(|spent| spent.add(usage));
    purse.spend(own.step, usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(microcents: u64) -> Usage {
        Usage {
            model: "m".to_owned(),
            input_tokens: 10,
            output_tokens: 1,
            microcents,
        }
    }

    fn purse(budget: u64) -> (Arc<Purse>, Arc<Own>, Arc<Own>) {
        let purse = Arc::new(Purse::new(Some(budget), vec!["a", "b"]));
        (
            purse,
            Arc::new(Own::new(0, "a", 1, None)),
            Arc::new(Own::new(1, "b", 1, None)),
        )
    }

    #[test]
    fn steps_and_the_total_are_summed() {
        let (purse, a, b) = purse(u64::MAX);
        for (own, microcents) in [(&a, 3), (&a, 4), (&b, 5)] {
            spend(&purse, own, &call(microcents)).expect("enough");
        }
        assert_eq!(purse.of_step(0).microcents, 7);
        let total = purse.total();
        assert_eq!(
            (total.calls, total.input_tokens, total.output_tokens),
            (3, 30, 3)
        );
        assert_eq!(total.microcents, 12);
    }

    #[test]
    fn the_budget_holds_across_steps_and_says_who_spent_it() {
        let (purse, a, b) = purse(100);
        spend(&purse, &a, &call(60)).expect("enough");
        spend(&purse, &b, &call(40)).expect("just enough");
        let error = spend(&purse, &b, &call(1)).expect_err("over");
        assert_eq!(
            error.to_string(),
            "the pipeline may spend $0.000100 and has spent $0.000101 (a $0.000060, b $0.000041); raise the budget, or let it do less"
        );
    }

    #[test]
    fn what_is_set_aside_cannot_be_spent_by_another() {
        let (purse, a, b) = purse(100);
        let held = Reservation::of(&purse, &a, 70).expect("there");
        assert!(Reservation::of(&purse, &b, 40).is_err());
        held.spend(&call(50)).expect("less than was set aside");
        drop(Reservation::of(&purse, &b, 50).expect("what was left is free again"));
        assert!(Reservation::of(&purse, &b, 51).is_err());
    }
}
