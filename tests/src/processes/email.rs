//! Mail from `sapari kick` to a file, and to a server that says yes, no, later and nothing at all.

use nix::sys::signal::Signal;
use sapari_services::{Letter, MailError, Mailer};
use sapari_telemetry::testing::Collector;
use sapari_telemetry::tree::TreeStyle;
use serde_json::{Value, json};
use uuid::Uuid;

use super::support::{Ended, Process, Space};

/// `\0user\0pass-word` in Base64.
pub(super) const AUTH: &str = "AHVzZXIAcGFzcy13b3Jk";

/// A mail server of the test's own, and where it listens.
pub(super) struct Server {
    process: Process,
    pub(super) place: String,
}

impl Server {
    pub(super) async fn start(space: &Space, args: &[&str]) -> Self {
        let process = space.start("mail-server", args);
        let lines = process
            .stdout
            .until("its port", |line| line.starts_with("listening"))
            .await;
        let port = lines.concat().replace("listening ", "");
        Self {
            process,
            place: format!("127.0.0.1:{port}"),
        }
    }

    /// The lines that it told, once it is ended.
    pub(super) async fn heard(self) -> Vec<String> {
        self.process.signal(Signal::SIGTERM);
        self.process.ended().await.stdout
    }
}

pub(super) fn mails(heard: &[String]) -> Vec<&str> {
    heard
        .iter()
        .filter_map(|line| line.strip_prefix("mail "))
        .collect()
}

pub(super) async fn kick(space: &Space, id: &str, to: &str, more: &[(&str, &str)]) -> Ended {
    let mut variables = json!({ "project_name": "Ada's <talk>", "link": "https://sapari.example/e/1", "length": "16.5 s" });
    for (name, value) in more {
        variables[*name] = Value::from(*value);
    }
    let args = json!({ "to": to, "template": "export_ready", "variables": variables }).to_string();
    let kick = [
        "kick",
        "send_email",
        "--args",
        &args,
        "--id",
        id,
        "--wait",
        "60s",
    ];
    space.sapari(&kick).ended().await
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_goes_into_files_unless_a_server_is_named() {
    let space = Space::new();
    let worker = space.start("sapari-email", &[]).ready().await;
    let id = Uuid::new_v4().to_string();
    let sent = kick(&space, &id, "Ada <ada@example.com>", &[]).await;
    assert_eq!(sent.code, Some(0), "{sent:?}");
    let sent: Value = serde_json::from_str(&sent.stdout[1]).expect("JSON");
    assert_eq!(sent["email_id"], format!("{id}@localhost"));
    let file = space
        .path("home/.local/share/sapari/mail")
        .join(format!("{id}.eml"));
    assert_eq!(sent["file"], file.display().to_string());
    let mail = std::fs::read_to_string(file).expect("it is there");
    for words in [
        "To: Ada <ada@example.com>",
        "Ada's <talk>",
        "Ada&#39;s &lt;talk&gt;",
        "https://sapari.example/e/1",
    ] {
        assert!(mail.contains(words), "{words:?} is not in\n{mail}");
    }

    let refused = [
        ("ada@example.com", ("links", "x"), "has no gap for `links`"),
        (
            "ada@example.com",
            ("link", "javascript:x"),
            "no http or https link",
        ),
        (
            "hugo",
            ("length", "1 s"),
            "the recipient is no mail address",
        ),
    ];
    for (to, variable, words) in refused {
        let id = Uuid::new_v4().to_string();
        let ended = kick(&space, &id, to, &[variable]).await;
        ended.assert_failed(words);
    }
    worker.signal(Signal::SIGTERM);
    let said = worker.ended().await.stderr.concat();
    // "ada" alone may stand in the id of a span.
    for told in ["ada@", "Ada", "hugo"] {
        assert!(!said.contains(told), "no address in the log: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_no_is_believed_and_one_that_says_later_is_asked_again() {
    let space = Space::new();
    let server = Server::start(&space, &["--auth", AUTH]).await;
    let url = format!("smtp://user:pass-word@{}?tls=none", server.place);
    let env = space
        .with("SAPARI_EMAIL_URL", &url)
        .with("SAPARI_EMAIL_FROM", "Sapari <hello@sapari.example>");
    let worker = env
        .start("sapari-worker", &["--role", "email"])
        .ready()
        .await;
    let of = |name: &str| (Uuid::new_v4().to_string(), format!("{name}@example.com"));
    let yes = ["ada", "greylisted", "closing", "silent"].map(of);
    for (id, to) in &yes {
        let ended = kick(&env, id, to, &[]).await;
        assert_eq!(ended.code, Some(0), "{to}: {ended:?}");
    }
    for (name, words) in [
        ("refused", "refused the mail with 550"),
        ("spam", "refused the mail with 554"),
    ] {
        let (id, to) = of(name);
        let ended = kick(&env, &id, &to, &[]).await;
        ended.assert_failed(words);
        assert!(!ended.stderr.concat().contains("@example.com"), "{ended:?}");
    }
    worker.signal(Signal::SIGTERM);
    let said = worker.ended().await.stderr.concat();
    for secret in ["@example.com", "pass-word"] {
        assert!(!said.contains(secret), "{secret} is in the log: {said}");
    }
    let heard = server.heard().await;
    let expected = |(id, to): &(String, String)| format!("{to} <{id}@sapari.example>");
    let mut expected: Vec<String> = yes.iter().map(expected).collect();
    // The server had taken it and did not say so: it is sent twice, and can be told by its id.
    expected.push(expected[3].clone());
    assert_eq!(mails(&heard), expected);
}

pub(super) fn letter() -> Letter {
    Letter {
        to: "ada@example.com".to_owned(),
        subject: "A mail".to_owned(),
        text: "text".to_owned(),
        html: "<p>HTML</p>".to_owned(),
    }
}

/// One mail, in its span; the error, and the tree as text.
async fn send(url: &str) -> (Option<MailError>, String) {
    let mailer = Mailer::open(url, "Sapari <hello@sapari.example>").expect("a URL");
    let (collector, _default) = Collector::scoped();
    let error = mailer.send("an-id", &letter()).await.err();
    let style = TreeStyle {
        normalise_ids: false,
        ..TreeStyle::for_tests(&["email_id", "recipient_hash", "server"])
    };
    (error, collector.tree(&style))
}

#[tokio::test]
async fn without_tls_nothing_is_sent_unless_somebody_said_so() {
    for (args, words) in [
        (vec![], "not supported"),
        (vec!["--starttls"], "temporary reason"),
    ] {
        let space = Space::offline();
        let server = Server::start(&space, &args).await;
        let (error, _) = send(&format!("smtp://user:pass-word@{}", server.place)).await;
        let error = error.expect("no TLS");
        assert!(
            matches!(error, MailError::NotPrivate { .. }) && !error.is_permanent(),
            "{error}"
        );
        assert!(error.to_string().contains(words), "{error}");
        let heard = server.heard().await.join("\n");
        assert!(heard.contains("command EHLO"), "{heard}");
        for sent in ["AUTH", "MAIL", "RCPT", "DATA"] {
            assert!(!heard.contains(sent), "{heard}");
        }
    }
}

#[tokio::test]
async fn a_call_to_a_server_has_a_span_without_addresses() {
    let space = Space::offline();
    let server = Server::start(&space, &["--auth", AUTH]).await;
    let place = server.place.clone();
    let (error, tree) = send(&format!("smtp://user:pass-word@{place}?tls=none")).await;
    assert!(error.is_none(), "{error:?}");
    let tree = tree.replace(&place, "PLACE");
    // printf ada@example.com | sha256sum
    let expected = "ext.smtp.send [client]  email_id=an-id recipient_hash=b5fc85e55755f9e0 server=smtp://PLACE";
    assert_eq!(tree.lines().last(), Some(expected), "{tree}");

    let (error, tree) = send(&format!("smtp://user:wrong-word@{place}?tls=none")).await;
    let error = error.expect("a wrong password");
    assert!(
        matches!(error, MailError::SignIn { .. }) && !error.is_permanent(),
        "{error}"
    );
    assert!(
        !tree.contains("wrong-word") && !tree.contains("ada@"),
        "{tree}"
    );
    let (error, _) = send(&format!("smtp://{place}?tls=none")).await;
    assert!(matches!(error, Some(MailError::SignIn { .. })), "{error:?}");
    server.heard().await;
    let (error, _) = send(&format!("smtp://{place}?tls=none")).await;
    let error = error.expect("nobody is there");
    assert!(matches!(error, MailError::Unreachable { .. }), "{error}");
}
