-- Question: the same tasks without the scheduled runs, which would hide how the queue is doing.
-- Read: outcome done is a success, dead a failure; retry, snooze and interrupted are attempts that go on later.
SELECT
    span_name,
    attributes->>'taskiq.outcome' AS outcome,
    count(*) AS attempts,
    approx_percentile_cont(0.99) WITHIN GROUP (ORDER BY duration) AS p99_seconds
FROM records
WHERE span_name LIKE 'taskiq.%'
    AND attributes->>'task_type' = 'queue'
    AND start_timestamp > now() - interval '24 hours'
GROUP BY span_name, outcome
ORDER BY span_name, outcome;
