-- How many seconds after a sale its first call came to one of $numbers, and how often.
-- $start, $end: when the call arrived, in seconds since the epoch.
WITH first_calls AS (
    SELECT min(arrived_at) AS arrived_at, max(sold_at) AS sold_at
    FROM all_rows
    WHERE kind IN ('arrived', 'call') AND ping != '' AND sold_at > 0
        AND number IN (SELECT unnest($numbers::VARCHAR[]))
    GROUP BY ping
)
SELECT arrived_at - sold_at AS wait, count(*)
FROM first_calls
WHERE arrived_at >= $start AND arrived_at < $end AND arrived_at >= sold_at
GROUP BY wait ORDER BY wait
