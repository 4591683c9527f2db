-- Question: how often does minting a media token fail?
-- Read: anything but 0 that lasts means that the mint path is broken. No mints at all: error_rate is empty.
-- The page's filter: span_name = 'media_token.mint' AND status = 'error'.
SELECT
    count(*) AS mints,
    count(*) FILTER (WHERE level >= 'error') AS failed,
    count(*) FILTER (WHERE level >= 'error') * 1.0 / nullif(count(*), 0) AS error_rate
FROM records
WHERE span_name = 'media_token.mint'
    AND start_timestamp > now() - interval '24 hours';
