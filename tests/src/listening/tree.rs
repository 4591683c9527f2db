//! The whole analysis as the spans that it leaves, and what stands in its edit list.

use sapari_telemetry::tree::Attributes;

use super::*;

const TREE: &str = r"
publish analyze_project [producer]
└─ taskiq.analyze_project [consumer]  taskiq.attempt=1 taskiq.outcome=done
   └─ analysis.pipeline  pipeline.outcome=done usage.calls=2 usage.input_tokens=300 usage.output_tokens=40 usage.cost_microcents=2717 usage.models=gpt-4o-mini-2026,whisper-1
      ├─ step.load_audio  step.depends_on= step.attempt=1 step.outcome=done
      │  ├─ ext.storage.media_source [client]
      │  ├─ ext.ffmpeg.probe [client]
      │  └─ ext.ffmpeg.extract_audio [client]
      ├─ step.detect_silences  step.depends_on=load_audio step.attempt=1 step.outcome=done
      │  └─ ext.ffmpeg.detect_silences [client]
      ├─ step.transcribe  step.depends_on=load_audio step.attempt=1 step.outcome=done usage.calls=1 usage.input_tokens=0 usage.output_tokens=0 usage.cost_microcents=2648 usage.models=whisper-1
      │  └─ ext.whisper.transcribe [client]  operation.cost=0.002648
      ├─ step.detect_false_starts  step.depends_on=transcribe step.attempt=1 step.outcome=done
      ├─ step.split_transcript  step.depends_on=transcribe step.attempt=1 step.outcome=done
      ├─ step.improve_transcript  step.depends_on=split_transcript step.attempt=1 step.items=1 step.outcome=done
      │  └─ step.improve_transcript  step.depends_on=split_transcript step.attempt=1 step.index=0 step.outcome=done usage.calls=1 usage.input_tokens=300 usage.output_tokens=40 usage.cost_microcents=69 usage.models=gpt-4o-mini-2026
      │     └─ ext.llm.chat [client]
      │        └─ chat gpt-4o-mini [client]  gen_ai.operation.name=chat gen_ai.provider.name=openai-compatible gen_ai.request.model=gpt-4o-mini gen_ai.response.model=gpt-4o-mini-2026 gen_ai.usage.input_tokens=300 gen_ai.usage.output_tokens=40 operation.cost=0.000069
      ├─ step.censor_profanity  step.depends_on=transcribe,improve_transcript step.attempt=1 step.outcome=done
      ├─ step.validate_edits  step.depends_on=detect_silences,detect_false_starts,censor_profanity step.attempt=1 step.outcome=done
      ├─ step.create_edits  step.depends_on=detect_silences,detect_false_starts,validate_edits step.attempt=1 step.outcome=done
      └─ step.update_project  step.depends_on=create_edits step.attempt=1 step.outcome=done
         └─ ext.storage.put_bytes [client]
";

#[tokio::test]
async fn the_whole_analysis_is_one_tree() {
    let studio = Studio::new();
    let models = Models::start([heard()], [corrected()]).await;
    let analysed = studio.analyse(studio.listener_with(&models)).await;
    let analysis = analysed.result.expect("it has an output");
    assert_eq!(
        (analysis.false_starts, analysis.mutes, analysis.captions),
        (1, 1, 2)
    );
    assert_eq!(analysis.spent_microcents, 2648 + 45 + 24);
    let tree = analysed.tree.replace("trace <id 1> test\n", "");
    assert_eq!(tree.trim(), TREE.trim(), "\n{tree}");

    let edits = analysed.edits.expect("it was stored");
    let captions: Vec<&str> = edits
        .captions
        .iter()
        .map(|caption| caption.text.as_str())
        .collect();
    assert_eq!(
        captions,
        ["So I want to show you Sapari.", "Oh s*** it works!"]
    );
    let mute = edits.mutes[0];
    assert_eq!((mute.from_us, mute.to_us), (6_750_000, 7_250_000));
    let cut = edits
        .keep
        .windows(2)
        .any(|pair| (pair[0].to_us, pair[1].from_us) == (500_000, 1_200_000));
    assert!(cut, "from the first `I` to the second: {:?}", edits.keep);
}

#[tokio::test]
async fn no_span_has_a_word_of_what_was_said_or_the_key() {
    let studio = Studio::new();
    let models = Models::start([heard()], [corrected()]).await;
    let style = TreeStyle {
        attributes: Attributes::All,
        ..TreeStyle::for_tests(&[])
    };
    let tree = studio
        .analyse_as(studio.listener_with(&models), &style)
        .await
        .tree;
    assert!(tree.contains("gen_ai.prompt.hash="), "{tree}");
    for secret in [
        KEY, "show", "Sapari.", "pari ", "shit", "changes", "misheard",
    ] {
        assert!(!tree.contains(secret), "{secret} is in\n{tree}");
    }
}
