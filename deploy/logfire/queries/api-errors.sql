-- Question: which share of the API's requests ends in a 5xx, and on which route? The alert's limit is 1 % (ApiErrorRateHigh).
-- Read: the route with the most errors first; a 4xx is the caller's and is not counted.
SELECT
    http_route,
    count(*) FILTER (WHERE http_response_status_code >= 500) AS failed,
    count(*) AS requests,
    count(*) FILTER (WHERE http_response_status_code >= 500) * 1.0 / count(*) AS error_rate
FROM records
WHERE service_name = 'sapari-api'
    AND http_route IS NOT NULL
    AND start_timestamp > now() - interval '1 hour'
GROUP BY http_route
ORDER BY failed DESC, http_route;
