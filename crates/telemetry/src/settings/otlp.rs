//! Where traces and metrics are sent over OTLP (http/protobuf).
//!
//! It does not do gRPC: its exporter can deadlock on a small runtime.

use std::fmt;
use std::time::Duration;

use super::error::SettingsError;
use super::parse::{Vars, invalid};

/// Where the specification says a collector listens.
const LOCAL_COLLECTOR: &str = "http://localhost:4318";

/// Whom a receiver is made by, where that matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// OTLP as the specification has it.
    #[default]
    Plain,
    /// Logfire: attributes that fill its columns, pending spans, gzip, and metrics as differences.
    Logfire,
}

/// One receiver of traces and metrics.
#[derive(Clone, PartialEq, Eq)]
pub struct OtlpTarget {
    /// How it is spoken to.
    pub dialect: Dialect,
    /// The full address for traces.
    pub traces: Option<String>,
    /// The full address for metrics.
    pub metrics: Option<String>,
    /// The value of the `Authorization` header, when the receiver wants one from us.
    pub authorization: Option<String>,
    /// How long one request may take.
    pub timeout: Duration,
}

// By hand: the authorization is a secret.
impl fmt::Debug for OtlpTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpTarget")
            .field("dialect", &self.dialect)
            .field("traces", &self.traces)
            .field("metrics", &self.metrics)
            .field("authorization", &self.authorization.as_ref().map(|_| "***"))
            .field("timeout", &self.timeout)
            .finish()
    }
}

/// The generic collector and Logfire; both may be on.
pub(super) fn targets(
    vars: &Vars<'_>,
    exporters: Option<&[String]>,
) -> Result<Vec<OtlpTarget>, SettingsError> {
    let timeout = timeout(vars)?;
    let mut targets = Vec::new();
    targets.extend(collector(vars, exporters, timeout)?);
    targets.extend(logfire(vars, timeout)?);
    Ok(targets)
}

fn timeout(vars: &Vars<'_>) -> Result<Duration, SettingsError> {
    let millis = vars.positive("OTEL_EXPORTER_OTLP_TIMEOUT")?;
    Ok(Duration::from_millis(millis.unwrap_or(10_000) as u64))
}

fn collector(
    vars: &Vars<'_>,
    exporters: Option<&[String]>,
    timeout: Duration,
) -> Result<Option<OtlpTarget>, SettingsError> {
    let base = vars.url("OTEL_EXPORTER_OTLP_ENDPOINT")?;
    let traces = endpoint(vars, "TRACES", base.as_deref(), exporters)?;
    let metrics_exporters = vars.list("OTEL_METRICS_EXPORTER", &["otlp", "none"])?;
    let metrics = endpoint(
        vars,
        "METRICS",
        base.as_deref(),
        metrics_exporters.as_deref(),
    )?;
    if traces.is_none() && metrics.is_none() {
        return Ok(None);
    }
    protocol(vars)?;
    Ok(Some(OtlpTarget {
        dialect: Dialect::Plain,
        traces,
        metrics,
        authorization: None,
        timeout,
    }))
}

/// A signal is on when its exporter is named, or, where none is named, when it has an address.
fn endpoint(
    vars: &Vars<'_>,
    signal: &str,
    base: Option<&str>,
    exporters: Option<&[String]>,
) -> Result<Option<String>, SettingsError> {
    let own = vars.url(&format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"))?;
    let path = signal.to_ascii_lowercase();
    let address = own.or_else(|| base.map(|base| format!("{base}/v1/{path}")));
    let local = || Some(format!("{LOCAL_COLLECTOR}/v1/{path}"));
    Ok(match exporters {
        None => address,
        Some(names) if names.iter().any(|name| name == "otlp") => address.or_else(local),
        Some(_) => None,
    })
}

fn protocol(vars: &Vars<'_>) -> Result<(), SettingsError> {
    for variable in [
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
    ] {
        vars.one_of(variable, &["http/protobuf"])?;
    }
    Ok(())
}

fn logfire(vars: &Vars<'_>, timeout: Duration) -> Result<Option<OtlpTarget>, SettingsError> {
    let send = vars.one_of(
        "LOGFIRE_SEND_TO_LOGFIRE",
        &["true", "false", "if-token-present"],
    )?;
    let token = vars.get("LOGFIRE_TOKEN");
    let Some(token) = token.filter(|_| send.as_deref() != Some("false")) else {
        return missing_token(send.as_deref());
    };
    let base = match vars.url("LOGFIRE_BASE_URL")? {
        Some(base) => base,
        None => region(&token)?.to_owned(),
    };
    Ok(Some(OtlpTarget {
        dialect: Dialect::Logfire,
        traces: Some(format!("{base}/v1/traces")),
        metrics: Some(format!("{base}/v1/metrics")),
        authorization: Some(token),
        timeout,
    }))
}

fn missing_token(send: Option<&str>) -> Result<Option<OtlpTarget>, SettingsError> {
    match send {
        Some("true") => Err(invalid(
            "LOGFIRE_SEND_TO_LOGFIRE",
            "true".to_owned(),
            "true only together with LOGFIRE_TOKEN; otherwise false or if-token-present",
        )),
        _ => Ok(None),
    }
}

/// The region is part of the token: `pylf_v1_us_…`. Tokens without one are from the US.
fn region(token: &str) -> Result<&'static str, SettingsError> {
    match token
        .strip_prefix("pylf_v1_")
        .and_then(|rest| rest.split_once('_'))
    {
        Some(("eu", _)) => Ok("https://logfire-eu.pydantic.dev"),
        Some(("us", _)) | None => Ok("https://logfire-us.pydantic.dev"),
        Some((other, _)) => Err(invalid(
            "LOGFIRE_TOKEN",
            format!("pylf_v1_{other}_…"),
            "a token of the region us or eu; for another one set LOGFIRE_BASE_URL",
        )),
    }
}
