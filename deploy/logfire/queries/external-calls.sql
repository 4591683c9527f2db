-- Question: which service that is not ours is slow or fails?
-- Read: a row for each ext.<service>.<op>. total_seconds says where the workers wait most.
SELECT
    span_name,
    count(*) AS calls,
    count(*) FILTER (WHERE level >= 'error') AS failed,
    approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY duration) AS p50_seconds,
    approx_percentile_cont(0.99) WITHIN GROUP (ORDER BY duration) AS p99_seconds,
    sum(duration) AS total_seconds
FROM records
WHERE span_name LIKE 'ext.%'
    AND start_timestamp > now() - interval '24 hours'
GROUP BY span_name
ORDER BY p99_seconds DESC, span_name;
