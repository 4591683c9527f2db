//! Prints each finished trace as a tree, for one person at one terminal.
//!
//! A span processor and not an exporter: it must know which spans of a trace are still open. It is
//! not for production, and it does not keep what is beyond its bounds: it prints early instead.

use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use opentelemetry::trace::TraceId;
use opentelemetry::{Context, Key};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

use crate::record::SpanRecord;
use crate::tree::{self, TreeStyle};

const TICK: Duration = Duration::from_millis(50);

/// A trace nobody added to for this many ticks is finished: a task that was kicked in this process
/// starts sooner, and then kick and task are printed as one tree.
const QUIET_TICKS: u32 = 4;

/// Spans held at most; beyond, the largest trace is printed as far as it got.
const MAX_SPANS: usize = 10_000;

/// Collects the spans of each trace and prints the trace when it is finished.
pub struct ConsoleProcessor {
    shared: Arc<Shared>,
    printer: Mutex<Option<JoinHandle<()>>>,
    service: String,
}

impl fmt::Debug for ConsoleProcessor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsoleProcessor").finish_non_exhaustive()
    }
}

impl ConsoleProcessor {
    /// Prints to `output`, from a thread of its own, so that no task waits for a slow terminal.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn new(output: Box<dyn Write + Send>, style: TreeStyle) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            traces: Mutex::default(),
            woken: Condvar::new(),
            output: Mutex::new(output),
            style,
        });
        let of_printer = Arc::clone(&shared);
        let printer = thread::Builder::new()
            .name("trace-console".to_owned())
            .spawn(move || of_printer.run())?;
        Ok(Self {
            shared,
            printer: Mutex::new(Some(printer)),
            service: String::new(),
        })
    }
}

impl SpanProcessor for ConsoleProcessor {
    fn on_start(&self, span: &mut Span, _cx: &Context) {
        use opentelemetry::trace::Span as _;
        let trace_id = span.span_context().trace_id();
        let mut traces = self.shared.traces();
        traces.by_id.entry(trace_id).or_default().open += 1;
    }

    fn on_end(&self, span: SpanData) {
        let trace_id = span.span_context.trace_id();
        let record = SpanRecord::from_data(span, &self.service);
        let full = self.shared.traces().end(trace_id, record);
        if let Some(spans) = full {
            self.shared.print(&spans);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.shared.print_all();
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        self.shared.traces().closed = true;
        self.shared.woken.notify_all();
        let printer = recover(self.printer.lock()).take();
        // A printer that panicked has nothing left to print.
        let _ = printer.map(JoinHandle::join);
        Ok(())
    }

    fn set_resource(&mut self, resource: &Resource) {
        let name = resource.get(&Key::from_static_str("service.name"));
        self.service = name.map(|name| name.to_string()).unwrap_or_default();
    }
}

/// What the processor and its printer share.
struct Shared {
    traces: Mutex<Traces>,
    woken: Condvar,
    output: Mutex<Box<dyn Write + Send>>,
    style: TreeStyle,
}

impl Shared {
    fn traces(&self) -> MutexGuard<'_, Traces> {
        recover(self.traces.lock())
    }

    fn run(&self) {
        loop {
            let waited = self.woken.wait_timeout(self.traces(), TICK);
            let (mut traces, _) = recover(waited);
            if traces.closed {
                break;
            }
            let finished = traces.tick();
            drop(traces);
            for spans in finished {
                self.print(&spans);
            }
        }
        self.print_all();
    }

    fn print_all(&self) {
        let remaining = self.traces().take_all();
        for spans in remaining {
            self.print(&spans);
        }
    }

    fn print(&self, spans: &[SpanRecord]) {
        let text = tree::render(spans, &self.style);
        let mut output = recover(self.output.lock());
        // Nobody to tell when the terminal is gone.
        let _ = writeln!(output, "{text}").and_then(|()| output.flush());
    }
}

/// The traces that are not printed yet.
#[derive(Default)]
struct Traces {
    by_id: HashMap<TraceId, Trace>,
    held: usize,
    closed: bool,
}

#[derive(Default)]
struct Trace {
    spans: Vec<SpanRecord>,
    open: usize,
    quiet: u32,
}

impl Traces {
    /// Keeps the span; gives back the largest trace when too many are held.
    fn end(&mut self, trace_id: TraceId, record: SpanRecord) -> Option<Vec<SpanRecord>> {
        let trace = self.by_id.entry(trace_id).or_default();
        trace.open = trace.open.saturating_sub(1);
        trace.quiet = 0;
        trace.spans.push(record);
        self.held += 1;
        if self.held <= MAX_SPANS {
            return None;
        }
        let traces = self.by_id.values_mut();
        let largest = traces.max_by_key(|trace| trace.spans.len())?;
        let spans = std::mem::take(&mut largest.spans);
        self.held -= spans.len();
        Some(spans)
    }

    /// Takes out the traces that are finished: none of their spans is open, and they are quiet.
    fn tick(&mut self) -> Vec<Vec<SpanRecord>> {
        let mut finished = Vec::new();
        self.by_id.retain(|_, trace| {
            if trace.open > 0 {
                return true;
            }
            trace.quiet += 1;
            if trace.quiet < QUIET_TICKS {
                return true;
            }
            // Empty when it was printed early, because too many spans were held.
            if !trace.spans.is_empty() {
                finished.push(std::mem::take(&mut trace.spans));
            }
            false
        });
        self.held -= finished.iter().map(Vec::len).sum::<usize>();
        finished
    }

    fn take_all(&mut self) -> Vec<Vec<SpanRecord>> {
        let traces = self.by_id.values_mut();
        let remaining = traces.map(|trace| std::mem::take(&mut trace.spans));
        let remaining = remaining.filter(|spans| !spans.is_empty()).collect();
        self.by_id.retain(|_, trace| trace.open > 0);
        self.held = 0;
        remaining
    }
}

/// The data stays whole when a holder of the lock panicked: every change is one statement.
fn recover<T>(locked: Result<T, PoisonError<T>>) -> T {
    locked.unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver, Sender};

    use opentelemetry::trace::{TraceContextExt, Tracer, TracerProvider};
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;

    struct Channel(Sender<String>);

    impl Write for Channel {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let text = String::from_utf8_lossy(bytes).into_owned();
            self.0.send(text).map_err(std::io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            self.0.send("\0".to_owned()).map_err(std::io::Error::other)
        }
    }

    fn console() -> (SdkTracerProvider, Receiver<String>) {
        let (sender, receiver) = mpsc::channel();
        let output = Box::new(Channel(sender));
        let processor = ConsoleProcessor::new(output, TreeStyle::for_tests(&[])).unwrap();
        let provider = SdkTracerProvider::builder()
            .with_resource(Resource::builder_empty().with_service_name("math").build())
            .with_span_processor(processor)
            .build();
        (provider, receiver)
    }

    fn one_tree(receiver: &Receiver<String>) -> String {
        let mut text = String::new();
        loop {
            match receiver
                .recv_timeout(Duration::from_secs(5))
                .unwrap()
                .as_str()
            {
                "\0" => return text,
                part => text.push_str(part),
            }
        }
    }

    #[test]
    fn a_trace_is_printed_once_when_all_of_it_ended() {
        let (provider, receiver) = console();
        let tracer = provider.tracer("test");
        let root = Context::new().with_span(tracer.start_with_context("kick", &Context::new()));
        let child = root.with_span(tracer.start_with_context("task", &root));
        root.span().end();
        // The child is open for longer than the quiet time: nothing is printed yet.
        let quiet = TICK * (QUIET_TICKS + 3);
        assert!(receiver.recv_timeout(quiet).is_err());
        child.span().end();
        let expected = "trace <id 1> math\nkick\n└─ task\n\n";
        assert_eq!(one_tree(&receiver), expected);
        provider.shutdown().unwrap();
        assert!(receiver.try_recv().is_err(), "printed twice");
    }

    #[test]
    fn shutdown_prints_what_is_left() {
        let (provider, receiver) = console();
        let tracer = provider.tracer("test");
        let root = Context::new().with_span(tracer.start_with_context("open", &Context::new()));
        let child = tracer.start_with_context("ended", &root);
        drop(child);
        provider.shutdown().unwrap();
        assert_eq!(
            one_tree(&receiver),
            "trace <id 1> math\nended (remote parent)\n\n"
        );
    }

    #[test]
    fn memory_is_bounded() {
        let mut traces = Traces::default();
        let (provider, _receiver) = console();
        let tracer = provider.tracer("test");
        let record = {
            use opentelemetry_sdk::trace::Span as SdkSpan;
            let span: SdkSpan = tracer.start_with_context("x", &Context::new());
            let data = span.exported_data().unwrap();
            SpanRecord::from_data(data, "math")
        };
        let id = TraceId::from(7_u128);
        for _ in 0..MAX_SPANS {
            assert!(traces.end(id, record.clone()).is_none());
        }
        let printed = traces.end(id, record).map(|spans| spans.len());
        assert_eq!(printed, Some(MAX_SPANS + 1));
        assert_eq!(traces.held, 0);
    }
}
