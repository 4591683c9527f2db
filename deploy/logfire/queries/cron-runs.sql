-- Question: did the scheduled tasks run, and how did they end?
-- Read: a row for each scheduled task. Fewer runs than the schedule has: look at the scheduler. last_run says since when.
-- The page's filter: task_type = 'cron'.
SELECT
    span_name,
    attributes->>'schedule.id' AS schedule,
    count(*) FILTER (WHERE attributes->>'taskiq.outcome' IN ('done', 'dead')) AS runs,
    count(*) FILTER (WHERE attributes->>'taskiq.outcome' = 'dead') AS failed,
    max(start_timestamp) AS last_run,
    max(duration) AS longest_seconds
FROM records
WHERE attributes->>'task_type' = 'cron'
    AND start_timestamp > now() - interval '7 days'
GROUP BY span_name, schedule
ORDER BY span_name, schedule;
