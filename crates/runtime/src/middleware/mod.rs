//! The onion around every task, with two sides: around publishing where it is kicked, around one attempt where it runs.
//! The first added is the outermost. Middleware decides and never does: it cannot publish or settle.

mod deadline;
mod metrics;
mod panic;
pub(crate) mod retry;
pub(crate) mod trace;

use std::sync::Arc;

use async_trait::async_trait;

use crate::broker::{Baton, Broker, Parcel, PublishError};
use crate::job::Job;
use crate::outbound::KickError;
pub use crate::outbound::Outbound;
use crate::outcome::Outcome;

/// A layer of the onion. Both sides pass through unless you write them.
///
/// ```
/// use sapari_runtime::prelude::*;
///
/// struct Patient;
///
/// #[async_trait]
/// impl Middleware for Patient {
///     fn name(&self) -> &'static str { "patient" }
///
///     async fn run(&self, job: &Job, next: Next<'_>) -> Outcome {
///         match next.run(job).await {
///             Outcome::Failed(error) => Outcome::Retry { error, after: seconds(60) },
///             other => other,
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait Middleware: Send + Sync + 'static {
    /// What `--explain` calls it.
    fn name(&self) -> &'static str;

    /// Around publishing, in the process that kicks.
    ///
    /// # Errors
    /// Whatever the inner layers say, or [`KickError::Refused`] of its own.
    async fn send(&self, outbound: Outbound, next: NextSend<'_>) -> Result<(), KickError> {
        next.run(outbound).await
    }

    /// Around one attempt, in the worker.
    async fn run(&self, job: &Job, next: Next<'_>) -> Outcome {
        next.run(job).await
    }
}

/// What runs a job inside all layers.
#[async_trait]
pub(crate) trait Core: Send + Sync {
    async fn run(&self, job: &Job) -> Outcome;
}

/// The layers inside the present one, around an attempt. Used once.
pub struct Next<'a> {
    layers: &'a [Arc<dyn Middleware>],
    core: &'a dyn Core,
}

impl Next<'_> {
    /// Runs the layers inside, and the handler in their midst.
    pub async fn run(self, job: &Job) -> Outcome {
        match self.layers.split_first() {
            Some((layer, layers)) => {
                layer
                    .run(
                        job,
                        Next {
                            layers,
                            core: self.core,
                        },
                    )
                    .await
            }
            None => self.core.run(job).await,
        }
    }
}

/// Where a message leaves the process.
#[derive(Clone, Copy)]
pub(crate) enum Outlet<'a> {
    /// The broker's own publishing, which repeats what was in flight.
    Broker(&'a dyn Broker),
    /// With the baton, which does not.
    Baton(&'a dyn Baton),
}

impl Outlet<'_> {
    async fn publish(self, parcel: Parcel) -> Result<(), PublishError> {
        match self {
            Self::Broker(broker) => broker.publish(parcel).await,
            Self::Baton(baton) => baton.publish(parcel).await,
        }
    }
}

/// The layers inside the present one, around publishing. Used once.
pub struct NextSend<'a> {
    layers: &'a [Arc<dyn Middleware>],
    outlet: Outlet<'a>,
}

impl NextSend<'_> {
    /// Runs the layers inside, and publishes.
    ///
    /// # Errors
    /// What a layer or the broker says.
    pub async fn run(self, outbound: Outbound) -> Result<(), KickError> {
        match self.layers.split_first() {
            Some((layer, layers)) => {
                layer
                    .send(
                        outbound,
                        NextSend {
                            layers,
                            outlet: self.outlet,
                        },
                    )
                    .await
            }
            None => {
                let parcel = Parcel::of(&outbound.message, outbound.route)?;
                Ok(self.outlet.publish(parcel).await?)
            }
        }
    }
}

/// All layers, outermost first: `trace > metrics > retry > deadline > panic > yours`.
///
/// `trace` is outermost so that its span holds everything; `retry` stands outside `deadline` and `panic` because it decides
/// what their failures mean; yours stand innermost, so that a panic or a delay of theirs is caught like the handler's.
#[derive(Clone)]
pub(crate) struct Stack {
    layers: Vec<Arc<dyn Middleware>>,
    /// Those with a side for kicks: a layer that only passes on costs as much as one that does something.
    senders: Vec<Arc<dyn Middleware>>,
    /// Those with a side for attempts.
    runners: Vec<Arc<dyn Middleware>>,
}

impl Stack {
    pub(crate) fn new(system: &'static str) -> Self {
        let layers: Vec<Arc<dyn Middleware>> = vec![
            Arc::new(trace::Trace::new(system)),
            Arc::new(metrics::Metrics::new()),
            Arc::new(retry::Retry),
            Arc::new(deadline::Deadline),
            Arc::new(panic::CatchPanic),
        ];
        // `retry`, `deadline` and `panic` are about attempts alone.
        let senders = layers[..2].to_vec();
        // `trace` leaves the attempt's span to the worker.
        let runners = layers[1..].to_vec();
        Self {
            layers,
            senders,
            runners,
        }
    }

    pub(crate) fn with(mut self, layer: Arc<dyn Middleware>) -> Self {
        self.senders.push(Arc::clone(&layer));
        self.runners.push(Arc::clone(&layer));
        self.layers.push(layer);
        self
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.layers.iter().map(|layer| layer.name()).collect()
    }

    pub(crate) async fn send(
        &self,
        outbound: Outbound,
        outlet: Outlet<'_>,
    ) -> Result<(), KickError> {
        NextSend {
            layers: &self.senders,
            outlet,
        }
        .run(outbound)
        .await
    }

    pub(crate) async fn run(&self, job: &Job, core: &dyn Core) -> Outcome {
        Next {
            layers: &self.runners,
            core,
        }
        .run(job)
        .await
    }
}
