//! The mails that there are: a subject, a text and an HTML part, and what may stand in their gaps. Pure.
//! What a mail looks like stands in `templates/`; when it is sent is not decided here.

use std::collections::BTreeMap;

use sapari_tasks::EmailTemplate;
use url::Url;

use crate::fill::{escaped, filled};

/// The longest value that a gap takes, in bytes.
const MAX_VALUE: usize = 4096;

/// A mail with gaps.
struct Template {
    subject: &'static str,
    text: &'static str,
    html: &'static str,
    variables: &'static [(&'static str, Kind)],
}

/// What a gap takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One line.
    Line,
    /// An address that a browser may go to: `http`, `https`.
    Link,
}

/// A mail without gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

/// Variables that do not fit their template. The values are not repeated: they may be secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadVariables {
    #[error("the template {template} needs the variable `{name}`")]
    Missing {
        template: EmailTemplate,
        name: &'static str,
    },
    #[error("the template {template} has no gap for `{name}`")]
    Unknown {
        template: EmailTemplate,
        name: String,
    },
    #[error("the variable `{name}` is not one line of at most 4096 bytes")]
    NotALine { name: &'static str },
    #[error("the variable `{name}` is no http or https link")]
    NotALink { name: &'static str },
}

const EXPORT_READY: Template = Template {
    subject: "Your video is ready: {{ project_name }}",
    text: include_str!("templates/export_ready.txt"),
    html: include_str!("templates/export_ready.html"),
    variables: &[
        ("project_name", Kind::Line),
        ("link", Kind::Link),
        ("length", Kind::Line),
    ],
};

const EXPORT_FAILED: Template = Template {
    subject: "We could not make your video: {{ project_name }}",
    text: include_str!("templates/export_failed.txt"),
    html: include_str!("templates/export_failed.html"),
    variables: &[("project_name", Kind::Line), ("reason", Kind::Line)],
};

fn template(of: EmailTemplate) -> &'static Template {
    match of {
        EmailTemplate::ExportReady => &EXPORT_READY,
        EmailTemplate::ExportFailed => &EXPORT_FAILED,
    }
}

/// The mail with these values in its gaps: exactly those that it has.
pub(crate) fn written(
    of: EmailTemplate,
    variables: &BTreeMap<String, String>,
) -> Result<Written, BadVariables> {
    let template = template(of);
    let known = |name: &str| template.variables.iter().any(|(known, _)| *known == name);
    if let Some(name) = variables.keys().find(|name| !known(name)) {
        let name = name.escape_debug().take(60).collect();
        return Err(BadVariables::Unknown { template: of, name });
    }
    for (name, kind) in template.variables {
        let missing = BadVariables::Missing { template: of, name };
        kind.check(name, variables.get(*name).ok_or(missing)?)?;
    }
    // Every gap has its variable: a test looks.
    let value = |name: &str| variables.get(name).cloned().unwrap_or_default();
    Ok(Written {
        subject: filled(template.subject, value),
        text: filled(template.text, value),
        html: filled(template.html, |name| escaped(&value(name))),
    })
}

impl Kind {
    fn check(self, name: &'static str, value: &str) -> Result<(), BadVariables> {
        if value.len() > MAX_VALUE || value.contains(char::is_control) {
            return Err(BadVariables::NotALine { name });
        }
        let is_link =
            || Url::parse(value).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        match self {
            Self::Link if !is_link() => Err(BadVariables::NotALink { name }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::fill::gaps;

    fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    const READY: [(&str, &str); 3] = [
        ("project_name", "Ada & <Bob>"),
        ("link", "https://sapari.example/e/1?a=1&b=\"2\""),
        ("length", "16.5 s"),
    ];

    #[test]
    fn every_gap_has_its_variable_and_both_parts_say_the_same() {
        for of in EmailTemplate::ALL {
            let template = template(of);
            let names: BTreeSet<&str> = template.variables.iter().map(|(name, _)| *name).collect();
            assert_eq!(gaps(template.text), names, "{of:?}, text");
            assert_eq!(gaps(template.html), names, "{of:?}, HTML");
            assert!(gaps(template.subject).is_subset(&names), "{of:?}, subject");
            assert!(!template.subject.contains('\n'), "{of:?}, subject");
        }
    }

    #[test]
    fn values_stand_in_the_text_as_they_are_and_in_the_html_escaped() {
        let mail = written(EmailTemplate::ExportReady, &variables(&READY)).expect("it fits");
        assert_eq!(mail.subject, "Your video is ready: Ada & <Bob>");
        assert!(mail.text.contains("Ada & <Bob>"), "{}", mail.text);
        assert!(mail.html.contains("Ada &amp; &lt;Bob&gt;"), "{}", mail.html);
        let link = r#"href="https://sapari.example/e/1?a=1&amp;b=&quot;2&quot;""#;
        assert!(mail.html.contains(link), "{}", mail.html);
        assert!(!mail.html.contains("{{") && !mail.text.contains("{{"));
    }

    #[test]
    fn variables_that_do_not_fit_are_said_by_name() {
        let with = |name: &str, value: &str| {
            let mut all = variables(&READY);
            all.insert(name.to_owned(), value.to_owned());
            written(EmailTemplate::ExportReady, &all).expect_err("it does not fit")
        };
        let mut missing = variables(&READY);
        missing.remove("length");
        let missing = written(EmailTemplate::ExportReady, &missing).expect_err("one is missing");
        let table = [
            (
                missing,
                "the template export_ready needs the variable `length`",
            ),
            (with("links", "x"), "has no gap for `links`"),
            (
                with("link", "javascript:alert(1)"),
                "`link` is no http or https link",
            ),
            (with("link", "/e/1"), "`link` is no http or https link"),
            (
                with("length", "a\r\nBcc: b@example.com"),
                "`length` is not one line",
            ),
            (
                with("length", &"x".repeat(4097)),
                "`length` is not one line",
            ),
        ];
        for (error, words) in table {
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
