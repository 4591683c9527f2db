-- Question: whose clip or project was behind the slowest outbound calls?
-- Read: the correlation keys stand on the span itself. Open the trace for what led there.
SELECT
    start_timestamp,
    span_name,
    duration AS seconds,
    attributes->>'project_uuid' AS project_uuid,
    attributes->>'export_uuid' AS export_uuid,
    attributes->>'clip_file_uuid' AS clip_file_uuid,
    trace_id
FROM records
WHERE span_name LIKE 'ext.%'
    AND start_timestamp > now() - interval '24 hours'
ORDER BY duration DESC
LIMIT 50;
