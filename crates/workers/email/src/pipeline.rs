//! `email.pipeline`: a letter is made of its template, and sent. That it was sent is kept, so that another attempt does not send it
//! again. The letter is not: it says who is told what, and is made again within a millisecond.

use std::sync::Arc;

use sapari_runtime::pipeline::{Pipeline, StepContext, spec};
use sapari_runtime::prelude::*;
use sapari_services::{Letter, MailError};
use sapari_tasks::{SendEmail, SentEmail};

use crate::deps::Post;
use crate::templates::written;

type Cx = StepContext<SendEmail, Post>;

pub(crate) fn email() -> Pipeline<SendEmail, Post, SentEmail> {
    let mut p = Pipeline::builder("email");
    p.version(1);
    let letter = p.step("compose", (), compose);
    // Tried again by the task alone: its pauses are long enough for a server that is busy.
    let send = spec("send").timeout(minutes(2)).weight(10);
    let sent = p.step(send, (letter,), send_letter);
    // Its `Message-ID`, and its file if there is one.
    p.keep(sent);
    p.output(sent)
}

async fn compose(cx: Cx) -> TaskResult<Letter> {
    let SendEmail { to, template, .. } = cx.task();
    let written = written(*template, &cx.task().variables).permanent()?;
    Ok(Letter {
        to: to.clone(),
        subject: written.subject,
        text: written.text,
        html: written.html,
    })
}

async fn send_letter(cx: Cx, letter: Arc<Letter>) -> TaskResult<SentEmail> {
    let id = cx.cx().id().to_string();
    let handed = cx.deps().mailer.send(&id, &letter).await;
    let handed = handed.permanent_when(MailError::is_permanent)?;
    Ok(SentEmail {
        email_id: handed.email_id,
        file: handed.file.map(|file| file.display().to_string()),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sapari_runtime::error::ErrorKind;
    use sapari_runtime::pipeline::{Alone, Report, StepOutcome};
    use sapari_services::{Mailer, Scratch};
    use sapari_tasks::EmailTemplate;

    use super::*;

    const TO: &str = "ada@example.com";
    const REASON: &str = "the clip of Ada was empty";

    fn order(reason: &str) -> SendEmail {
        let variables = [("project_name", "Talk"), ("reason", reason)];
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        SendEmail {
            to: TO.to_owned(),
            template: EmailTemplate::ExportFailed,
            variables: variables.map(owned).into(),
            project_uuid: None,
        }
    }

    /// An attempt at the message, whose mail becomes a file in this directory.
    async fn attempt(message: &Alone, dir: &Path, order: SendEmail) -> Report<SentEmail> {
        let mailer = Mailer::open(&format!("file://{}", dir.display()), "hello@sapari.example");
        let post = Post::by(mailer.expect("a directory"));
        let cx = message.cx::<SendEmail>();
        email().run_reported(&cx, post, order).await
    }

    fn mails() -> Scratch {
        Scratch::new(&std::env::temp_dir(), "email-pipeline").expect("writable")
    }

    #[test]
    fn a_letter_is_made_and_sent_and_only_the_latter_is_kept() {
        let graph = email().describe();
        let steps = graph
            .steps
            .iter()
            .map(|step| (step.id, step.kept, &step.needs[..]));
        let expected: [(_, _, &[&str]); 2] =
            [("compose", false, &[]), ("send", true, &["compose"])];
        assert_eq!(steps.collect::<Vec<_>>(), expected);
        assert_eq!(
            (graph.name, graph.version, graph.output),
            ("email", 1, "send")
        );
    }

    #[tokio::test]
    async fn what_was_sent_is_not_sent_by_another_attempt() {
        let (message, mails) = (Alone::new(), mails());
        let sent = attempt(&message, mails.dir(), order(REASON)).await.output;
        let sent = sent.expect("sent");
        let file = sent.file.clone().expect("a file");
        // Whoever sends it again puts it there again.
        std::fs::remove_file(&file).expect("it is there");
        let second = attempt(&message.elsewhere(), mails.dir(), order(REASON)).await;
        assert_eq!(second.outcome("compose"), Some(StepOutcome::Skipped));
        assert_eq!(second.outcome("send"), Some(StepOutcome::Resumed));
        assert_eq!(second.output.expect("known"), sent);
        assert!(!Path::new(&file).exists(), "it was sent again");

        let other = attempt(&message, mails.dir(), order("another one")).await;
        assert_eq!(other.outcome("send"), Some(StepOutcome::Done));
    }

    #[tokio::test]
    async fn of_a_mail_only_its_id_and_its_file_are_kept() {
        let (message, mails) = (Alone::new(), mails());
        let report = attempt(&message, mails.dir(), order(REASON)).await;
        report.output.expect("sent");
        let kept = message.ledger().kept_steps(message.id(), minutes(1)).await;
        let kept = kept.expect("answers");
        assert_eq!(kept.keys().collect::<Vec<_>>(), ["email/send"]);
        let text = String::from_utf8_lossy(&kept["email/send"]).into_owned();
        assert!(text.contains(message.id().as_str()), "{text}");
        for told in [TO, REASON, "Talk", "Ada"] {
            assert!(!text.contains(told), "{told:?} is kept: {text}");
        }
    }

    #[tokio::test]
    async fn what_does_not_fit_is_refused_before_anything_is_sent() {
        let (message, mails) = (Alone::new(), mails());
        let report = attempt(&message, mails.dir(), order("two\nlines")).await;
        assert_eq!(report.outcome("send"), Some(StepOutcome::NotBegun));
        let error = report.output.expect_err("two lines");
        assert_eq!(error.kind(), ErrorKind::Permanent);
        let words =
            "step `compose` failed: the variable `reason` is not one line of at most 4096 bytes";
        assert_eq!(error.sentence(), words);
    }
}
