//! Results in Redis, as TaskIQ keeps them: the task's id is the key, the value TaskIQ's JSON, gone after its time to live.
//! Saving tells whoever waits; nobody polls. Only this folder and a few named places know the client library.

mod address;
mod wait;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult,
};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Record, ResultError, Results};
use crate::broker::reach::{self, Attempt, Backoff};
use crate::error::BoxError;
use crate::message::MessageId;
use address::Address;
pub(crate) use address::SCHEMES;
use wait::Doorbells;

/// The most that one command may take, reconnecting included.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);
/// The most that the store may take to answer; the library's own default of half a second is short for 8 MiB.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// The most that a connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest pause between two of the library's reconnects.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How many commands may stand in line for the socket.
const PIPELINE: usize = 512;
/// The most that wait for a result in this process at a time; more wait for their turn.
const MAX_WAITING: usize = 65_536;

/// How to reach a Redis, and where results stand in it.
#[derive(Clone)]
pub struct RedisConfig {
    /// `redis://user:password@host:port/db`, or `rediss://` for TLS.
    pub url: String,
    /// `Some("p")` makes the keys `p:<task id>`; `None`, as TaskIQ has it, the bare id.
    pub key_prefix: Option<String>,
    /// How long the first connect may take.
    pub boot_deadline: Duration,
}

impl RedisConfig {
    /// Bare ids as keys, and a boot deadline of 30 s.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            key_prefix: None,
            boot_deadline: Duration::from_secs(30),
        }
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the URL: there may be a password in it.
        f.debug_struct("RedisConfig")
            .field("key_prefix", &self.key_prefix)
            .field("boot_deadline", &self.boot_deadline)
            .finish_non_exhaustive()
    }
}

/// Whether the URL could be one of a Redis; connects nowhere.
pub(crate) fn check(url: &str) -> Result<(), ResultError> {
    Address::parse(url).map(drop)
}

/// Results in a Redis: one connection for commands, and a second one as soon as somebody waits.
pub struct RedisResults {
    manager: ConnectionManager,
    place: String,
    key_prefix: Option<String>,
    doorbells: Doorbells,
    turns: Arc<Semaphore>,
}

impl RedisResults {
    /// Connects, trying again until the boot deadline while the store is not there.
    ///
    /// # Errors
    /// [`ResultError::BadUrl`]; [`ResultError::Refused`] at once for a wrong password or database, else [`ResultError::Unreachable`] after the deadline.
    pub async fn connect(config: RedisConfig) -> Result<Self, ResultError> {
        reach::prepare_tls();
        let address = Address::parse(&config.url)?;
        let place = address.to_string();
        let unreachable = |error: RedisError| match refused(&error) {
            true => ResultError::Refused {
                place: place.clone(),
                source: error.into(),
            },
            false => ResultError::Unreachable {
                place: place.clone(),
                source: error.into(),
            },
        };
        let client = address.client().map_err(unreachable)?;
        reach::at_boot(&place, config.boot_deadline, || knock(&client))
            .await
            .map_err(unreachable)?;
        let manager = ConnectionManager::new_lazy_with_config(client.clone(), manager_config())
            .map_err(unreachable)?;
        let doorbells = Doorbells::start(client, place.clone());
        let turns = Arc::new(Semaphore::new(MAX_WAITING));
        Ok(Self {
            manager,
            place,
            key_prefix: config.key_prefix,
            doorbells,
            turns,
        })
    }

    /// How many calls of [`Results::wait`] in this process are told when this result is saved.
    #[must_use]
    pub fn waiting(&self, id: &MessageId) -> usize {
        self.doorbells.waiting(&self.channel(id))
    }

    fn key(&self, id: &MessageId) -> String {
        match &self.key_prefix {
            Some(prefix) => format!("{prefix}:{id}"),
            None => id.to_string(),
        }
    }

    fn channel(&self, id: &MessageId) -> String {
        format!("done:{}", self.key(id))
    }

    /// Runs the commands, once more if the connection broke under them: all of ours may be repeated.
    async fn run<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, ResultError> {
        let mut manager = self.manager.clone();
        let both = async {
            match commands.query_async(&mut manager).await {
                Err(error) if error.is_io_error() && !error.is_timeout() => {
                    commands.query_async(&mut manager).await
                }
                answer => answer,
            }
        };
        let answer: RedisResult<T> = timeout(COMMAND_TIMEOUT, both)
            .await
            .map_err(|late| self.unreachable(late))?;
        answer.map_err(|error| self.unreachable(error))
    }

    fn unreachable(&self, source: impl Into<BoxError>) -> ResultError {
        ResultError::Unreachable {
            place: self.place.clone(),
            source: source.into(),
        }
    }
}

/// A second way to the keys, for tests of what others may have put there.
#[cfg(feature = "testing")]
impl RedisResults {
    /// Puts any bytes where a result belongs.
    ///
    /// # Errors
    /// [`ResultError::Unreachable`].
    pub async fn put_raw(
        &self,
        id: &MessageId,
        bytes: &[u8],
        ttl: Duration,
    ) -> Result<(), ResultError> {
        let mut commands = redis::pipe();
        commands
            .cmd("SET")
            .arg(self.key(id))
            .arg(bytes)
            .arg("PX")
            .arg(millis(ttl))
            .ignore();
        self.run(&commands).await
    }

    /// How long the result is still kept; `None` when there is none.
    ///
    /// # Errors
    /// [`ResultError::Unreachable`].
    pub async fn time_left(&self, id: &MessageId) -> Result<Option<Duration>, ResultError> {
        let mut commands = redis::pipe();
        commands.cmd("PTTL").arg(self.key(id));
        let (millis,): (i64,) = self.run(&commands).await?;
        Ok(u64::try_from(millis).ok().map(Duration::from_millis))
    }
}

fn manager_config() -> ConnectionManagerConfig {
    ConnectionManagerConfig::new()
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_max_delay(LONGEST_PAUSE)
        .set_pipeline_buffer_size(PIPELINE)
}

/// One connect with a ping: a password is checked only when something is asked.
async fn knock(client: &Client) -> Attempt<(), RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT));
    let pinged = async {
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        redis::cmd("PING").exec_async(&mut connection).await
    };
    match pinged.await {
        Ok(()) => Attempt::Connected(()),
        Err(error) if refused(&error) => Attempt::Refused(error),
        Err(error) => Attempt::Away(error),
    }
}

/// Asking again would give the same answer. A server that is loading its data is not refusing.
fn refused(error: &RedisError) -> bool {
    let codes = ["WRONGPASS", "NOAUTH", "NOPERM", "ERR"];
    error.kind() == ErrorKind::AuthenticationFailed
        || error.code().is_some_and(|code| codes.contains(&code))
}

/// Redis refuses a time to live of nothing.
fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis())
        .unwrap_or(u64::MAX)
        .clamp(1, i64::MAX as u64 / 2)
}

#[async_trait]
impl Results for RedisResults {
    async fn save(
        &self,
        id: &MessageId,
        record: &Record,
        ttl: Duration,
    ) -> Result<(), ResultError> {
        let json = record.encode()?;
        let mut commands = redis::pipe();
        commands
            .atomic()
            .cmd("SET")
            .arg(self.key(id))
            .arg(json)
            .arg("PX")
            .arg(millis(ttl))
            .ignore();
        commands
            .cmd("PUBLISH")
            .arg(self.channel(id))
            .arg("")
            .ignore();
        self.run(&commands).await
    }

    async fn load(&self, id: &MessageId) -> Result<Option<Record>, ResultError> {
        let mut commands = redis::pipe();
        commands.cmd("GET").arg(self.key(id));
        let (bytes,): (Option<Vec<u8>>,) = self.run(&commands).await?;
        let unreadable = |source| ResultError::Unreadable {
            id: id.clone(),
            source,
        };
        bytes
            .map(|bytes| Record::decode(&bytes))
            .transpose()
            .map_err(unreadable)
    }

    async fn forget(&self, id: &MessageId) -> Result<(), ResultError> {
        let mut commands = redis::pipe();
        commands.cmd("DEL").arg(self.key(id)).ignore();
        self.run(&commands).await
    }

    async fn wait(&self, id: &MessageId) -> Result<Record, ResultError> {
        if let Ok(Some(record)) = self.load(id).await {
            return Ok(record);
        }
        let _turn = self
            .turns
            .acquire()
            .await
            .expect("the semaphore is never closed");
        let mut bell = self.doorbells.hang(self.channel(id));
        let mut backoff = Backoff::new();
        loop {
            bell.rung().await;
            // The bell rings when the subscription stands and whenever something was saved: looking after it misses nothing.
            loop {
                match self.load(id).await {
                    Ok(Some(record)) => return Ok(record),
                    Ok(None) => break,
                    Err(ResultError::Unreachable { .. }) => backoff.pause().await,
                    Err(error) => return Err(error),
                }
            }
        }
    }

    async fn ping(&self) -> Result<(), ResultError> {
        let mut commands = redis::pipe();
        commands.cmd("PING").ignore();
        self.run(&commands).await
    }
}

impl fmt::Debug for RedisResults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisResults")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
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
