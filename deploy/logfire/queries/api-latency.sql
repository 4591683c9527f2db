-- Question: which routes of the API are slow? The alert's limit is a p99 of 0.5 s (ApiSlow).
-- Read: a row for each route, the slowest first. A stream of events is open for as long as somebody looks: leave it out.
SELECT
    http_route,
    count(*) AS requests,
    approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY duration) AS p50_seconds,
    approx_percentile_cont(0.99) WITHIN GROUP (ORDER BY duration) AS p99_seconds
FROM records
WHERE service_name = 'sapari-api'
    AND http_route IS NOT NULL
    AND start_timestamp > now() - interval '1 hour'
GROUP BY http_route
ORDER BY p99_seconds DESC, http_route;
