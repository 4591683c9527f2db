-- Question: what goes wrong in the workers?
-- Read: a row for each task and kind of error, the most frequent first; open last_trace.
SELECT
    service_name,
    span_name,
    attributes->>'error.type' AS error_type,
    count(*) AS times,
    max(start_timestamp) AS last_seen,
    last_value(trace_id ORDER BY start_timestamp) AS last_trace
FROM records
WHERE service_name != 'sapari-api'
    AND span_name LIKE 'taskiq.%'
    AND level >= 'error'
    AND start_timestamp > now() - interval '24 hours'
GROUP BY service_name, span_name, error_type
ORDER BY times DESC, service_name, span_name, error_type;
