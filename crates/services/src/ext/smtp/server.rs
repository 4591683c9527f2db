//! One mail to one server, on a connection of its own: greeting, TLS, sign-in, mail.
//!
//! What a no means depends on when it is said: the same 5xx is a wrong password before the mail, and
//! a mailbox that is not there with it.

use std::error::Error as _;
use std::time::Duration;

use lettre::Message;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use tokio::time::timeout;

use super::MailError;
use super::address::{Privacy, Server};
use super::trust;
use crate::redact::without_addresses;

/// How long the server may take until it is ready for the mail.
const TO_GREET: Duration = Duration::from_secs(30);
/// And with the mail: some look for spam before they say yes.
const TO_TAKE: Duration = Duration::from_secs(60);
/// The server wants a password, and got none.
const SIGN_IN_REQUIRED: u16 = 530;

/// Who says no, and when.
#[derive(Clone, Copy)]
enum Phase {
    Greeting,
    Privacy,
    SignIn,
    Mail,
}

/// Sends a mail; `domain` is the sender's, by which the server is greeted. Without `tls` it goes in
/// the clear.
pub(super) async fn send(
    server: &Server,
    tls: Option<TlsParameters>,
    domain: &str,
    message: &Message,
) -> Result<(), MailError> {
    let late = |_| MailError::Unreachable {
        server: server.to_string(),
        said: format!("no answer within {TO_GREET:?}"),
    };
    let open = timeout(TO_GREET, open(server, tls, domain));
    let mut connection = open.await.map_err(late)??;
    let bytes = message.formatted();
    let sent = timeout(TO_TAKE, connection.send(message.envelope(), &bytes)).await;
    // Also after a no: a server that is left without a word may hold it against whoever comes next.
    let _ = timeout(Duration::from_secs(1), connection.abort()).await;
    match sent {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(explained(server, Phase::Mail, &error)),
        Err(_) => Err(MailError::Unanswered {
            server: server.to_string(),
            said: format!("no answer within {TO_TAKE:?}"),
        }),
    }
}

/// A connection that is ready for a mail.
async fn open(
    server: &Server,
    tls: Option<TlsParameters>,
    domain: &str,
) -> Result<AsyncSmtpConnection, MailError> {
    let failed = |phase| move |error: Error| explained(server, phase, &error);
    let hello = ClientId::Domain(domain.to_owned());
    let (wrapped, agreed) = match server.privacy {
        Privacy::Tls => (tls, None),
        Privacy::StartTls | Privacy::None => (None, tls),
    };
    let place = (server.host.as_str(), server.port);
    let connected = AsyncSmtpConnection::connect_tokio1(place, None, &hello, wrapped, None);
    let mut connection = connected.await.map_err(failed(Phase::Greeting))?;
    if let Some(tls) = agreed {
        let agreed = connection.starttls(tls, &hello).await;
        agreed.map_err(failed(Phase::Privacy))?;
    }
    if let Some(sign_in) = &server.sign_in {
        let credentials = Credentials::new(sign_in.user.clone(), sign_in.password.clone());
        let mechanisms = [Mechanism::Plain, Mechanism::Login];
        let signed_in = connection.auth(&mechanisms, &credentials).await;
        signed_in.map_err(failed(Phase::SignIn))?;
    }
    Ok(connection)
}

fn explained(server: &Server, phase: Phase, error: &Error) -> MailError {
    let server = server.to_string();
    let said = said(error);
    match trust::objection(error) {
        Some(rustls::Error::InvalidCertificate(certificate)) => {
            let fault = trust::fault(certificate);
            return MailError::NotTrusted { server, fault };
        }
        Some(other) if !matches!(phase, Phase::Mail) => {
            let said = other.to_string();
            return MailError::NotPrivate { server, said };
        }
        _ => {}
    }
    let code = error.status().map(u16::from);
    match (phase, code) {
        // Too many connections, or closing down: also before the mail.
        (_, Some(code)) if error.is_transient() && !matches!(phase, Phase::Privacy) => {
            MailError::Busy { server, code, said }
        }
        (Phase::SignIn, _) | (Phase::Mail, Some(SIGN_IN_REQUIRED)) => {
            MailError::SignIn { server, said }
        }
        (Phase::Mail, Some(code)) => MailError::Refused { server, code, said },
        // The client saw before it sent anything that this server cannot take it.
        (Phase::Mail, None) if error.is_client() => MailError::BadLetter { reason: said },
        (Phase::Mail, None) => MailError::Unanswered { server, said },
        (Phase::Privacy, _) => MailError::NotPrivate { server, said },
        (Phase::Greeting, _) => MailError::Unreachable { server, said },
    }
}

/// The server's own words, or the client's, without what it repeats of the mail.
fn said(error: &Error) -> String {
    let words = error.source().map(ToString::to_string);
    without_addresses(&words.unwrap_or_else(|| error.to_string()))
}
