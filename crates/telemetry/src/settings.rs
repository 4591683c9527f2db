//! Everything `init` needs to know, as values.
//!
//! Read once, by a pure function over a lookup, so that tests need no environment. It does not
//! read the sampler and the limits (`OTEL_TRACES_SAMPLER`, `OTEL_SPAN_*`): the SDK does.

mod error;
mod otlp;
mod parse;

use std::io::IsTerminal;
use std::time::Duration;

use tracing_subscriber::filter::{LevelFilter, Targets};

pub use error::SettingsError;
pub use otlp::{Dialect, OtlpTarget};

use crate::switches::{self, ProcessKind, Switches};
use parse::Vars;

/// Crates that log every frame or request: heard from WARN on unless the filter says otherwise. The AMQP client says at
/// ERROR what its caller hears as an error anyway.
const QUIET: &str =
    "lapin=off,h2=warn,hyper=warn,reqwest=warn,opentelemetry=warn,tokio_cron_scheduler=warn";

/// What the caller knows about the process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Defaults<'a> {
    /// The prefix of the variables that belong to the product, for example `ACME` in `ACME_LOG`.
    pub prefix: &'a str,
    /// The service's name when nothing else names it.
    pub role: &'a str,
    /// The name given on the command line, which wins over every variable.
    pub service_name: Option<&'a str>,
    /// `service.namespace`.
    pub namespace: Option<&'a str>,
    /// `service.version`.
    pub version: Option<&'a str>,
    /// Whether people read stderr: decides the format of the log.
    pub terminal: bool,
    /// Decides which switches hold.
    pub kind: ProcessKind,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For a person at a terminal.
    Human,
    /// One JSON object per line.
    Json,
}

/// Which context travels with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Propagators {
    /// `traceparent` and `tracestate`.
    pub tracecontext: bool,
    /// `baggage`.
    pub baggage: bool,
}

/// How a task span relates to the context that came with the message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parenting {
    /// A child of the kick, with a link to it.
    #[default]
    Child,
    /// A root of its own trace with a link to the kick, for wide fan-out.
    Link,
}

/// How spans are batched on their way to the exporters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Spans waiting at most; what comes on top is dropped.
    pub queue: usize,
    /// Spans in one request at most.
    pub size: usize,
    /// How long a span waits for company.
    pub delay: Duration,
}

/// The settings of the telemetry of one process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `service.name`.
    pub service_name: String,
    /// Further attributes of the resource, by key.
    pub resource: Vec<(String, String)>,
    /// Where traces and metrics are sent; empty for nowhere.
    pub otlp: Vec<OtlpTarget>,
    /// Whether finished traces are printed on stderr as trees.
    pub console: bool,
    /// `OTEL_SDK_DISABLED`: no spans and no metrics, only log lines.
    pub disabled: bool,
    /// Whether the metrics can be scraped from this process: see [`Guard::scraper`](crate::Guard::scraper). Off unless the
    /// caller turns it on; no variable does.
    pub scraped: bool,
    /// Which context travels with a message.
    pub propagators: Propagators,
    /// How spans are batched.
    pub batch: Batch,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Which events become log lines.
    pub log_filter: Targets,
    /// Whether log lines and trees on stderr may have colours.
    pub colours: bool,
    /// How task spans relate to the kick: pass it on in every `TaskSpan`.
    pub parenting: Parenting,
    /// Which libraries' spans are made.
    pub switches: Switches,
}

impl Settings {
    /// Reads the settings through `lookup`. An empty value counts as unset.
    ///
    /// # Errors
    /// A sentence that names the variable, its value and what is allowed.
    pub fn from_lookup(
        defaults: &Defaults<'_>,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let vars = Vars::new(&lookup);
        check_what_the_sdk_reads(&vars)?;
        let attributes = vars.pairs("OTEL_RESOURCE_ATTRIBUTES")?;
        let exporters = vars.list("OTEL_TRACES_EXPORTER", &["otlp", "console", "none"])?;
        Ok(Self {
            service_name: service_name(&vars, defaults, &attributes),
            resource: resource(&vars, defaults, attributes),
            otlp: otlp::targets(&vars, exporters.as_deref())?,
            console: exporters.is_some_and(|names| names.iter().any(|name| name == "console")),
            disabled: vars.flag("OTEL_SDK_DISABLED")?.unwrap_or(false),
            scraped: false,
            propagators: propagators(&vars)?,
            batch: batch(&vars)?,
            log_format: log_format(&vars, defaults)?,
            log_filter: log_filter(&vars, defaults)?,
            colours: defaults.terminal && vars.get("NO_COLOR").is_none(),
            parenting: parenting(&vars, defaults)?,
            switches: switches(&vars, defaults.kind)?,
        })
    }

    /// Reads the settings from the environment of the process.
    ///
    /// # Errors
    /// As [`Settings::from_lookup`].
    pub fn from_env(defaults: &Defaults<'_>) -> Result<Self, SettingsError> {
        let terminal = std::io::stderr().is_terminal();
        let defaults = Defaults {
            terminal,
            ..*defaults
        };
        Self::from_lookup(&defaults, |name| std::env::var(name).ok())
    }
}

fn service_name(vars: &Vars<'_>, defaults: &Defaults<'_>, attrs: &[(String, String)]) -> String {
    let in_attributes = || {
        let found = attrs.iter().find(|(key, _)| key == "service.name");
        found.map(|(_, value)| value.clone())
    };
    defaults
        .service_name
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .or_else(|| vars.get("LOGFIRE_SERVICE_NAME"))
        .or_else(|| vars.get("OTEL_SERVICE_NAME"))
        .or_else(in_attributes)
        .unwrap_or_else(|| defaults.role.to_owned())
}

/// What the caller says first, then what the environment says: the later wins.
fn resource(
    vars: &Vars<'_>,
    defaults: &Defaults<'_>,
    attributes: Vec<(String, String)>,
) -> Vec<(String, String)> {
    let known = [
        ("service.namespace", defaults.namespace),
        ("service.version", defaults.version),
    ];
    let mut resource: Vec<_> = known
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned())))
        .collect();
    resource.extend(
        attributes
            .into_iter()
            .filter(|(key, _)| key != "service.name"),
    );
    if let Some(environment) = vars.get("LOGFIRE_ENVIRONMENT") {
        resource.push(("deployment.environment.name".to_owned(), environment));
    }
    resource
}

fn propagators(vars: &Vars<'_>) -> Result<Propagators, SettingsError> {
    let names = vars.list("OTEL_PROPAGATORS", &["tracecontext", "baggage", "none"])?;
    let has = |wanted: &str| {
        names
            .as_ref()
            .is_none_or(|names| names.iter().any(|name| name == wanted))
    };
    Ok(Propagators {
        tracecontext: has("tracecontext"),
        baggage: has("baggage"),
    })
}

/// What the SDK reads by itself, and passes over in silence when it does not understand it.
fn check_what_the_sdk_reads(vars: &Vars<'_>) -> Result<(), SettingsError> {
    const SAMPLERS: [&str; 6] = [
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    ];
    vars.one_of("OTEL_TRACES_SAMPLER", &SAMPLERS)?;
    vars.one_of("OTEL_EXPORTER_OTLP_COMPRESSION", &["gzip"])?;
    let ratio = vars.get("OTEL_TRACES_SAMPLER_ARG");
    let good = |text: &String| {
        text.parse()
            .is_ok_and(|ratio: f64| (0.0..=1.0).contains(&ratio))
    };
    match ratio.filter(|text| !good(text)) {
        Some(text) => Err(parse::invalid(
            "OTEL_TRACES_SAMPLER_ARG",
            text,
            "a share from 0 to 1",
        )),
        None => Ok(()),
    }
}

/// The SDK's own defaults (2048 spans, 5 s) lose spans in a burst.
fn batch(vars: &Vars<'_>) -> Result<Batch, SettingsError> {
    let number = |name, default| Ok(vars.positive(name)?.unwrap_or(default));
    Ok(Batch {
        queue: number("OTEL_BSP_MAX_QUEUE_SIZE", 8192)?,
        size: number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)?,
        delay: Duration::from_millis(number("OTEL_BSP_SCHEDULE_DELAY", 500)? as u64),
    })
}

fn log_format(vars: &Vars<'_>, defaults: &Defaults<'_>) -> Result<LogFormat, SettingsError> {
    let variable = format!("{}_LOG_FORMAT", defaults.prefix);
    match vars.one_of(&variable, &["human", "json"])?.as_deref() {
        Some("human") => Ok(LogFormat::Human),
        Some(_) => Ok(LogFormat::Json),
        None if defaults.terminal => Ok(LogFormat::Human),
        None => Ok(LogFormat::Json),
    }
}

fn log_filter(vars: &Vars<'_>, defaults: &Defaults<'_>) -> Result<Targets, SettingsError> {
    let variable = format!("{}_LOG", defaults.prefix);
    let wanted = vars.get(&variable).unwrap_or_else(|| "info".to_owned());
    // A target alone would silence all others, and a mistyped level would be taken for one.
    let mut bare = wanted
        .split(',')
        .map(str::trim)
        .filter(|part| !part.contains('='));
    if let Some(word) = bare.find(|part| part.parse::<LevelFilter>().is_err()) {
        return Err(parse::invalid(
            &variable,
            word.to_owned(),
            "a level (off, error, warn, info, debug, trace), or target=level; several with commas",
        ));
    }
    // Checked alone, so that the message is about what the person wrote.
    wanted
        .parse::<Targets>()
        .map_err(|source| SettingsError::LogFilter {
            variable,
            value: wanted.clone(),
            source,
        })?;
    // A later directive replaces an earlier one for the same target.
    let all = format!("{QUIET},{wanted}");
    all.parse().map_err(|source| SettingsError::LogFilter {
        variable: format!("{}_LOG", defaults.prefix),
        value: all,
        source,
    })
}

fn parenting(vars: &Vars<'_>, defaults: &Defaults<'_>) -> Result<Parenting, SettingsError> {
    let variable = format!("{}_TRACE_PARENT", defaults.prefix);
    match vars.one_of(&variable, &["child", "link"])?.as_deref() {
        Some("link") => Ok(Parenting::Link),
        _ => Ok(Parenting::Child),
    }
}

fn switches(vars: &Vars<'_>, kind: ProcessKind) -> Result<Switches, SettingsError> {
    let flag = |pair, default| Ok(vars.switch(kind.variable(pair))?.unwrap_or(default));
    Ok(Switches {
        llm: flag(switches::LLM, Switches::DEFAULT.llm)?,
        sql: flag(switches::SQL, Switches::DEFAULT.sql)?,
        redis: flag(switches::REDIS, Switches::DEFAULT.redis)?,
    })
}

#[cfg(test)]
mod tests;
