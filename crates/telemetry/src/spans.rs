//! What happens to spans between their start and their exporters: one processor for all, so that a span is copied only when
//! it has several ways out.
//!
//! It does not decide what a span is called: the taxonomy does.

pub(crate) mod bounded;
pub(crate) mod correlation;
pub(crate) mod edited;
pub(crate) mod logfire;
pub(crate) mod pending;
pub(crate) mod scrub;
mod secrets;
mod strict;

use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

use strict::Strict;

/// The way of every span: correlation keys at its start, the taxonomy at its end (debug builds), then out.
#[derive(Debug, Default)]
pub(crate) struct SpanPath {
    strict: Option<Strict>,
    exits: Vec<Box<dyn SpanProcessor>>,
}

impl SpanPath {
    /// Without an exit yet.
    pub(crate) fn new() -> Self {
        Self {
            strict: cfg!(debug_assertions).then(Strict::default),
            exits: Vec::new(),
        }
    }

    pub(crate) fn to(mut self, exit: impl SpanProcessor + 'static) -> Self {
        self.exits.push(Box::new(exit));
        self
    }

    /// Does the same with every exit, and says what failed first.
    fn each(&self, act: impl Fn(&dyn SpanProcessor) -> OTelSdkResult) -> OTelSdkResult {
        let results = self.exits.iter().map(|exit| act(exit.as_ref()));
        // Every exit has its turn before the first failure is told.
        let results: Vec<OTelSdkResult> = results.collect();
        results.into_iter().collect()
    }
}

impl SpanProcessor for SpanPath {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        correlation::copy(cx, span);
        for exit in &self.exits {
            exit.on_start(span, cx);
        }
    }

    fn on_end(&self, span: SpanData) {
        if let Some(strict) = &self.strict {
            strict.look(&span);
        }
        let Some((last, others)) = self.exits.split_last() else {
            return;
        };
        for exit in others {
            exit.on_end(span.clone());
        }
        last.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.each(|exit| exit.force_flush())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        std::thread::scope(|scope| {
            // Side by side: one dead receiver must not use up the time of the others.
            let stop =
                |exit| scope.spawn(move || SpanProcessor::shutdown_with_timeout(exit, timeout));
            let stopping: Vec<_> = self.exits.iter().map(|exit| stop(exit.as_ref())).collect();
            let stopped = stopping
                .into_iter()
                .map(|exit| exit.join().unwrap_or(Ok(())));
            let stopped: Vec<OTelSdkResult> = stopped.collect();
            stopped.into_iter().collect()
        })
    }

    fn set_resource(&mut self, resource: &Resource) {
        for exit in &mut self.exits {
            exit.set_resource(resource);
        }
    }
}
