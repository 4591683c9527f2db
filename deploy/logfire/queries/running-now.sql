-- Question: which tasks run at this moment, or died without an end?
-- Read: a pending span without its end. Far older than the task's timeout: its worker was killed.
-- records has spans that ended; records_all has the pending ones, too.
SELECT
    pending.start_timestamp,
    pending.service_name,
    pending.span_name,
    pending.attributes->>'taskiq.task_id' AS task_id,
    pending.attributes->>'taskiq.attempt' AS attempt,
    pending.trace_id
FROM records_all AS pending
LEFT JOIN records AS ended
    ON ended.trace_id = pending.trace_id AND ended.span_id = pending.parent_span_id
WHERE pending.kind = 'pending_span'
    AND pending.span_name LIKE 'taskiq.%'
    AND pending.start_timestamp > now() - interval '24 hours'
    AND ended.span_id IS NULL
ORDER BY pending.start_timestamp;
