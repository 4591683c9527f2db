//! What it takes to reach any server: URLs that never show their password, pauses between tries, TLS.
//! Knows no protocol; brokers and result stores use it alike.

use std::fmt::Display;
use std::sync::Once;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tracing::warn;
use url::Url;
use uuid::Uuid;

/// The first pause between two tries.
const SHORTEST: Duration = Duration::from_millis(200);
/// The longest pause between two tries.
const LONGEST: Duration = Duration::from_secs(30);
/// The longest pause while a process starts: somebody is waiting for it.
const LONGEST_AT_BOOT: Duration = Duration::from_secs(2);
/// What the last try at boot is given, after the deadline if need be.
const LAST_TRY: Duration = Duration::from_secs(1);
/// The shortest time between two lines in the log about the same thing.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// Jittered, exponentially growing pauses.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    /// For a connection that was there and went away: 0.2 to 30 s.
    pub(crate) fn new() -> Self {
        Self {
            next: SHORTEST,
            longest: LONGEST,
        }
    }

    fn at_boot() -> Self {
        Self {
            next: SHORTEST,
            longest: LONGEST_AT_BOOT,
        }
    }

    /// The next pause: half to all of the step, so that many processes do not come back at once.
    pub(crate) fn step(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(self.longest);
        // The low bits of a random UUID are as random as a dice needs to be.
        let part = f64::from(Uuid::new_v4().as_u128() as u16) / f64::from(u16::MAX);
        step.mul_f64(0.5 + part / 2.0)
    }

    /// Waits for the next pause. Cancel-safe.
    pub(crate) async fn pause(&mut self) {
        tokio::time::sleep(self.step()).await;
    }
}

/// What became of one try to connect.
pub(crate) enum Attempt<T, E> {
    /// It worked.
    Connected(T),
    /// The server said no, and would say it again.
    Refused(E),
    /// The server is not there, or not yet.
    Away(E),
}

/// Tries until it works, the server refuses, or the deadline has passed; says why it waits, once a second at most.
pub(crate) async fn at_boot<T, E, F>(
    place: &str,
    deadline: Duration,
    mut attempt: impl FnMut() -> F,
) -> Result<T, E>
where
    E: Display + From<std::io::Error>,
    F: Future<Output = Attempt<T, E>>,
{
    let end = Instant::now() + deadline;
    let mut backoff = Backoff::at_boot();
    let mut said: Option<Instant> = None;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let tried = timeout(left.max(LAST_TRY), attempt()).await;
        let error = match tried.unwrap_or_else(|_| Attempt::Away(mute().into())) {
            Attempt::Connected(connection) => return Ok(connection),
            Attempt::Refused(error) => return Err(error),
            Attempt::Away(error) => error,
        };
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(error);
        }
        if said.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
            said = Some(Instant::now());
            warn!(place, %error, "waiting for the server to come up");
        }
        // The last try is at the end, and not up to a pause before it.
        tokio::time::sleep(backoff.step().min(left)).await;
    }
}

/// A server that takes connections and says nothing.
fn mute() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "it does not answer")
}

/// Parses a URL of one of the schemes. What it says on failure never repeats the URL: there may be a password in it.
pub(crate) fn parse(url: &str, what: &str, schemes: &[&str]) -> Result<Url, String> {
    let allowed = schemes
        .iter()
        .map(|scheme| format!("{scheme}://"))
        .collect::<Vec<_>>()
        .join(", ");
    let parsed = Url::parse(url).map_err(|reason| {
        format!("the URL of the {what} cannot be read ({reason}); it is like scheme://user:password@host:port with one of {allowed}, and a / ? # or @ in its password is written %2F %3F %23 %40")
    })?;
    let beyond_host = [Some(parsed.path()), parsed.query()];
    if parsed.fragment().is_some()
        || beyond_host
            .into_iter()
            .flatten()
            .any(|part| part.contains('@'))
    {
        // Otherwise the rest of the password would be taken for the host, and said in every message.
        return Err(format!(
            "the URL of the {what} has a # in it, or an @ after its host, and takes neither; a / ? # or @ in its password is written %2F %3F %23 %40"
        ));
    }
    if schemes.contains(&parsed.scheme()) {
        return Ok(parsed);
    }
    Err(format!(
        "the URL of the {what} starts with {}://, and must start with one of {allowed}",
        parsed.scheme()
    ))
}

/// Makes ring the TLS provider of this process, unless it has one.
pub(crate) fn prepare_tls() {
    static ONCE: Once = Once::new();
    // Fails only when somebody chose a provider before: then theirs is used.
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

#[cfg(test)]
mod tests {
    use std::io::Error;

    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_are_never_the_full_step_for_all() {
        let mut backoff = Backoff::new();
        let pauses: Vec<Duration> = (0..12).map(|_| backoff.step()).collect();
        assert!(pauses[0] >= SHORTEST / 2 && pauses[0] <= SHORTEST);
        assert!(pauses[11] >= LONGEST / 2 && pauses[11] <= LONGEST);
    }

    #[test]
    fn a_bad_url_is_named_without_its_password() {
        for url in [
            "http://me:s3cret@host",
            "s3cret",
            "amqp://me:s3cret@host:notaport/",
        ] {
            let said = parse(url, "broker", &["amqp", "memory"]).expect_err(url);
            assert!(!said.contains("s3cret"), "{said}");
            assert!(said.contains("amqp://, memory://"), "{said}");
        }
    }

    #[test]
    fn a_password_that_would_be_taken_for_a_host_is_refused() {
        for url in [
            "amqp://u:s3c@ret#pw@host",
            "amqp://u:s3c/ret@host",
            "amqp://u:s3c?ret@host",
        ] {
            let said = parse(url, "broker", &["amqp"]).expect_err(url);
            assert!(said.contains("%40") && !said.contains("ret"), "{said}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn boot_tries_until_its_deadline_and_not_after_a_refusal() {
        let (mut tries, before) = (0, Instant::now());
        let away = at_boot("here", Duration::from_secs(10), || {
            tries += 1;
            std::future::ready(Attempt::<(), _>::Away(Error::other("not there")))
        });
        assert_eq!(away.await.expect_err("away").to_string(), "not there");
        assert!((5..40).contains(&tries), "{tries} tries");
        assert_eq!(before.elapsed(), Duration::from_secs(10), "the last one");

        let refused = at_boot("here", Duration::from_secs(10), || {
            std::future::ready(Attempt::<(), _>::Refused(Error::other("wrong password")))
        });
        let before = Instant::now();
        assert_eq!(
            refused.await.expect_err("refused").to_string(),
            "wrong password"
        );
        assert_eq!(before.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_nothing_is_not_waited_for_after_the_deadline() {
        let before = Instant::now();
        let mute = at_boot("here", Duration::from_secs(3), std::future::pending);
        let error: Error = mute.await.map(|()| "connected").expect_err("mute");
        assert_eq!(error.to_string(), "it does not answer");
        assert!(before.elapsed() <= Duration::from_secs(3) + LAST_TRY);
    }
}
