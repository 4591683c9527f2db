//! Results in Redis, as TaskIQ keeps them: the task's id is the key, the value TaskIQ's JSON, gone after its time to live.
//! Saving tells whoever waits; nobody polls. Only this folder and a few named places know the client library.

mod address;
pub(crate) mod line;
mod prune;
pub(crate) mod wait;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError};
use tokio::sync::Semaphore;

use super::{Meant, Record, ResultError, Results};
use crate::broker::reach::{self, Attempt, Backoff};
use crate::ledger::Ledger;
use crate::ledger::redis::RedisLedger;
use crate::message::MessageId;
use address::Address;
pub(crate) use address::SCHEMES;
use line::{CONNECT_TIMEOUT, Line, RESPONSE_TIMEOUT, millis};
use wait::Doorbells;

/// The most that wait for a result in this process at a time; more wait for their turn.
const MAX_WAITING: usize = 65_536;

/// How to reach a Redis, and where results stand in it.
#[derive(Clone)]
pub struct RedisConfig {
    /// `redis://user:password@host:port/db`, or `rediss://` for TLS.
    pub url: String,
    /// `Some("p")` makes the keys `p:<task id>`; `None`, as TaskIQ has it, the bare id.
    pub key_prefix: Option<String>,
    /// What the ledger's keys start with: several environments can share one server.
    pub namespace: String,
    /// How long the first connect may take.
    pub boot_deadline: Duration,
}

impl RedisConfig {
    /// Bare ids as keys, a ledger called `tasks`, and a boot deadline of 30 s.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            key_prefix: None,
            namespace: "tasks".to_owned(),
            boot_deadline: Duration::from_secs(30),
        }
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the URL: there may be a password in it.
        f.debug_struct("RedisConfig")
            .field("key_prefix", &self.key_prefix)
            .field("namespace", &self.namespace)
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
    line: Line,
    keys: Keys,
    doorbells: Arc<Doorbells>,
    ledger: Arc<RedisLedger>,
    turns: Arc<Semaphore>,
}

/// What a result's key is called.
#[derive(Clone)]
pub(crate) struct Keys {
    prefix: Option<String>,
}

impl Keys {
    pub(crate) fn result(&self, id: &MessageId) -> String {
        match &self.prefix {
            Some(prefix) => format!("{prefix}:{id}"),
            None => id.to_string(),
        }
    }

    /// TaskIQ's key of a task's progress.
    pub(crate) fn progress(&self, id: &MessageId) -> String {
        self.result(id) + "__progress"
    }
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
        let line = Line::to(client.clone(), place.clone()).map_err(unreachable)?;
        let doorbells = Arc::new(Doorbells::start(client, place));
        let keys = Keys {
            prefix: config.key_prefix,
        };
        let ledger = RedisLedger::new(
            line.clone(),
            &config.namespace,
            keys.clone(),
            Arc::clone(&doorbells),
        );
        Ok(Self {
            line,
            keys,
            doorbells,
            ledger: Arc::new(ledger),
            turns: Arc::new(Semaphore::new(MAX_WAITING)),
        })
    }

    /// How many calls of [`Results::wait`] in this process are told when this result is saved.
    #[must_use]
    pub fn waiting(&self, id: &MessageId) -> usize {
        self.doorbells.waiting(&self.channel(id))
    }

    fn key(&self, id: &MessageId) -> String {
        self.keys.result(id)
    }

    fn channel(&self, id: &MessageId) -> String {
        format!("done:{}", self.key(id))
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
        Ok(self.line.run(&commands).await?)
    }

    /// The same, for ever.
    ///
    /// # Errors
    /// [`ResultError::Unreachable`].
    pub async fn put_endless(&self, id: &MessageId, bytes: &[u8]) -> Result<(), ResultError> {
        let mut commands = redis::pipe();
        commands.cmd("SET").arg(self.key(id)).arg(bytes).ignore();
        Ok(self.line.run(&commands).await?)
    }

    /// How long the result is still kept; `None` when there is none.
    ///
    /// # Errors
    /// [`ResultError::Unreachable`].
    pub async fn time_left(&self, id: &MessageId) -> Result<Option<Duration>, ResultError> {
        let mut commands = redis::pipe();
        commands.cmd("PTTL").arg(self.key(id));
        let (millis,): (i64,) = self.line.run(&commands).await?;
        Ok(u64::try_from(millis).ok().map(Duration::from_millis))
    }
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
        if let Some(kick) = &record.kick {
            let (key, value) = self.ledger.finished(id, kick);
            commands
                .cmd("SET")
                .arg(key)
                .arg(value)
                .arg("PX")
                .arg(millis(ttl))
                .ignore();
            commands.cmd("HDEL").arg(self.ledger.held_key());
            commands.arg(id.as_str()).ignore();
        }
        commands
            .cmd("PUBLISH")
            .arg(self.channel(id))
            .arg("")
            .ignore();
        Ok(self.line.run(&commands).await?)
    }

    async fn load(&self, id: &MessageId) -> Result<Option<Record>, ResultError> {
        let mut commands = redis::pipe();
        commands.cmd("GET").arg(self.key(id));
        let (bytes,): (Option<Vec<u8>>,) = self.line.run(&commands).await?;
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
        self.line.run::<()>(&commands).await?;
        Ok(self.ledger.replay(id).await?)
    }

    async fn wait_for(&self, id: &MessageId, meant: Meant) -> Result<Record, ResultError> {
        if let Ok(Some(record)) = self.load(id).await
            && meant.is(&record)
        {
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
                    Ok(Some(record)) if meant.is(&record) => return Ok(record),
                    Ok(_) => break,
                    Err(ResultError::Unreachable { .. }) => backoff.pause().await,
                    Err(error) => return Err(error),
                }
            }
        }
    }

    async fn prune(&self, kept: Duration) -> Result<u64, ResultError> {
        Ok(self.give_ends(kept).await?)
    }

    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::clone(&self.ledger) as Arc<dyn Ledger>
    }

    async fn ping(&self) -> Result<(), ResultError> {
        let mut commands = redis::pipe();
        commands.cmd("PING").ignore();
        Ok(self.line.run(&commands).await?)
    }
}

impl fmt::Debug for RedisResults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisResults")
            .field("place", &self.line.place())
            .finish_non_exhaustive()
    }
}
