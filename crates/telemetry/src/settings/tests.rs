//! Every variable, read through a table instead of the environment.

use super::*;

const DEFAULTS: Defaults<'static> = Defaults {
    prefix: "ACME",
    role: "acme-render",
    service_name: None,
    namespace: Some("acme"),
    version: Some("1.2.3"),
    terminal: false,
    kind: ProcessKind::Worker,
};

fn read(vars: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    read_with(&DEFAULTS, vars)
}

fn read_with(defaults: &Defaults<'_>, vars: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    Settings::from_lookup(defaults, |name| {
        let found = vars.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn the_service_name_comes_from_the_first_that_says_it() {
    let all = [
        ("LOGFIRE_SERVICE_NAME", "from-logfire"),
        ("OTEL_SERVICE_NAME", "from-otel"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=from-attributes"),
    ];
    let explicit = Defaults {
        service_name: Some("from-flag"),
        ..DEFAULTS
    };
    let name = |settings: Settings| settings.service_name;
    assert_eq!(name(read_with(&explicit, &all).unwrap()), "from-flag");
    let rest = [
        "from-logfire",
        "from-otel",
        "from-attributes",
        "acme-render",
    ];
    for (skip, expected) in rest.into_iter().enumerate() {
        assert_eq!(name(read(&all[skip..]).unwrap()), expected);
    }
    let empty = [("LOGFIRE_SERVICE_NAME", " "), ("OTEL_SERVICE_NAME", "x")];
    assert_eq!(name(read(&empty).unwrap()), "x");
}

#[test]
fn the_environment_is_part_of_the_resource() {
    let settings = read(&[
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "team=a, service.version=9,deployment.environment.name=x",
        ),
        ("LOGFIRE_ENVIRONMENT", "staging"),
    ])
    .unwrap();
    let last = |key: &str| {
        let mut found = settings.resource.iter().rev();
        found.find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    };
    assert_eq!(last("team"), Some("a"));
    assert_eq!(last("service.version"), Some("9"));
    assert_eq!(last("service.namespace"), Some("acme"));
    assert_eq!(last("deployment.environment.name"), Some("staging"));
}

#[test]
fn otlp_is_on_when_it_has_an_address_or_is_asked_for() {
    let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/");
    let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://t/x");
    let local = Some("http://localhost:4318/v1/traces");
    type Row<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>, Option<&'a str>);
    let table: [Row<'_>; 9] = [
        (&[], None, None),
        (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")], None, None),
        (
            &[base],
            Some("http://c:4318/v1/traces"),
            Some("http://c:4318/v1/metrics"),
        ),
        (&[traces], Some("https://t/x"), None),
        (
            &[base, traces],
            Some("https://t/x"),
            Some("http://c:4318/v1/metrics"),
        ),
        (&[("OTEL_TRACES_EXPORTER", "otlp")], local, None),
        (&[("OTEL_TRACES_EXPORTER", "console, OTLP")], local, None),
        (
            &[base, ("OTEL_TRACES_EXPORTER", "console")],
            None,
            Some("http://c:4318/v1/metrics"),
        ),
        (
            &[
                base,
                ("OTEL_TRACES_EXPORTER", "none"),
                ("OTEL_METRICS_EXPORTER", "none"),
            ],
            None,
            None,
        ),
    ];
    for (vars, traces, metrics) in table {
        let settings = read(vars).unwrap();
        let target = settings.otlp.first();
        assert_eq!(target.and_then(|t| t.traces.as_deref()), traces, "{vars:?}");
        assert_eq!(
            target.and_then(|t| t.metrics.as_deref()),
            metrics,
            "{vars:?}"
        );
    }
}

#[test]
fn a_logfire_token_adds_a_target_and_stays_secret() {
    let token = ("LOGFIRE_TOKEN", "pylf_v1_eu_secret");
    let settings = read(&[token, ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c")]).unwrap();
    assert_eq!(settings.otlp.len(), 2);
    let traces = settings.otlp[1].traces.as_deref();
    assert_eq!(traces, Some("https://logfire-eu.pydantic.dev/v1/traces"));
    assert!(!format!("{settings:?}").contains("secret"));
    assert!(
        read(&[token, ("LOGFIRE_SEND_TO_LOGFIRE", "false")])
            .unwrap()
            .otlp
            .is_empty()
    );
    let error = read(&[("LOGFIRE_TOKEN", "pylf_v1_xx_secret")]).unwrap_err();
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[test]
fn the_rest_has_defaults() {
    let settings = read(&[]).unwrap();
    assert!(!settings.disabled && !settings.console && !settings.colours);
    assert!(settings.propagators.tracecontext && settings.propagators.baggage);
    assert_eq!(settings.log_format, LogFormat::Json);
    let batch = settings.batch;
    assert_eq!(
        (batch.queue, batch.size, batch.delay.as_millis()),
        (8192, 512, 500)
    );
    assert_eq!(settings.parenting, Parenting::Child);
    let terminal = Defaults {
        terminal: true,
        ..DEFAULTS
    };
    assert_eq!(
        read_with(&terminal, &[]).unwrap().log_format,
        LogFormat::Human
    );
    assert!(read_with(&terminal, &[]).unwrap().colours);
    assert!(!read_with(&terminal, &[("NO_COLOR", "1")]).unwrap().colours);
}

#[test]
fn every_variable_is_read() {
    let settings = read(&[
        ("OTEL_SDK_DISABLED", "TRUE"),
        ("OTEL_TRACES_EXPORTER", "console"),
        ("OTEL_PROPAGATORS", "baggage"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "10"),
        ("ACME_LOG_FORMAT", "human"),
        ("ACME_TRACE_PARENT", "link"),
    ])
    .unwrap();
    assert!(settings.disabled && settings.console);
    assert!(!settings.propagators.tracecontext && settings.propagators.baggage);
    assert_eq!(settings.batch.queue, 10);
    assert_eq!(settings.log_format, LogFormat::Human);
    assert_eq!(settings.parenting, Parenting::Link);
    let none = read(&[("OTEL_PROPAGATORS", "none")]).unwrap().propagators;
    assert!(!none.tracecontext && !none.baggage);
}

#[test]
fn the_log_filter_keeps_noisy_crates_down_unless_told_otherwise() {
    use tracing::Level;
    let default = read(&[]).unwrap().log_filter;
    assert!(default.would_enable("acme", &Level::INFO));
    assert!(!default.would_enable("acme", &Level::DEBUG));
    assert!(!default.would_enable("lapin::channel", &Level::INFO));
    let debug = read(&[("ACME_LOG", "debug,lapin=trace")])
        .unwrap()
        .log_filter;
    assert!(debug.would_enable("acme", &Level::DEBUG));
    assert!(debug.would_enable("lapin", &Level::TRACE));
    assert!(!debug.would_enable("hyper", &Level::INFO));
}

#[test]
fn a_bad_value_says_what_is_allowed() {
    let table = [
        ("OTEL_SDK_DISABLED", "yes", "true, false"),
        ("OTEL_TRACES_EXPORTER", "jaeger", "otlp, console, none"),
        ("OTEL_TRACES_EXPORTER", "otlp,none", "none alone"),
        ("OTEL_PROPAGATORS", "b3", "tracecontext, baggage, none"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "a whole number from 1"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team", "key=value"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317", "http://"),
        ("ACME_LOG_FORMAT", "xml", "human, json"),
        ("ACME_LOG", "acme=loud", "target=level"),
        ("ACME_TRACE_PARENT", "none", "child, link"),
    ];
    for (variable, value, allowed) in table {
        let message = read(&[(variable, value)]).unwrap_err().to_string();
        assert!(message.contains(variable), "{message}");
        assert!(message.contains(value), "{message}");
        assert!(message.contains(allowed), "{message}");
    }
    let grpc = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ];
    assert!(
        read(&grpc)
            .unwrap_err()
            .to_string()
            .contains("http/protobuf")
    );
}

#[test]
fn a_password_in_an_address_is_refused_and_not_repeated() {
    for value in ["http://u:s3cret@collector:4318", "u:s3cret@collector:4318"] {
        let settings = Settings::from_lookup(&Defaults::default(), |name| {
            (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| value.to_owned())
        });
        let said = settings.unwrap_err().to_string();
        assert!(said.contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{said}");
        assert!(!said.contains("s3cret"), "{said}");
    }
}

#[test]
fn switches_keep_the_names_of_the_python_services() {
    let on_off = |vars: &[(&str, &str)], kind| {
        let switches = read_with(&Defaults { kind, ..DEFAULTS }, vars)
            .unwrap()
            .switches;
        (switches.llm, switches.sql, switches.redis)
    };
    let (web, worker) = (ProcessKind::Web, ProcessKind::Worker);
    type Row<'a> = (&'a [(&'a str, &'a str)], ProcessKind, (bool, bool, bool));
    let table: [Row<'_>; 8] = [
        (&[], web, (true, true, false)),
        (&[], worker, (true, true, false)),
        (
            &[("LOGFIRE_INSTRUMENT_PYDANTIC_AI", "false")],
            web,
            (false, true, false),
        ),
        (
            &[("LOGFIRE_INSTRUMENT_PYDANTIC_AI", "false")],
            worker,
            (false, true, false),
        ),
        (
            &[("LOGFIRE_INSTRUMENT_SQLALCHEMY", "false")],
            web,
            (true, false, false),
        ),
        (
            &[("LOGFIRE_INSTRUMENT_SQLALCHEMY", "false")],
            worker,
            (true, true, false),
        ),
        (
            &[("LOGFIRE_INSTRUMENT_REDIS_WORKERS", "true")],
            worker,
            (true, true, true),
        ),
        (
            &[("LOGFIRE_INSTRUMENT_REDIS_WORKERS", "true")],
            web,
            (true, true, false),
        ),
    ];
    for (vars, kind, expected) in table {
        assert_eq!(on_off(vars, kind), expected, "{vars:?} {kind:?}");
    }
    let wrong = read(&[("LOGFIRE_INSTRUMENT_REDIS_WORKERS", "maybe")]);
    assert!(wrong.is_err());
}

#[test]
fn what_would_be_passed_over_in_silence_is_refused() {
    let refused = [
        ("ACME_LOG", "verbose"),
        ("ACME_LOG", "inf"),
        ("ACME_LOG", "info,hyper"),
        ("OTEL_TRACES_SAMPLER", "foo"),
        ("OTEL_TRACES_SAMPLER_ARG", "7"),
        ("OTEL_TRACES_SAMPLER_ARG", "half"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "lz4"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "18446744073709551615"),
    ];
    for (variable, value) in refused {
        let sentence = read(&[(variable, value)]).expect_err(variable).to_string();
        assert!(sentence.contains(variable), "{sentence}");
    }
    let taken = [
        ("ACME_LOG", "warn, acme=debug"),
        ("ACME_LOG", "off"),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.05"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
    ];
    for pair in taken {
        assert!(read(&[pair]).is_ok(), "{pair:?}");
    }
}
