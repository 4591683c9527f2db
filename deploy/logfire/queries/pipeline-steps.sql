-- Question: which step makes a pipeline slow, or stops it?
-- Read: p99 of a step on the critical path is time that a customer waits; wait is for its inputs and for a slot.
-- A step over a list stands there as a whole, and on a line of their own the items of its list.
SELECT
    service_name,
    span_name,
    attributes->>'step.index' IS NOT NULL AS is_item,
    attributes->>'step.outcome' AS outcome,
    count(*) AS runs,
    approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY duration) AS p50_seconds,
    approx_percentile_cont(0.99) WITHIN GROUP (ORDER BY duration) AS p99_seconds,
    approx_percentile_cont(0.99) WITHIN GROUP (ORDER BY CAST(attributes->>'step.wait_ms' AS DOUBLE)) / 1000 AS p99_wait_seconds
FROM records
WHERE span_name LIKE 'step.%'
    AND start_timestamp > now() - interval '24 hours'
GROUP BY service_name, span_name, is_item, outcome
ORDER BY service_name, p99_seconds DESC, span_name, is_item, outcome;
