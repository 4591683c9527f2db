-- Question: how long does minting a media token take? (Stage 5 gate.)
-- Read: p99 below 0.5 s, together with a p99 of the verifying worker below 0.1 s, lets the refresh buffer drop from 30 s to 15 s.
SELECT
    count(*) AS mints,
    approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY duration) AS p50_seconds,
    approx_percentile_cont(0.95) WITHIN GROUP (ORDER BY duration) AS p95_seconds,
    approx_percentile_cont(0.99) WITHIN GROUP (ORDER BY duration) AS p99_seconds
FROM records
WHERE span_name = 'media_token.mint'
    AND start_timestamp > now() - interval '24 hours';
