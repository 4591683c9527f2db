-- Question: what do the workers do, and which of them is slow or fails?
-- Read: a row for each worker and task. Compare p99 with its value of last week, and failed with 5 % of tasks.
-- The page's filter: service.name != 'sapari-api'.
SELECT
    service_name,
    span_name,
    count(*) FILTER (WHERE attributes->>'taskiq.outcome' IN ('done', 'dead')) AS tasks,
    count(*) FILTER (WHERE attributes->>'taskiq.outcome' = 'dead') AS failed,
    count(*) AS attempts,
    approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY duration) AS p50_seconds,
    approx_percentile_cont(0.95) WITHIN GROUP (ORDER BY duration) AS p95_seconds,
    approx_percentile_cont(0.99) WITHIN GROUP (ORDER BY duration) AS p99_seconds
FROM records
WHERE service_name != 'sapari-api'
    AND span_name LIKE 'taskiq.%'
    AND start_timestamp > now() - interval '24 hours'
GROUP BY service_name, span_name
ORDER BY tasks DESC, service_name, span_name;
