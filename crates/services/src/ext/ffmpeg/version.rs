//! Which ffmpeg this is.
//!
//! It deliberately parses only what decides an option: the major number.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::MediaError;
use crate::process::{ChildProcess, VERSION_MEMORY, VERSION_WITHIN};

const MAX_OUTPUT: usize = 64 * 1024;

/// What ffmpeg and ffprobe call themselves, such as `7.1.5-0+deb13u1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions {
    /// Of ffmpeg.
    pub ffmpeg: String,
    /// Of ffprobe.
    pub ffprobe: String,
}

/// Runs `program -version`.
pub(super) async fn of(program: &Path) -> Result<String, MediaError> {
    let run = ChildProcess::new(program).arg("-version");
    let run = run.memory(VERSION_MEMORY).within(VERSION_WITHIN);
    let output = run.collect(&CancellationToken::new(), MAX_OUTPUT).await?;
    Ok(parse(&String::from_utf8_lossy(&output.stdout)))
}

/// The third word of `ffmpeg version 5.1.9-0+deb12u1 Copyright ...`.
fn parse(output: &str) -> String {
    output
        .split_whitespace()
        .nth(2)
        .unwrap_or("unknown")
        .to_owned()
}

/// The option that reads a filter graph from a file. Version 7 brought the new spelling and
/// deprecated the old one. Development builds (`N-...`) have no number, and are newer.
pub(super) fn graph_file_option(version: &str) -> &'static str {
    match numbers(version) {
        Some((major, _)) if major < 7 => "-filter_complex_script",
        _ => "-/filter_complex",
    }
}

/// The option that says how even frames become. Version 5.1 brought the new spelling and deprecated the old one.
pub(super) fn frame_rate_option(version: &str) -> &'static str {
    match numbers(version) {
        Some(numbers) if numbers < (5, 1) => "-vsync",
        _ => "-fps_mode",
    }
}

/// The first two.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version
        .trim_start_matches('n')
        .split(|c: char| !c.is_ascii_digit())
        .map(|digits| digits.parse().ok());
    Some((numbers.next()??, numbers.next().flatten().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_several_builds() {
        let table = [
            (
                "ffmpeg version 5.1.9-0+deb12u1 Copyright (c)",
                "5.1.9-0+deb12u1",
                ("-filter_complex_script", "-fps_mode"),
            ),
            (
                "ffmpeg version 4.4.2-0ubuntu0.22.04.1 Copyright (c)",
                "4.4.2-0ubuntu0.22.04.1",
                ("-filter_complex_script", "-vsync"),
            ),
            (
                "ffprobe version 7.1.5-0+deb13u1 Copyright",
                "7.1.5-0+deb13u1",
                ("-/filter_complex", "-fps_mode"),
            ),
            (
                "ffmpeg version n6.1 Copyright",
                "n6.1",
                ("-filter_complex_script", "-fps_mode"),
            ),
            (
                "ffmpeg version N-112233-gabc Copyright",
                "N-112233-gabc",
                ("-/filter_complex", "-fps_mode"),
            ),
            ("", "unknown", ("-/filter_complex", "-fps_mode")),
        ];
        for (output, version, options) in table {
            assert_eq!(parse(output), version);
            let found = (graph_file_option(version), frame_rate_option(version));
            assert_eq!(found, options, "{version}");
        }
    }
}
