-- Question: what do the calls to models cost, how long do they take and how many fail, for each model and step?
-- Read: the dearest first, in US dollars by the prices that were configured; empty where none was. A transcription is paid by its length and has no
-- tokens. A refused call is made again by its step, so failed beside calls says how a provider is doing, not what users see.
SELECT
    asked.attributes->>'model' AS model,
    step.span_name AS step,
    count(*) AS calls,
    count(*) FILTER (WHERE asked.level >= 'error') AS failed,
    sum(CAST(answered.attributes->>'gen_ai.usage.input_tokens' AS BIGINT)) AS input_tokens,
    sum(CAST(answered.attributes->>'gen_ai.usage.output_tokens' AS BIGINT)) AS output_tokens,
    sum(CAST(coalesce(answered.attributes->>'operation.cost', asked.attributes->>'operation.cost') AS DOUBLE)) AS cost_usd,
    approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY asked.duration) AS p50_seconds,
    approx_percentile_cont(0.95) WITHIN GROUP (ORDER BY asked.duration) AS p95_seconds
FROM records AS asked
LEFT JOIN records AS answered
    ON answered.trace_id = asked.trace_id AND answered.parent_span_id = asked.span_id
    AND answered.attributes->>'gen_ai.operation.name' IS NOT NULL
LEFT JOIN records AS step
    ON step.trace_id = asked.trace_id AND step.span_id = asked.parent_span_id
WHERE asked.span_name IN ('ext.llm.chat', 'ext.whisper.transcribe')
    AND asked.start_timestamp > now() - interval '24 hours'
GROUP BY model, step
ORDER BY cost_usd DESC NULLS LAST, model, step;
