-- Question: where does the time of one worker go, hour by hour? Put the worker's name in place of sapari-render.
-- Read: wait is from kick to start. A wait that grows while p99 does not: too few slots. Both grow: the tasks became slower.
-- The page's filter: service.name = 'sapari-render'.
SELECT
    date_trunc('hour', start_timestamp) AS hour,
    attributes->>'taskiq.priority' AS priority,
    count(*) AS tasks,
    approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY duration) AS p50_seconds,
    approx_percentile_cont(0.99) WITHIN GROUP (ORDER BY duration) AS p99_seconds,
    approx_percentile_cont(0.99) WITHIN GROUP (ORDER BY CAST(attributes->>'taskiq.queue_wait_ms' AS DOUBLE)) / 1000 AS p99_wait_seconds
FROM records
WHERE service_name = 'sapari-render'
    AND span_name LIKE 'taskiq.%'
    AND start_timestamp > now() - interval '24 hours'
GROUP BY hour, priority
ORDER BY hour, priority;
