//! What must not compile, and the sentence that says why: each is given to the compiler, against the libraries as they are.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::source::root;

/// A line of a program, and what the compiler says to it.
const SPANS: [(&str, &str); 12] = [
    (
        "ext_span!(whisper.transcribe {});",
        "ext_span! needs a domain correlation key, so that a slow call leads to its owner: \
         ext_span!(whisper.transcribe { project_uuid = %project })",
    ),
    (
        "ext_span!(whisper.transcribe);",
        "ext_span! needs a domain correlation key",
    ),
    (
        "ext_span!(\"whisper\");",
        "ext_span! is written ext_span!(service.operation { key = %value, ... })",
    ),
    (
        "service_span!(taskiq.render { user_id = 7 } -> reserved);",
        "taskiq.* spans are made by the runtime only: name the span <module>.<method>",
    ),
    (
        "service_span!(step.cut { user_id = 7 } -> reserved);",
        "step.* spans are made by the runtime only: name the span <module>.<method>",
    ),
    (
        "service_span!(render.pipeline { user_id = 7 } -> reserved);",
        "*.pipeline spans are made by the runtime only: name the span <module>.<method>",
    ),
    (
        "service_span!(ext.whisper { user_id = 7 } -> reserved);",
        "service_span! does not make ext.* spans: use ext_span!",
    ),
    (
        "service_span!(sse.ready { user_id = 7 } -> reserved);",
        "service_span! does not make sse.* spans: use sse_span!",
    ),
    (
        "service_span!(credits.reserve { user_id = 7 });",
        "service_span! needs the outcome attribute it will record: \
         service_span!(credits.reserve { user_id = %user } -> reserved)",
    ),
    (
        "service_span!(credits);",
        "service_span! is written service_span!(module.method { key = %value, ... } -> outcome, ...)",
    ),
    (
        "sse_span!(clip_ready {});",
        "sse_span! needs the key of its channel: sse_span!(clip_ready { project_uuid = %project })",
    ),
    (
        "sse_span!(clip.ready { a = 1 });",
        "sse_span! is written sse_span!(event { key = %value, ... })",
    ),
];

/// A handler, and what the compiler says to it.
const TASKS: [(&str, &str); 8] = [
    (
        "#[task(queue = \"render\")] pub async fn f(args: A) -> TaskResult<()> { Ok(()) }",
        "#[task] knows only `blocking`; name, queue and policy stand on the task's type",
    ),
    (
        "#[task] pub fn f(args: A) -> TaskResult<()> { Ok(()) }",
        "a task is an `async fn`; a plain `fn` takes #[task(blocking)]",
    ),
    (
        "#[task(blocking)] pub async fn f(args: A) -> TaskResult<()> { Ok(()) }",
        "#[task(blocking)] goes on a plain `fn`, not on an `async fn`",
    ),
    (
        "#[task] pub async fn f<T>(args: A) -> TaskResult<()> { Ok(()) }",
        "a task is one kind of work: its function cannot be generic",
    ),
    (
        "#[task] pub async fn f(args: A) {}",
        "a task returns `TaskResult<..>` with its Output",
    ),
    (
        "#[task] pub async fn f() -> TaskResult<()> { Ok(()) }",
        "the first parameter of a task is its args, the type that implements `Task`",
    ),
    (
        "#[task] pub async fn f(self) -> TaskResult<()> { Ok(()) }",
        "a task is a free function: it cannot take `self`",
    ),
    (
        "#[task] pub async fn f(args: A) -> TaskResult<u8> { Ok(1) }",
        "mismatched types",
    ),
];

/// The directory that this binary, and every library of the workspace, was built into.
fn built() -> PathBuf {
    let binary = std::env::current_exe().expect("this test is a file");
    let deps = binary.parent().expect("it is in a directory");
    deps.parent().expect("and that in another").to_owned()
}

/// What the compiler says to a program that uses these libraries.
fn compiler(built: &Path, libraries: &[&str], program: &str, out: &Path) -> String {
    let source = out.join("misuse.rs");
    std::fs::write(&source, program).expect("writable");
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition=2024", "--crate-type=lib", "--emit=metadata"]);
    for library in libraries {
        let file = built.join(format!("lib{library}.rlib"));
        let extern_ = format!("{library}={}", file.display());
        rustc.arg("--extern").arg(extern_);
    }
    let dependencies = built.join("deps");
    rustc
        .arg("-L")
        .arg(format!("dependency={}", dependencies.display()));
    rustc
        .arg("--out-dir")
        .arg(out)
        .arg(&source)
        .current_dir(root());
    let said = rustc.output().expect("the compiler is in PATH");
    String::from_utf8_lossy(&said.stderr).into_owned()
}

#[test]
fn a_span_outside_the_taxonomy_does_not_compile_and_the_compiler_says_what_to_write() {
    let (built, out) = (built(), scratch());
    let program =
        |line: &str| format!("use sapari_telemetry::*;\npub fn f() {{ let _ = {line} }}\n");
    let good = "ext_span!(whisper.transcribe { project_uuid = 1 });";
    let said = compiler(&built, &["sapari_telemetry"], &program(good), out.dir());
    assert!(!said.contains("error"), "the program is at fault: {said}");
    for (line, sentence) in SPANS {
        let said = compiler(&built, &["sapari_telemetry"], &program(line), out.dir());
        assert!(said.contains(sentence), "{line}\nis answered with\n{said}");
    }
}

#[test]
fn a_handler_that_is_none_does_not_compile_and_the_compiler_says_why() {
    let (built, out) = (built(), scratch());
    let program = |line: &str| {
        format!("use sapari_runtime::prelude::*;\nuse sapari_tasks::RenderExport as A;\n{line}\n")
    };
    let good = "#[task] pub async fn f(args: A) -> TaskResult<<A as Task>::Output> { let _ = args; Err(\"no\".into()) }";
    let said = compiler(
        &built,
        &["sapari_runtime", "sapari_tasks"],
        &program(good),
        out.dir(),
    );
    assert!(!said.contains("error"), "the program is at fault: {said}");
    for (line, sentence) in TASKS {
        let said = compiler(
            &built,
            &["sapari_runtime", "sapari_tasks"],
            &program(line),
            out.dir(),
        );
        assert!(said.contains(sentence), "{line}\nis answered with\n{said}");
    }
}

fn scratch() -> sapari_services::Scratch {
    sapari_services::Scratch::new(&std::env::temp_dir(), "misuse").expect("a directory")
}
