//! A mail server for tests, on a loopback port that it names. It says no in all the ways that servers do, by the recipient's name,
//! and tells on stdout what it heard and which mails it took. It keeps nothing, and knows as much of SMTP as that needs.
//!
//! `mail-server [--tls FILE] [--starttls [FILE]] [--auth BASE64]`: speaks TLS from the start, or after STARTTLS, with the certificate
//! and key of this PEM file; without one it offers STARTTLS and then refuses it. Lets nobody send who does not say this.

mod wire;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ServerConfig;

use wire::Wire;

/// How it behaves.
#[derive(Default)]
struct Rules {
    /// TLS from the first byte.
    tls: Option<Arc<ServerConfig>>,
    /// STARTTLS is offered, and with what it is done.
    starttls: Option<Option<Arc<ServerConfig>>>,
    auth: Option<String>,
    /// To whom it has said no once.
    refused: Mutex<BTreeSet<String>>,
}

impl Rules {
    fn from_args() -> Self {
        let mut rules = Self::default();
        let mut args = std::env::args().skip(1).peekable();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--tls" => rules.tls = args.next().map(|file| wire::identity(Path::new(&file))),
                "--starttls" => {
                    let file = args.next_if(|arg| !arg.starts_with("--"));
                    rules.starttls = Some(file.map(|file| wire::identity(Path::new(&file))));
                }
                "--auth" => rules.auth = args.next(),
                other => panic!("{other}: give --tls FILE, --starttls [FILE] or --auth BASE64"),
            }
        }
        rules
    }

    /// Whether it is the first time for this recipient.
    fn first(&self, recipient: &str) -> bool {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.insert(recipient.to_owned())
    }
}

fn main() -> io::Result<()> {
    let rules = Arc::new(Rules::from_args());
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    tell(&format!("listening {}", listener.local_addr()?.port()))?;
    for stream in listener.incoming() {
        let (stream, rules) = (stream?, Arc::clone(&rules));
        // One for each connection of a test, which makes few. A client that went away in the midst is no matter.
        std::thread::spawn(move || {
            let ended = Conversation::with(stream, &rules).and_then(Conversation::hold);
            ended.or_else(|error| tell(&format!("ended {error}")))
        });
    }
    Ok(())
}

fn tell(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Whether to go on.
type Goes = io::Result<bool>;

struct Conversation<'a> {
    /// None only while TLS begins.
    wire: Option<Wire>,
    rules: &'a Rules,
    recipient: String,
    signed_in: bool,
}

impl<'a> Conversation<'a> {
    fn with(stream: TcpStream, rules: &'a Rules) -> io::Result<Self> {
        let mut wire = Wire::clear(stream);
        if let Some(config) = &rules.tls {
            wire = wire.secure(config)?;
            tell("secure")?;
        }
        Ok(Self {
            wire: Some(wire),
            rules,
            recipient: String::new(),
            signed_in: rules.auth.is_none(),
        })
    }

    fn hold(mut self) -> io::Result<()> {
        self.say("220 mail.test ESMTP")?;
        while let Some(line) = self.line()? {
            let verb = line.split(' ').next().unwrap_or_default().to_uppercase();
            tell(&format!("command {verb}"))?;
            if !self.answer(&verb, &line)? {
                break;
            }
        }
        Ok(())
    }

    fn answer(&mut self, verb: &str, line: &str) -> Goes {
        match verb {
            "EHLO" => self.greet(),
            "STARTTLS" => self.secure(),
            "AUTH" => self.sign_in(line),
            "MAIL" if !self.signed_in => self.say("530 5.7.0 Authentication required"),
            "MAIL" => self.say("250 2.1.0 Ok"),
            "RCPT" => self.receive(line),
            "DATA" => self.take(),
            "QUIT" => {
                self.say("221 2.0.0 Bye")?;
                Ok(false)
            }
            _ => self.say("502 5.5.2 Error: command not recognized"),
        }
    }

    fn greet(&mut self) -> Goes {
        self.say("250-mail.test")?;
        if self.rules.starttls.is_some() {
            self.say("250-STARTTLS")?;
        }
        if self.rules.auth.is_some() {
            self.say("250-AUTH PLAIN")?;
        }
        self.say("250 8BITMIME")
    }

    fn secure(&mut self) -> Goes {
        let Some(Some(config)) = &self.rules.starttls else {
            return self.say("454 4.7.0 TLS not available due to temporary reason");
        };
        self.say("220 2.0.0 Ready to start TLS")?;
        let clear = self.wire.take().ok_or(io::ErrorKind::NotConnected)?;
        self.wire = Some(clear.secure(config)?);
        tell("secure")?;
        Ok(true)
    }

    fn sign_in(&mut self, line: &str) -> Goes {
        let auth = self.rules.auth.as_deref();
        self.signed_in = auth.is_some_and(|auth| line.ends_with(auth));
        match self.signed_in {
            true => self.say("235 2.7.0 Authentication successful"),
            false => self.say("535 5.7.8 Error: authentication failed"),
        }
    }

    fn receive(&mut self, line: &str) -> Goes {
        let address = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        let first = self.rules.first(&address);
        let no = match address.split('@').next().unwrap_or_default() {
            "refused" => format!("550 5.1.1 <{address}>: Recipient address rejected: User unknown"),
            "greylisted" if first => {
                format!("450 4.2.0 <{address}>: Recipient address rejected: Greylisted")
            }
            "closing" if first => {
                self.say("421 4.3.2 mail.test Service not available, closing")?;
                return Ok(false);
            }
            _ => "250 2.1.5 Ok".to_owned(),
        };
        self.recipient = address;
        self.say(&no)
    }

    fn take(&mut self) -> Goes {
        self.say("354 End data with <CR><LF>.<CR><LF>")?;
        let mut id = String::new();
        while let Some(line) = self.line()? {
            if line == "." {
                break;
            }
            if let Some(value) = line.strip_prefix("Message-ID: ") {
                value.clone_into(&mut id);
            }
        }
        let local = self.recipient.split('@').next().unwrap_or_default();
        if local == "spam" {
            return self.say("554 5.7.1 Message content rejected");
        }
        tell(&format!("mail {} {id}", self.recipient))?;
        // It has the mail, and does not say so.
        if local == "silent" && self.rules.first(&id) {
            return Ok(false);
        }
        self.say("250 2.0.0 Ok: queued")
    }

    fn line(&mut self) -> io::Result<Option<String>> {
        let wire = self.wire.as_mut();
        wire.ok_or(io::ErrorKind::NotConnected)?.line()
    }

    fn say(&mut self, line: &str) -> Goes {
        let wire = self.wire.as_mut();
        wire.ok_or(io::ErrorKind::NotConnected)?.say(line)?;
        Ok(true)
    }
}
