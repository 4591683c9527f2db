//! What needs no server: addresses of places and of people, and files.

use super::*;
use crate::Scratch;

fn letter(to: &str) -> Letter {
    Letter {
        to: to.to_owned(),
        subject: "Grüße".to_owned(),
        text: "plain ä".to_owned(),
        html: "<p>ä</p>".to_owned(),
    }
}

#[test]
fn urls_say_where_mail_goes_and_never_the_password() {
    let table = [
        ("smtp://mail.example", "smtp://mail.example:587"),
        (
            "smtp://u:p%40ss@mail.example?tls=required",
            "smtp://mail.example:587",
        ),
        ("smtps://u:pass@mail.example", "smtps://mail.example:465"),
        ("smtp://127.0.0.1:2525?tls=none", "smtp://127.0.0.1:2525"),
        ("smtp://u:pass@localhost?tls=none", "smtp://localhost:25"),
        ("file:///var/mail", "/var/mail"),
    ];
    for (url, place) in table {
        let mailer = Mailer::open(url, "Sapari <a@b.example>").expect(url);
        assert_eq!(mailer.place(), place);
        let debug = format!("{mailer:?} {:?}", mailer.inner.transport);
        assert!(!debug.contains("ss"), "{debug}");
    }
}

#[test]
fn urls_that_make_no_sense_are_refused_without_being_repeated() {
    let table = [
        ("mail.example", "relative URL"),
        ("http://u:secret@mail.example", "its scheme"),
        ("smtp://u:secret@mail.example?tls=none", "in the clear"),
        ("smtp://u:secret@mail.example?tls=maybe", "tls=required"),
        ("smtps://u:secret@mail.example?tls=none", "tls=required"),
        ("smtp://secret@mail.example", "comes with a password"),
        ("smtp://:secret@mail.example", "comes with a password"),
        ("smtp://u:secret@mail.example/path", "no path"),
        ("smtp://u:secret#x@mail.example", "invalid port number"),
        ("smtp://mail.example#secret", "%23"),
        ("file://host/secret", "local absolute path"),
    ];
    for (url, words) in table {
        let error = Mailer::open(url, "a@b.example").expect_err(url).to_string();
        assert!(error.contains(words), "{url}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
    let error = Mailer::open("file:///x", "nobody").expect_err("no address");
    assert!(error.to_string().contains("no address"), "{error}");
}

#[tokio::test]
async fn a_file_holds_the_mail_and_a_second_one_replaces_it() {
    let scratch = Scratch::new(&std::env::temp_dir(), "mail").expect("writable");
    let url = format!("file://{}/deep/mail", scratch.dir().display());
    let mailer = Mailer::open(&url, "Sapari <hello@sapari.example>").expect("a directory");
    mailer.prepare().expect("made");
    let mut files = Vec::new();
    for text in ["once", "twice"] {
        let mut letter = letter("Ada <ada@example.com>");
        letter.text = text.to_owned();
        let handed = mailer.send("0193-abc", &letter).await.expect("written");
        assert_eq!(handed.email_id, "0193-abc@sapari.example");
        files.push(handed.file.expect("a file"));
    }
    assert_eq!(files[0], files[1]);
    let mail = std::fs::read_to_string(&files[0]).expect("readable");
    for words in [
        "Message-ID: <0193-abc@sapari.example>",
        "Auto-Submitted: auto-generated",
        "Subject: =?utf-8?b?",
        "To: Ada <ada@example.com>",
        "multipart/alternative",
        "text/plain; charset=utf-8",
        "text/html; charset=utf-8",
        "twice",
    ] {
        assert!(mail.contains(words), "{words:?} is not in\n{mail}");
    }
    assert!(mail.is_ascii(), "any server takes it");
    let left = std::fs::read_dir(files[0].parent().expect("a directory")).expect("there");
    assert_eq!(left.count(), 1);
}

#[tokio::test]
async fn a_recipient_that_is_none_is_a_lasting_error_without_the_address() {
    let mailer = Mailer::open("file:///nowhere", "a@b.example").expect("a directory");
    let no_form = "it is not written like you@example.com";
    for (to, words) in [
        ("", no_form),
        ("ada", no_form),
        ("ada@", no_form),
        ("@example.com", no_form),
        ("ada@-b.example", "what stands after its @ is no domain"),
        ("ada@b.example\r\nBcc: x@y.example", no_form),
    ] {
        let error = mailer.send("1", &letter(to)).await.expect_err(to);
        assert!(error.is_permanent(), "{error}");
        let said = error.to_string();
        assert!(
            said.contains(words) && !said.contains("ada"),
            "{to:?}: {said}"
        );
    }
}

#[test]
fn names_are_fit_for_headers_and_files() {
    assert_eq!(letter::name("0193-a_B"), "0193-a_B");
    for id in ["", "../x", "a b", "ä", "a@b", &"x".repeat(101)] {
        let name = letter::name(id);
        assert_eq!(name.len(), 16, "{id}: {name}");
    }
}
