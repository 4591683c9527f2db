//! The only place that prints. Children print numbers, the parent prints a table.
#![allow(clippy::print_stdout, clippy::print_stderr)] // What this program is for.

use std::error::Error;

/// The numbers of one sample, as the parent reads them.
pub(crate) fn numbers(numbers: &[f64]) {
    let words: Vec<String> = numbers.iter().map(f64::to_string).collect();
    println!("{}", words.join(" "));
}

/// The inverse of [`numbers`].
pub(crate) fn read(text: &str) -> Result<Vec<f64>, std::num::ParseFloatError> {
    text.split_whitespace().map(str::parse).collect()
}

pub(crate) fn say(text: &str) {
    println!("{text}");
}

pub(crate) fn progress(text: &str) {
    eprintln!("bench: {text}");
}

pub(crate) fn complain(failure: &(dyn Error + 'static)) {
    let causes = std::iter::successors(Some(failure), |error| (*error).source());
    let chain: Vec<String> = causes.map(ToString::to_string).collect();
    eprintln!("bench: {}", chain.join(": "));
}
