//! The span macros: names and required keys are held at compile time.
//!
//! It deliberately has no macro for `taskiq.*`, `step.*`, `publish *` and `*.pipeline`: only the
//! runtime makes those, see [`crate::framework`].

/// A span around an outbound call to something we do not own: `ext.<service>.<op>`, kind client.
///
/// At least one correlation key is required, so that a slow call leads to its owner:
///
/// ```
/// let clip = 7;
/// let span = sapari_telemetry::ext_span!(whisper.transcribe { clip_file_uuid = %clip, part = 3 });
/// ```
///
/// Without a key it does not compile:
///
/// ```compile_fail
/// let span = sapari_telemetry::ext_span!(whisper.transcribe {});
/// ```
///
/// Give whole numbers as `i64`: the OpenTelemetry bridge writes a `u64` as text.
#[macro_export]
macro_rules! ext_span {
    ($service:ident . $op:ident { $key:ident = $($rest:tt)+ }) => {
        $crate::__macro::tracing::info_span!(
            ::core::concat!("ext.", ::core::stringify!($service), ".", ::core::stringify!($op)),
            otel.kind = "client",
            $key = $($rest)+
        )
    };
    ($service:ident . $op:ident $({ $(,)? })?) => {
        ::core::compile_error!(::core::concat!(
            "ext_span! needs a domain correlation key, so that a slow call leads to its owner: ",
            "ext_span!(", ::core::stringify!($service), ".", ::core::stringify!($op),
            " { project_uuid = %project })"
        ))
    };
    ($($other:tt)*) => {
        ::core::compile_error!(
            "ext_span! is written ext_span!(service.operation { key = %value, ... }); keys are plain identifiers"
        )
    };
}

/// A span around a business operation of several calls: `<module>.<method>`, kind internal.
///
/// The outcome attributes after `->` are declared up front and recorded later:
///
/// ```
/// let user = 7;
/// let span = sapari_telemetry::service_span!(credits.reserve { user_id = %user } -> reserved);
/// span.record("reserved", true);
/// ```
///
/// The names of other families are refused:
///
/// ```compile_fail
/// let span = sapari_telemetry::service_span!(taskiq.render { user_id = 7 } -> reserved);
/// ```
///
/// And so is an operation that declares no outcome:
///
/// ```compile_fail
/// let span = sapari_telemetry::service_span!(credits.reserve { user_id = 7 });
/// ```
#[macro_export]
macro_rules! service_span {
    (ext . $($rest:tt)*) => {
        ::core::compile_error!("service_span! does not make ext.* spans: use ext_span!(service.operation { key = %value })")
    };
    (sse . $($rest:tt)*) => {
        ::core::compile_error!("service_span! does not make sse.* spans: use sse_span!(event { key = %value })")
    };
    (taskiq . $($rest:tt)*) => {
        ::core::compile_error!("taskiq.* spans are made by the runtime only: name the span <module>.<method>")
    };
    (step . $($rest:tt)*) => {
        ::core::compile_error!("step.* spans are made by the runtime only: name the span <module>.<method>")
    };
    ($module:ident . pipeline $($rest:tt)*) => {
        ::core::compile_error!("*.pipeline spans are made by the runtime only: name the span <module>.<method>")
    };
    ($module:ident . $method:ident { $(,)? } -> $($outcome:ident),+ $(,)?) => {
        $crate::__macro::tracing::info_span!(
            ::core::concat!(::core::stringify!($module), ".", ::core::stringify!($method)),
            otel.kind = "internal",
            $($outcome = $crate::__macro::tracing::field::Empty),+
        )
    };
    ($module:ident . $method:ident { $key:ident = $($rest:tt)+ } -> $($outcome:ident),+ $(,)?) => {
        $crate::__macro::tracing::info_span!(
            ::core::concat!(::core::stringify!($module), ".", ::core::stringify!($method)),
            otel.kind = "internal",
            $($outcome = $crate::__macro::tracing::field::Empty,)+
            $key = $($rest)+
        )
    };
    ($module:ident . $method:ident { $($rest:tt)* }) => {
        ::core::compile_error!(::core::concat!(
            "service_span! needs the outcome attribute it will record: ",
            "service_span!(", ::core::stringify!($module), ".", ::core::stringify!($method),
            " { user_id = %user } -> reserved)"
        ))
    };
    ($($other:tt)*) => {
        ::core::compile_error!(
            "service_span! is written service_span!(module.method { key = %value, ... } -> outcome, ...)"
        )
    };
}

/// A span around the publishing of a server-sent event: `sse.<event>`, kind producer.
///
/// The channel's key is required; `receivers` is declared, for how many listeners got it:
///
/// ```
/// let project = 7;
/// let span = sapari_telemetry::sse_span!(clip_ready { project_uuid = %project });
/// span.record("receivers", 2);
/// ```
///
/// ```compile_fail
/// let span = sapari_telemetry::sse_span!(clip_ready {});
/// ```
#[macro_export]
macro_rules! sse_span {
    ($event:ident { $key:ident = $($rest:tt)+ }) => {
        $crate::__macro::tracing::info_span!(
            ::core::concat!("sse.", ::core::stringify!($event)),
            otel.kind = "producer",
            receivers = $crate::__macro::tracing::field::Empty,
            $key = $($rest)+
        )
    };
    ($event:ident $({ $(,)? })?) => {
        ::core::compile_error!(::core::concat!(
            "sse_span! needs the key of its channel: sse_span!(",
            ::core::stringify!($event), " { project_uuid = %project })"
        ))
    };
    ($($other:tt)*) => {
        ::core::compile_error!("sse_span! is written sse_span!(event { key = %value, ... })")
    };
}
