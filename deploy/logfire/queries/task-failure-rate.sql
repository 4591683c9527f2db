-- Question: which share of the tasks fails? The alert's limit is 5 % (TaskFailureRateHigh).
-- Read: failed counts what came to a bad end for good; an attempt that is tried again is not in it.
SELECT
    span_name,
    count(*) FILTER (WHERE attributes->>'taskiq.outcome' = 'dead') AS failed,
    count(*) AS ended,
    count(*) FILTER (WHERE attributes->>'taskiq.outcome' = 'dead') * 1.0 / count(*) AS failure_rate
FROM records
WHERE span_name LIKE 'taskiq.%'
    AND attributes->>'taskiq.outcome' IN ('done', 'dead')
    AND start_timestamp > now() - interval '1 hour'
GROUP BY span_name
ORDER BY failure_rate DESC, span_name;
