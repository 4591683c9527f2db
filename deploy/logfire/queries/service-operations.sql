-- Question: how long do business operations take, like credits.reserve, apart from the SQL they are made of?
-- Read: a row for each <module>.<method>. A p99 that moved: open a slow trace and look at the SQL and ext.* spans below it.
SELECT
    span_name,
    count(*) AS calls,
    count(*) FILTER (WHERE level >= 'error') AS failed,
    approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY duration) AS p50_seconds,
    approx_percentile_cont(0.99) WITHIN GROUP (ORDER BY duration) AS p99_seconds
FROM records
WHERE span_name ~ '^[a-z_]+[.][a-z_]+$'
    AND NOT span_name ~ '^(taskiq|scheduler|step|ext|sse)[.]|[.]pipeline$'
    AND start_timestamp > now() - interval '24 hours'
GROUP BY span_name
ORDER BY p99_seconds DESC, span_name;
