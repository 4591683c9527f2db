//! Behaviour of the whole: spans, brokers and result stores, processes and their faults, and the rules that the tree keeps.
//! One test binary, because on two cores each further one costs a link. Needs RabbitMQ, Redis and ffmpeg: nothing is skipped.

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod delivery;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod listening;
#[cfg(test)]
mod meddling;
#[cfg(test)]
mod media;
#[cfg(test)]
mod processes;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod request;
#[cfg(test)]
mod schedule;
#[cfg(test)]
mod servers;
#[cfg(test)]
mod spans;
#[cfg(test)]
mod telemetry;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod web;
