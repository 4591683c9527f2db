//! The line to one Redis: commands in bounded time, repeated once if the connection broke under them. Every command of ours
//! may be repeated. Knows no keys.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, FromRedisValue, Pipeline, RedisError, RedisResult, ScriptInvocation};
use sapari_telemetry::mark_failed;
use sapari_telemetry::switches::{RedisSpan, redis_span};
use tokio::time::timeout;
use tracing::{Instrument, Span};

use super::super::ResultError;
use crate::error::BoxError;
use crate::ledger::LedgerError;

/// The most that one command may take, reconnecting included.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);
/// The most that the store may take to answer; the library's own default of half a second is short for 8 MiB.
pub(crate) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// The most that a connect may take.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest pause between two of the library's reconnects.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How many commands may stand in line for the socket.
const PIPELINE: usize = 512;

/// One connection for commands, shared by all who clone it.
#[derive(Clone)]
pub(crate) struct Line {
    client: Client,
    place: String,
    // A std mutex: held for one look or one assignment, never across an await.
    current: Arc<Mutex<Current>>,
}

/// The connection in use, and which one it is.
#[derive(Clone)]
struct Current {
    manager: ConnectionManager,
    number: u64,
}

/// The server did not answer, or not as it should.
pub(crate) struct Broken {
    place: String,
    source: BoxError,
}

impl Line {
    /// A line that connects when it is first used.
    pub(crate) fn to(client: Client, place: String) -> RedisResult<Self> {
        let manager = connection(&client)?;
        let current = Current { manager, number: 0 };
        Ok(Self {
            client,
            place,
            current: Arc::new(Mutex::new(current)),
        })
    }

    /// Host and port, never the password.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Runs the commands.
    pub(crate) async fn run<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, Broken> {
        let current = self.current();
        let mut manager = current.manager.clone();
        let span = redis_span(|| RedisSpan {
            command: name_of(commands),
            commands: commands.len(),
            server: &self.place,
        });
        let twice = async {
            match commands.query_async(&mut manager).await {
                Err(error) if worth_repeating(&error) => commands.query_async(&mut manager).await,
                answer => answer,
            }
        };
        self.in_time(current.number, twice, span).await
    }

    /// Runs a script, sending its text only to a server that does not know it yet.
    pub(crate) async fn call<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, Broken> {
        let current = self.current();
        let mut manager = current.manager.clone();
        let span = redis_span(|| RedisSpan {
            command: "EVALSHA",
            commands: 1,
            server: &self.place,
        });
        let twice = async {
            match script.invoke_async(&mut manager).await {
                Err(error) if worth_repeating(&error) => script.invoke_async(&mut manager).await,
                answer => answer,
            }
        };
        self.in_time(current.number, twice, span).await
    }

    async fn in_time<T>(
        &self,
        number: u64,
        answer: impl Future<Output = RedisResult<T>>,
        span: Span,
    ) -> Result<T, Broken> {
        match timeout(COMMAND_TIMEOUT, answer.instrument(span.clone())).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                // Not its text: a server repeats what it does not understand.
                mark_failed(&span, "RedisError", &format!("{:?}", error.kind()));
                if error.is_timeout() {
                    self.replace(number);
                }
                Err(self.broken(error))
            }
            Err(late) => {
                mark_failed(&span, "Timeout", "it did not answer in time");
                self.replace(number);
                Err(self.broken(late))
            }
        }
    }

    /// A connection that stays silent may be half open: the library would ask it for ever. The next command gets a new one.
    fn replace(&self, silent: u64) {
        let mut current = self.lock();
        if current.number != silent {
            return;
        }
        // The address was good before: an error leaves the old one, to be replaced the next time.
        if let Ok(manager) = connection(&self.client) {
            *current = Current {
                manager,
                number: silent + 1,
            };
        }
    }

    fn current(&self) -> Current {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        // Whole between any two operations, so a panic elsewhere leaves nothing half done.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn broken(&self, source: impl Into<BoxError>) -> Broken {
        Broken {
            place: self.place.clone(),
            source: source.into(),
        }
    }
}

fn connection(client: &Client) -> RedisResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_max_delay(LONGEST_PAUSE)
        .set_pipeline_buffer_size(PIPELINE);
    ConnectionManager::new_lazy_with_config(client.clone(), config)
}

/// The first command's name; a transaction's is `MULTI`.
fn name_of(commands: &Pipeline) -> &str {
    if commands.is_transaction() {
        return "MULTI";
    }
    let first = commands.cmd_iter().next();
    let name = first.and_then(|command| command.args_iter().next());
    match name {
        Some(redis::Arg::Simple(name)) => std::str::from_utf8(name).unwrap_or("?"),
        _ => "?",
    }
}

fn worth_repeating(error: &RedisError) -> bool {
    error.is_io_error() && !error.is_timeout()
}

impl From<Broken> for ResultError {
    fn from(Broken { place, source }: Broken) -> Self {
        Self::Unreachable { place, source }
    }
}

impl From<Broken> for LedgerError {
    fn from(Broken { place, source }: Broken) -> Self {
        Self::Away { place, source }
    }
}

/// A time in whole milliseconds; Redis refuses one of nothing.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis())
        .unwrap_or(u64::MAX)
        .clamp(1, i64::MAX as u64 / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_live_is_never_nothing() {
        assert_eq!(millis(Duration::ZERO), 1);
        assert_eq!(millis(Duration::from_secs(2)), 2000);
        assert!(millis(Duration::MAX) < i64::MAX as u64);
    }
}
