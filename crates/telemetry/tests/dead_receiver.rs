//! A receiver that accepts and never answers must not keep the process from ending.

use std::net::TcpListener;
use std::time::{Duration, SystemTime};

use sapari_telemetry::{Defaults, Settings, TaskMetrics, ext_span, init};

#[test]
fn shutdown_gives_up_at_the_deadline() {
    // Never accepted by us: the kernel completes the connection, and nobody reads.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let settings = Settings::from_lookup(&Defaults::default(), |name| {
        (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| endpoint.clone())
    });
    let guard = init(settings.unwrap()).unwrap();
    ext_span!(whisper.transcribe { clip = 7 }).in_scope(|| {});
    TaskMetrics::new().in_flight("render", 1);
    let before = SystemTime::now();
    assert!(
        !guard.shutdown(Duration::from_millis(300)),
        "nothing can have been sent"
    );
    let took = before.elapsed().unwrap();
    assert!(took < Duration::from_secs(2), "{took:?}");
}
