//! What the role works with, made from the settings that `--help` lists: where files may be fetched from, and how much of them.

use std::time::Duration;

use sapari_runtime::duration;
use sapari_runtime::host::{Check, Dependencies, LoadError, Setting, Settings};
use sapari_services::{AddressRule, FetchLimits, Http, Media, Network, Ytdlp};

const ALLOW: &str = "fetch-allow";
const MAX_MIB: &str = "fetch-max-mib";
const MAX_TIME: &str = "fetch-max-time";
const STALL: &str = "fetch-stall";
const YT_DLP: &str = "yt-dlp";

/// What stands for "none" in the place of a program.
const OFF: &str = "off";

/// The web, storage, ffmpeg and scratch space. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Storage, ffmpeg and scratch space.
    pub media: Media,
    /// The web, as far as it may be fetched from.
    pub http: Http,
    /// What finds the film on a web page; none if only addresses of files are fetched.
    pub ytdlp: Option<Ytdlp>,
}

const OWN: [Setting; 5] = [
    Setting {
        name: ALLOW,
        help: "Networks besides the public internet that files may be fetched from, such as 10.1.0.0/16, several with commas. \
               Addresses of private networks and of this host are refused otherwise",
        default: None,
    },
    Setting {
        name: MAX_MIB,
        help: "The largest file that is fetched, in MiB",
        default: Some("20480"),
    },
    Setting {
        name: MAX_TIME,
        help: "The longest that the fetching of one file may take; what has come by then is gone on with",
        default: Some("1h"),
    },
    Setting {
        name: STALL,
        help: "The longest that a server may send nothing",
        default: Some("30s"),
    },
    Setting {
        name: YT_DLP,
        help: "The program that finds the film on a web page: a path, or a name in PATH. With `off`, only addresses of files are fetched",
        default: Some("yt-dlp"),
    },
];

/// The role's own settings after those of all media roles.
const SETTINGS: [Setting; Media::SETTINGS.len() + OWN.len()] = {
    let mut all = [OWN[0]; Media::SETTINGS.len() + OWN.len()];
    let mut at = 0;
    while at < all.len() {
        all[at] = match at < Media::SETTINGS.len() {
            true => Media::SETTINGS[at],
            false => OWN[at - Media::SETTINGS.len()],
        };
        at += 1;
    }
    all
};

impl Dependencies for Sources {
    const SETTINGS: &'static [Setting] = &SETTINGS;

    fn load(settings: &Settings) -> Result<Self, LoadError> {
        let limits = FetchLimits {
            max_bytes: mebibytes(settings)?,
            max_time: time(settings, MAX_TIME)?,
            stall: time(settings, STALL)?,
        };
        let rule = AddressRule::public().and(networks(settings.get(ALLOW).unwrap_or_default())?);
        Ok(Self {
            media: Media::load(settings)?,
            http: Http::new(rule, limits),
            ytdlp: settings
                .get(YT_DLP)
                .filter(|program| *program != OFF)
                .map(Ytdlp::at),
        })
    }

    fn check(&self) -> Check {
        let (media, ytdlp) = (self.media.check(), self.ytdlp.clone());
        Box::pin(async move {
            media.await?;
            let Some(ytdlp) = ytdlp else {
                tracing::info!("without yt-dlp: only addresses of files are fetched");
                return Ok(());
            };
            let version = ytdlp.check().await;
            let version = version.map_err(|error| {
                format!(
                    "{error}; or set --yt-dlp off, if only addresses of files are to be fetched"
                )
            })?;
            tracing::info!(version, "yt-dlp found");
            Ok(())
        })
    }
}

fn mebibytes(settings: &Settings) -> Result<u64, LoadError> {
    let text = settings.get(MAX_MIB).unwrap_or_default();
    let number: u64 = text
        .parse()
        .map_err(|error| LoadError::new(MAX_MIB, error))?;
    number
        .checked_mul(1 << 20)
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| {
            LoadError::new(
                MAX_MIB,
                "give at least 1, and less than all the bytes there are",
            )
        })
}

fn time(settings: &Settings, name: &'static str) -> Result<Duration, LoadError> {
    let time = duration::parse(settings.get(name).unwrap_or_default());
    let time = time.map_err(|sentence| LoadError::new(name, sentence))?;
    match time.is_zero() {
        true => Err(LoadError::new(name, "give more than nothing")),
        false => Ok(time),
    }
}

fn networks(text: &str) -> Result<Vec<Network>, LoadError> {
    let texts = text
        .split(',')
        .map(str::trim)
        .filter(|text| !text.is_empty());
    let networks = texts.map(str::parse).collect::<Result<_, _>>();
    networks.map_err(|error: sapari_services::BadNetwork| LoadError::new(ALLOW, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(changed: &[(&'static str, &str)]) -> Result<Sources, LoadError> {
        let defaults = SETTINGS
            .iter()
            .filter_map(|it| Some((it.name, it.default?.to_owned())));
        let storage = [("storage-url", "memory://".to_owned())];
        let changed = changed
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        Sources::load(&Settings::of(defaults.chain(storage).chain(changed)))
    }

    #[test]
    fn the_defaults_make_sense() {
        let sources = load(&[]).expect("defaults");
        let expected = Http::new(AddressRule::public(), FetchLimits::default());
        assert_eq!(format!("{:?}", sources.http), format!("{expected:?}"));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let bad = [
            (ALLOW, "localhost"),
            (ALLOW, "10.0.0.0/8,,x"),
            (MAX_MIB, "0"),
            (MAX_MIB, "lots"),
            (MAX_MIB, "18446744073709551615"),
            (MAX_TIME, "soon"),
            (STALL, "0s"),
        ];
        for (name, value) in bad {
            let error = load(&[(name, value)]).expect_err(value);
            assert_eq!(error.setting, name, "{value}: {error}");
        }
        load(&[(ALLOW, "10.0.0.0/8, fd00::/8,127.0.0.1")]).expect("networks");
    }
}
