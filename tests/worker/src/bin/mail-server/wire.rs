//! The bytes of a conversation, in the clear or inside TLS. It deliberately asks no client for a certificate.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What TLS needs: a certificate with its chain, and its key, in one PEM file.
pub(crate) fn identity(file: &Path) -> Arc<ServerConfig> {
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(file).and_then(std::iter::Iterator::collect);
    let key = PrivateKeyDer::from_pem_file(file).expect("a key");
    let config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions that ring knows")
            .with_no_client_auth()
            .with_single_cert(chain.expect("certificates"), key);
    Arc::new(config.expect("a certificate that fits its key"))
}

/// A connection, read by lines.
pub(crate) enum Wire {
    Clear(BufReader<TcpStream>),
    Secure(Box<BufReader<StreamOwned<ServerConnection, TcpStream>>>),
}

impl Wire {
    pub(crate) fn clear(stream: TcpStream) -> Self {
        Self::Clear(BufReader::new(stream))
    }

    /// The same connection inside TLS, from the client's next byte on.
    pub(crate) fn secure(self, config: &Arc<ServerConfig>) -> io::Result<Self> {
        let Self::Clear(clear) = self else {
            return Err(io::Error::other("it is inside TLS"));
        };
        let mut stream = clear.into_inner();
        let mut tls = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut stream)?;
        }
        let tls = BufReader::new(StreamOwned::new(tls, stream));
        Ok(Self::Secure(Box::new(tls)))
    }

    /// The next line, without its end; none when the client is gone.
    pub(crate) fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = String::new();
        let read = match self {
            Self::Clear(from) => read_line(from, &mut line),
            Self::Secure(from) => read_line(from.as_mut(), &mut line),
        };
        let kept = line.trim_end_matches(['\r', '\n']);
        Ok((read? > 0).then(|| kept.to_owned()))
    }

    pub(crate) fn say(&mut self, line: &str) -> io::Result<()> {
        let to: &mut dyn Write = match self {
            Self::Clear(to) => to.get_mut(),
            Self::Secure(to) => to.get_mut(),
        };
        write!(to, "{line}\r\n")?;
        to.flush()
    }
}

fn read_line(from: &mut BufReader<impl Read>, line: &mut String) -> io::Result<usize> {
    io::BufRead::read_line(from, line)
}
