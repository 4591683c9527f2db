//! Templates with gaps, `{{ name }}`, and nothing else: no loops, no conditions. Pure.

/// What stands between the text of a template.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Gap(&'a str),
}

fn pieces(template: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((text, after)) = rest.split_once("{{") {
        let Some((gap, after)) = after.split_once("}}") else {
            break;
        };
        pieces.extend([Piece::Text(text), Piece::Gap(gap.trim())]);
        rest = after;
    }
    pieces.push(Piece::Text(rest));
    pieces
}

/// The names of a template's gaps.
#[cfg(test)]
pub(crate) fn gaps(template: &str) -> std::collections::BTreeSet<&str> {
    let gap = |piece| match piece {
        Piece::Gap(name) => Some(name),
        Piece::Text(_) => None,
    };
    pieces(template).into_iter().filter_map(gap).collect()
}

/// The template with a value in each gap. Values are not looked at for gaps.
pub(crate) fn filled(template: &str, value: impl Fn(&str) -> String) -> String {
    let piece = |piece| match piece {
        Piece::Text(text) => text.to_owned(),
        Piece::Gap(name) => value(name),
    };
    pieces(template).into_iter().map(piece).collect()
}

/// A value as it may stand in HTML, between tags or in a quoted attribute.
pub(crate) fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_filled_once() {
        let value = |name: &str| match name {
            "a" => "{{ b }}".to_owned(),
            other => other.to_uppercase(),
        };
        let table = [
            ("", ""),
            ("x", "x"),
            ("{{a}}-{{ b }}", "{{ b }}-B"),
            ("{{a", "{{a"),
            ("a}}{{b}}", "a}}B"),
        ];
        for (template, expected) in table {
            assert_eq!(filled(template, value), expected, "{template}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_escaped_opens_no_tag_and_leaves_no_attribute(value in ".{0,60}") {
            let escaped = escaped(&value);
            proptest::prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
            let back = escaped
                .replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&quot;", "\"")
                .replace("&#39;", "'")
                .replace("&amp;", "&");
            proptest::prop_assert_eq!(back, value);
        }
    }
}
