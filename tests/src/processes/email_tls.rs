//! Mail inside TLS: to a server that shows a good certificate, and to those that show none, or another's.

use nix::sys::signal::Signal;
use sapari_services::{MailError, Mailer};
use uuid::Uuid;

use super::email::{AUTH, Server, kick, letter, mails};
use super::support::Space;
use super::support::authority::Authority;

/// Certificates that do not run out while this is maintained.
const FAR: i32 = 2090;
/// What no server may hear that is not believed.
const SECRETS: [&str; 4] = ["AUTH", "MAIL", "RCPT", "DATA"];

/// The commands of a sitting in which TLS begins first, or after STARTTLS.
fn heard_in(privacy: &str) -> Vec<&'static str> {
    let inside = ["secure", "EHLO", "AUTH", "MAIL", "RCPT", "DATA"];
    let before = ["EHLO", "STARTTLS"];
    let before = &before[..if privacy == "--starttls" { 2 } else { 0 }];
    before.iter().chain(&inside).copied().collect()
}

fn url(server: &Server, privacy: &str) -> String {
    let scheme = match privacy {
        "--tls" => "smtps",
        _ => "smtp",
    };
    let place = server.place.replace("127.0.0.1", "localhost");
    format!("{scheme}://user:pass-word@{place}")
}

async fn sent(mailer: &Mailer) -> Result<(), MailError> {
    mailer.send("an-id", &letter()).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_authority_is_named_gets_mail_inside_tls() {
    // The setting adds to what the system trusts; the variable is the system's own, for every connection of the process.
    for (privacy, setting) in [
        ("--starttls", "SAPARI_EMAIL_CA_FILE"),
        ("--tls", "SAPARI_EMAIL_CA_FILE"),
        ("--starttls", "SSL_CERT_FILE"),
    ] {
        let space = Space::new();
        let authority = Authority::new(&space);
        let certificate = authority.certificate("localhost", FAR);
        let file = authority.file();
        let server = Server::start(&space, &[privacy, &certificate, "--auth", AUTH]).await;
        let url = url(&server, privacy);
        let space = space
            .with("SAPARI_EMAIL_URL", &url)
            .with("SAPARI_EMAIL_FROM", "Sapari <hello@sapari.example>")
            .with(setting, &file);
        let worker = space.start("sapari-email", &[]).ready().await;
        let id = Uuid::new_v4().to_string();
        let ended = kick(&space, &id, "ada@example.com", &[]).await;
        assert_eq!(ended.code, Some(0), "{privacy} {setting}: {ended:?}");
        worker.signal(Signal::SIGTERM);
        let said = worker.ended().await.stderr.concat();
        assert!(!said.contains("pass-word"), "{said}");
        let heard = server.heard().await;
        let one = format!("ada@example.com <{id}@sapari.example>");
        assert_eq!(mails(&heard), [one.as_str()]);
        let commands: Vec<_> = heard.iter().filter_map(|line| command(line)).collect();
        assert_eq!(commands, heard_in(privacy), "{privacy} {setting}");
    }
}

/// What was done, without the end.
fn command(line: &str) -> Option<&str> {
    let said = line
        .strip_prefix("command ")
        .or((line == "secure").then_some(line));
    said.filter(|said| *said != "QUIT")
}

/// A host, until when its certificate is valid, whether its authority is named, and what is said then.
const OBJECTIONS: [(&str, i32, bool, &str); 3] = [
    (
        "localhost",
        FAR,
        false,
        "its certificate is of no authority that is trusted here; name its authority's with --email-ca-file",
    ),
    (
        "mail.example",
        FAR,
        true,
        "its certificate is for mail.example, not for localhost; name in the mail URL a host that it is for",
    ),
    (
        "localhost",
        2001,
        true,
        "its certificate has expired; the server needs a new one",
    ),
];

#[tokio::test]
async fn a_certificate_that_is_not_good_ends_it_before_the_password() {
    for (host, until, named, words) in OBJECTIONS {
        for privacy in ["--starttls", "--tls"] {
            let space = Space::offline();
            let authority = Authority::new(&space);
            let certificate = authority.certificate(host, until);
            let server = Server::start(&space, &[privacy, &certificate, "--auth", AUTH]).await;
            let url = url(&server, privacy);
            let mut mailer = Mailer::open(&url, "hello@sapari.example").expect("a URL");
            if named {
                mailer = mailer.trusting(authority.file());
            }
            let error = sent(&mailer).await.expect_err("not a good certificate");
            let expected = format!("{} got no password and no mail: {words}", mailer.place());
            assert_eq!(error.to_string(), expected);
            assert!(
                matches!(error, MailError::NotTrusted { .. }) && !error.is_permanent(),
                "{error:?}"
            );
            let heard = server.heard().await.join("\n");
            for sent in SECRETS {
                assert!(!heard.contains(sent), "{privacy}: {heard}");
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_knows_no_starttls_gets_nothing_though_its_authority_is_named() {
    let space = Space::offline();
    let authority = Authority::new(&space);
    let server = Server::start(&space, &["--auth", AUTH]).await;
    for (privacy, words) in [
        ("--starttls", "STARTTLS is not supported on this server"),
        // It answers the first byte of TLS in the clear.
        ("--tls", "InvalidContentType"),
    ] {
        let mailer = Mailer::open(&url(&server, privacy), "hello@sapari.example");
        let mailer = mailer.expect("a URL").trusting(authority.file());
        let error = sent(&mailer).await.expect_err("no TLS");
        assert!(matches!(error, MailError::NotPrivate { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let heard = server.heard().await.join("\n");
    assert!(heard.contains("command EHLO"), "{heard}");
    for sent in SECRETS {
        assert!(!heard.contains(sent), "{heard}");
    }
}

#[tokio::test]
async fn a_file_without_authorities_is_said_before_the_worker_starts() {
    let space = Space::offline().with("SAPARI_HEALTH_ADDR", "off");
    let authority = Authority::new(&space);
    let whole = std::fs::read_to_string(authority.file()).expect("readable");
    let broken = whole.replace("\nMII", "\nAAA");
    for (name, text, words) in [
        ("none.pem", Some(""), "no BEGIN CERTIFICATE in it; give"),
        ("broken.pem", Some(&*broken), "names no authorities"),
        ("missing.pem", None, "could not read"),
    ] {
        let file = space.path(name);
        if let Some(text) = text {
            std::fs::write(&file, text).expect("writable");
        }
        let file = file.display().to_string();
        let args = ["--email-ca-file", &file];
        let env = [
            "--email-url",
            "smtp://mail.example",
            "--email-from",
            "hello@sapari.example",
        ];
        let worker = space.start("sapari-email", &[&args[..], &env[..]].concat());
        let ended = worker.ended().await;
        ended.assert_sentence(69, words);
        assert!(ended.stderr.concat().contains(name), "{ended:?}");
    }
}
