//! One connection, kept up: connects, notices its end, connects again with a growing pause, for as long as somebody holds the link.
//! Opens no channels; the library's own recovery stays off, because it would carry acks of the old channel to the new one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use lapin::{Channel, Connection, ConnectionProperties, ErrorKind, Event};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{debug, info, warn};

use super::address::Address;
use crate::broker::BrokerError;
use crate::broker::reach::{self, Attempt, Backoff};

/// The most that a connect with its handshake may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// The most that a goodbye may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection that comes back. Cheap to clone; ends with its last clone.
#[derive(Clone)]
pub(super) struct Link {
    shared: Arc<Shared>,
}

struct Shared {
    place: String,
    state: watch::Receiver<State>,
    suspect: Arc<Notify>,
    reconnects: Arc<AtomicU64>,
    end: CancellationToken,
    _guard: DropGuard,
}

#[derive(Clone)]
enum State {
    Up(Arc<Connection>),
    Down,
    /// Nobody gets it any more, but it has not said goodbye yet.
    Closing,
    Closed,
}

/// The link was closed by its owner.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the connection was closed by this process")]
pub(super) struct Closed;

impl Link {
    /// Connects, and keeps connected from then on.
    ///
    /// # Errors
    /// [`BrokerError::Refused`] at once when the broker does not let us in, [`BrokerError::Unreachable`] after the deadline.
    pub(super) async fn open(
        address: Address,
        name: String,
        deadline: Duration,
    ) -> Result<Self, BrokerError> {
        let place = address.to_string();
        let reconnects = Arc::default();
        let supervisor = Supervisor {
            address,
            name,
            place: place.clone(),
            reconnects: Arc::clone(&reconnects),
        };
        let first = reach::at_boot(&place, deadline, || supervisor.attempt()).await;
        let first = Arc::new(first.map_err(|error| not_connected(&place, error))?);
        let (sender, state) = watch::channel(State::Up(Arc::clone(&first)));
        let (suspect, end) = (Arc::new(Notify::new()), CancellationToken::new());
        tokio::spawn(supervisor.run(first, sender, Arc::clone(&suspect), end.clone()));
        let guard = end.clone().drop_guard();
        Ok(Self {
            shared: Arc::new(Shared {
                place,
                state,
                suspect,
                reconnects,
                end,
                _guard: guard,
            }),
        })
    }

    /// The connection, as soon as there is one. Cancel-safe.
    pub(super) async fn up(&self) -> Result<Arc<Connection>, Closed> {
        let mut state = self.shared.state.clone();
        let state = state.wait_for(|state| !matches!(state, State::Down)).await;
        match state.as_deref() {
            Ok(State::Up(connection)) => Ok(Arc::clone(connection)),
            _ => Err(Closed),
        }
    }

    /// Whether there is a connection now.
    pub(super) fn is_up(&self) -> bool {
        matches!(&*self.shared.state.borrow(), State::Up(connection) if connection.status().connected())
    }

    /// How often the connection came back.
    pub(super) fn reconnects(&self) -> u64 {
        self.shared.reconnects.load(Ordering::Relaxed)
    }

    /// Makes the supervisor look whether the connection still lives: something on it failed.
    pub(super) fn suspect(&self) {
        self.shared.suspect.notify_one();
    }

    /// Host, port and virtual host.
    pub(super) fn place(&self) -> &str {
        &self.shared.place
    }

    /// Says goodbye and does not come back.
    pub(super) async fn close(&self) {
        self.shared.end.cancel();
        let mut state = self.shared.state.clone();
        // An error means that the supervisor is gone already.
        let _ = state.wait_for(|state| matches!(state, State::Closed)).await;
    }
}

fn not_connected(place: &str, error: lapin::Error) -> BrokerError {
    if refused(&error) {
        let action =
            format!("let this process in at {place}; check user, password and virtual host");
        return BrokerError::Refused {
            action,
            source: error.into(),
        };
    }
    BrokerError::Unreachable {
        place: place.to_owned(),
        source: error.into(),
    }
}

/// A wrong password or an unknown virtual host: asking again would give the same answer.
fn refused(error: &lapin::Error) -> bool {
    use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
    let ErrorKind::ProtocolError(error) = error.kind() else {
        return false;
    };
    matches!(
        error.kind(),
        AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED)
            | AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED)
    )
}

/// Opens a channel. The library numbers channels in a circle, and keeps the error of a channel that the broker has closed
/// for the next one of that number, for ever: such a number is skipped. Opening is never refused by itself.
pub(super) async fn open_channel(connection: &Connection) -> lapin::Result<Channel> {
    let mut tries = 0..connection.configuration().channel_max();
    loop {
        match connection.create_channel().await {
            Err(stale) if stale.is_amqp_soft_error() && tries.next().is_some() => {}
            opened => return opened,
        }
    }
}

struct Supervisor {
    address: Address,
    name: String,
    place: String,
    reconnects: Arc<AtomicU64>,
}

impl Supervisor {
    async fn run(
        self,
        first: Arc<Connection>,
        sender: watch::Sender<State>,
        suspect: Arc<Notify>,
        end: CancellationToken,
    ) {
        let mut connection = first;
        while let Some(next) = self.one_life(&connection, &sender, &suspect, &end).await {
            connection = next;
        }
        sender.send_replace(State::Closing);
        goodbye(&connection).await;
        sender.send_replace(State::Closed);
    }

    /// From one connection to the next; `None` when it is time to go.
    async fn one_life(
        &self,
        connection: &Arc<Connection>,
        sender: &watch::Sender<State>,
        suspect: &Notify,
        end: &CancellationToken,
    ) -> Option<Arc<Connection>> {
        tokio::select! {
            biased;
            () = end.cancelled() => return None,
            () = lost(connection, suspect, &self.place) => {}
        }
        sender.send_replace(State::Down);
        warn!(
            place = self.place,
            connection = self.name,
            "the connection to the broker was lost; reconnecting"
        );
        let next = tokio::select! {
            biased;
            () = end.cancelled() => return None,
            next = self.reconnect() => Arc::new(next),
        };
        info!(
            place = self.place,
            connection = self.name,
            "connected to the broker again"
        );
        self.reconnects.fetch_add(1, Ordering::Relaxed);
        sender.send_replace(State::Up(Arc::clone(&next)));
        Some(next)
    }

    async fn reconnect(&self) -> Connection {
        let mut backoff = Backoff::new();
        loop {
            // First the pause: a broker that closes every connection at once is not helped by haste.
            backoff.pause().await;
            match self.connect().await {
                Ok(connection) => return connection,
                Err(error) => {
                    warn!(place = self.place, %error, "the broker cannot be reached; trying again")
                }
            }
        }
    }

    async fn attempt(&self) -> Attempt<Connection, lapin::Error> {
        match self.connect().await {
            Ok(connection) => Attempt::Connected(connection),
            Err(error) if refused(&error) => Attempt::Refused(error),
            Err(error) => Attempt::Away(error),
        }
    }

    async fn connect(&self) -> lapin::Result<Connection> {
        reach::prepare_tls();
        let properties =
            ConnectionProperties::default().with_connection_name(self.name.as_str().into());
        let connecting = Connection::connect_uri(self.address.uri(), properties);
        let late = |_| std::io::Error::new(std::io::ErrorKind::TimedOut, "no connection in time");
        timeout(CONNECT_TIMEOUT, connecting).await.map_err(late)?
    }
}

/// Returns when the connection is gone.
async fn lost(connection: &Connection, suspect: &Notify, place: &str) {
    let mut events = std::pin::pin!(connection.events_listener());
    while connection.status().connected() {
        tokio::select! {
            () = suspect.notified() => {}
            event = next_event(&mut events) => match event {
                Event::ConnectionBlocked(reason) => warn!(place, reason, "the broker blocks publishing"),
                Event::ConnectionUnblocked => info!(place, "the broker takes messages again"),
                Event::Error(error) => debug!(place, %error, "error on the connection"),
                _ => {}
            },
        }
    }
}

/// The next event; a stream that has ended stays silent, and `suspect` is what is left to go by.
async fn next_event(events: &mut (impl Stream<Item = Event> + Unpin)) -> Event {
    match events.next().await {
        Some(event) => event,
        None => std::future::pending().await,
    }
}

async fn goodbye(connection: &Connection) {
    if let Ok(Err(error)) = timeout(CLOSE_TIMEOUT, connection.close(200, "bye".into())).await {
        debug!(%error, "the connection was closed without the broker's answer");
    }
}
