-- Question: what happened to one project, across every process? Put its id in place of the zeros.
-- Read: from the first attempt to the last settled task, in the order of time.
SELECT
    start_timestamp,
    service_name,
    span_name,
    duration AS seconds,
    attributes->>'taskiq.attempt' AS attempt,
    attributes->>'taskiq.outcome' AS outcome,
    level >= 'error' AS failed,
    trace_id
FROM records
WHERE attributes->>'project_uuid' = '00000000-0000-0000-0000-000000000000'
    AND (span_name LIKE 'taskiq.%' OR span_name LIKE '%.pipeline')
    AND start_timestamp > now() - interval '7 days'
ORDER BY start_timestamp;
