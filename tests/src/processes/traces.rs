//! One order, three processes, one trace: asserted on what an OTLP receiver got from them, and on the video that came out.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use sapari_tasks::{Analysis, AnalyzeProject, RenderExport};
use serde_json::json;
use uuid::Uuid;

use super::support::{INTERVIEW, Receiver, Space, Span, film};

const STEPS: [(&str, &str); 7] = [
    ("step.load_audio", "analysis.pipeline"),
    ("step.detect_silences", "analysis.pipeline"),
    ("step.create_edits", "analysis.pipeline"),
    ("step.probe_clips", "render.pipeline"),
    ("step.download_clips", "render.pipeline"),
    ("step.apply_cuts", "render.pipeline"),
    ("step.upload_export", "render.pipeline"),
];

/// Probing happens in both roles.
const CALLS: [(&str, &str); 5] = [
    ("ext.ffmpeg.probe", "step.load_audio"),
    ("ext.ffmpeg.extract_audio", "step.load_audio"),
    ("ext.ffmpeg.detect_silences", "step.detect_silences"),
    ("ext.ffmpeg.probe", "step.probe_clips"),
    ("ext.ffmpeg.render", "step.apply_cuts"),
];

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_across_three_processes() {
    let receiver = Receiver::start().await;
    let space = Space::new().with("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint());
    let order = order();
    space.store(&order.clip_key, INTERVIEW.as_ref());
    let render = space.start("sapari-worker", &["--role", "render"]);
    let analysis = space.start("sapari-analysis", &[]);
    let _workers = (render.ready().await, analysis.ready().await);

    let analysed = kick(&space, &order).await;
    // The kick's own span is sent before the command ends, an attempt's span after all that is below it.
    let ends = ["taskiq.analyze_project", "taskiq.render_export"];
    let spans = Spans(receiver.spans(&ends).await);

    spans.assert_one_trace();
    spans.assert_services();
    spans.assert_queue_hops(&analysed);
    spans.assert_bodies(&order);
    let export_uuid = order.export_uuid.expect("asked for");
    let export = RenderExport::new(export_uuid, order.project_uuid);
    film(&space.object(&export.key())).assert_cut_interview();
}

fn order() -> AnalyzeProject {
    let clip_file_uuid = Uuid::new_v4();
    AnalyzeProject {
        project_uuid: Uuid::new_v4(),
        clip_file_uuid,
        clip_key: format!("clips/{clip_file_uuid}/interview.mp4"),
        export_uuid: Some(Uuid::new_v4()),
    }
}

/// What `sapari kick --wait` prints: the id, then the output as JSON.
async fn kick(space: &Space, order: &AnalyzeProject) -> Analysis {
    let args = json!(order).to_string();
    let line = ["kick", "analyze_project", "--args", &args, "--wait", "120s"];
    let ended = space.sapari(&line).ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let [id, output] = ended.stdout.as_slice() else {
        panic!("an id and an output were expected: {ended:?}")
    };
    let analysed: Analysis = serde_json::from_str(output).expect("the output as JSON");
    assert_eq!(id.len(), 36, "{id}");
    let render_id = order
        .export_uuid
        .expect("an export is asked for")
        .to_string();
    assert_eq!(analysed.render_task_id.as_deref(), Some(&*render_id));
    analysed
}

struct Spans(Vec<Span>);

impl Spans {
    #[track_caller]
    fn one(&self, name: &str) -> &Span {
        let mut found = self.0.iter().filter(|span| span.name == name);
        let (first, second) = (found.next(), found.next());
        assert!(second.is_none(), "there are two spans called {name:?}");
        first.unwrap_or_else(|| panic!("no span is called {name:?}"))
    }

    #[track_caller]
    fn assert_child(&self, child: &Span, parent: &str) {
        let parent = self.one(parent);
        assert_eq!(child.parent, parent.id, "{child:#?} under {parent:#?}");
    }

    fn assert_one_trace(&self) {
        let traces: BTreeSet<&str> = self.0.iter().map(|span| &*span.trace).collect();
        assert_eq!(traces.len(), 1, "{:#?}", self.0);
        let ids: BTreeSet<&str> = self.0.iter().map(|span| &*span.id).collect();
        let roots = self.0.iter().filter(|span| !ids.contains(&*span.parent));
        let roots: Vec<&str> = roots.map(|span| &*span.name).collect();
        assert_eq!(roots, ["publish analyze_project"], "no span is cut off");
    }

    fn assert_services(&self) {
        let mut instances: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for Span { resource, .. } in &self.0 {
            assert_eq!(resource["service.namespace"], "sapari");
            let service = instances.entry(&resource["service.name"]).or_default();
            service.insert(&resource["service.instance.id"]);
        }
        let services: Vec<&str> = instances.keys().copied().collect();
        assert_eq!(services, ["sapari-analysis", "sapari-cli", "sapari-render"]);
        assert!(instances.values().all(|ids| ids.len() == 1));
        let different: BTreeSet<_> = instances.values().collect();
        assert_eq!(different.len(), 3, "each process is an instance of its own");
    }

    fn assert_queue_hops(&self, analysed: &Analysis) {
        let (kick, analysis) = (
            self.one("publish analyze_project"),
            self.one("taskiq.analyze_project"),
        );
        let (again, render) = (
            self.one("publish render_export"),
            self.one("taskiq.render_export"),
        );
        for (publish, task) in [(kick, analysis), (again, render)] {
            assert_eq!(publish.kind, SpanKind::Producer, "{publish:#?}");
            assert_eq!(task.kind, SpanKind::Consumer, "{task:#?}");
            assert_eq!(task.parent, publish.id, "{task:#?}");
            assert_eq!(task.links, std::slice::from_ref(&publish.id), "{task:#?}");
            assert_eq!(task.attributes["taskiq.outcome"], "done");
        }
        assert_eq!(again.parent, analysis.id, "the follow-up belongs to it");
        let service = |span: &Span| span.resource["service.name"].clone();
        let route = [kick, analysis, again, render].map(service);
        let expected = [
            "sapari-cli",
            "sapari-analysis",
            "sapari-analysis",
            "sapari-render",
        ];
        assert_eq!(route, expected);
        let id = render.attributes.get("taskiq.task_id");
        assert_eq!(id, analysed.render_task_id.as_ref());
    }

    fn assert_bodies(&self, order: &AnalyzeProject) {
        self.assert_child(self.one("analysis.pipeline"), "taskiq.analyze_project");
        self.assert_child(self.one("render.pipeline"), "taskiq.render_export");
        for (step, pipeline) in STEPS {
            self.assert_child(self.one(step), pipeline);
        }
        let clip = order.clip_file_uuid.to_string();
        for (call, step) in CALLS {
            let under = |span: &&Span| span.name == call && span.parent == self.one(step).id;
            let span = self.0.iter().find(under);
            let span = span.unwrap_or_else(|| panic!("no {call} under {step}"));
            assert_eq!(span.kind, SpanKind::Client, "{span:#?}");
            assert_eq!(span.attributes["clip_file_uuid"], clip, "{span:#?}");
        }
    }
}
