//! Whose certificates are believed: those of the system's authorities, and of one file's.
//!
//! It deliberately has no way to believe any certificate, and none to leave the system's authorities
//! out.

use std::error::Error as _;
use std::io;
use std::path::Path;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::client::{Certificate, TlsParameters};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, RootCertStore};

use super::MailError;
use super::address::Server;

/// The most names of a certificate that a sentence repeats.
const MAX_NAMES: usize = 3;

/// What a connection to this server must show; `file` names authorities beside the system's.
pub(super) fn parameters(server: &Server, file: Option<&Path>) -> Result<TlsParameters, MailError> {
    let mut builder = TlsParameters::builder(server.host.clone());
    for certificate in file.map(authorities).transpose()?.unwrap_or_default() {
        builder = builder.add_root_certificate(certificate);
    }
    builder.build().map_err(|error| MailError::NotPrivate {
        server: server.to_string(),
        said: error.to_string(),
    })
}

/// The certificates of a PEM file, each of them fit to be trusted.
fn authorities(file: &Path) -> Result<Vec<Certificate>, MailError> {
    let bad = |reason: String| MailError::BadAuthorities {
        path: file.to_owned(),
        reason,
    };
    let bytes = std::fs::read(file).map_err(MailError::io("read", file))?;
    let mut found = Vec::new();
    for der in CertificateDer::pem_slice_iter(&bytes) {
        let der = der.map_err(|error| bad(error.to_string()))?;
        let mut fits = RootCertStore::empty();
        let fit = fits.add(der.clone());
        fit.map_err(|error| bad(error.to_string()))?;
        let certificate = Certificate::from_der(der.to_vec());
        found.push(certificate.map_err(|error| bad(error.to_string()))?);
    }
    if found.is_empty() {
        return Err(bad("there is no BEGIN CERTIFICATE in it".to_owned()));
    }
    Ok(found)
}

/// What the TLS library has against a server, if it was asked.
pub(super) fn objection(error: &Error) -> Option<&rustls::Error> {
    let mut next = error.source();
    while let Some(cause) = next {
        let io: Option<&io::Error> = cause.downcast_ref();
        if let Some(objection) = io.and_then(|io| io.get_ref()?.downcast_ref()) {
            return Some(objection);
        }
        next = cause.source();
    }
    None
}

/// What is wrong with a certificate, and what to do: the end of a sentence that begins with it.
pub(super) fn fault(of: &CertificateError) -> String {
    match of {
        CertificateError::UnknownIssuer => {
            "is of no authority that is trusted here; name its authority's with --email-ca-file"
                .to_owned()
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            let host = expected.to_str();
            let names = names(presented);
            format!("is for {names}, not for {host}; name in the mail URL a host that it is for")
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "has expired; the server needs a new one".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet; compare the clock of this machine".to_owned()
        }
        other => format!("is not good: {other}"),
    }
}

/// `DnsName("mail.example")` of the TLS library as `mail.example`.
fn names(presented: &[String]) -> String {
    let plain = |name: &String| {
        let inner = name.split_once("(\"").map(|(_, rest)| rest);
        let inner = inner.and_then(|rest| rest.strip_suffix("\")"));
        inner.unwrap_or(name).to_owned()
    };
    let mut names: Vec<_> = presented.iter().take(MAX_NAMES).map(plain).collect();
    match presented.len() {
        0 => return "no host".to_owned(),
        many if many > MAX_NAMES => names.push(format!("{} more", many - MAX_NAMES)),
        _ => {}
    }
    names.join(", ")
}
