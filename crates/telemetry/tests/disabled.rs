//! `OTEL_SDK_DISABLED`: log lines and nothing else.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use sapari_telemetry::{
    Carrier, Defaults, Outputs, Settings, current_trace_id, ext_span, framework, init_with,
};

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no writer panics").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_disabled_sdk_still_logs() {
    let settings = Settings::from_lookup(&Defaults::default(), |name| {
        // Strict, so that the task's span is kept for the line and for nothing else.
        let vars = [
            ("OTEL_SDK_DISABLED", "true"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"),
            ("_LOG", "warn"),
        ];
        let found = vars.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    });
    let log = Buffer::default();
    let outputs = Outputs {
        log: Some(Box::new(log.clone())),
        ..Outputs::default()
    };
    let _guard = init_with(settings.unwrap(), outputs).unwrap();
    let attrs = framework::TaskSpan {
        task_name: "render_clip",
        ..framework::TaskSpan::default()
    };
    framework::task_span(&attrs, &Carrier::default()).in_scope(|| {
        ext_span!(whisper.transcribe { clip = 7 }).in_scope(|| {
            assert_eq!(current_trace_id(), None);
            tracing::warn!("still here");
        });
    });
    let text = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(text.contains("still here"), "{text}");
    assert!(text.contains("render_clip"), "{text}");
    assert!(!text.contains("trace_id"), "{text}");
}
