-- What became of the pings that a buyer could have had, by day, and its sales.
-- $start, $end: seconds since the epoch. $begins, $ends, $seconds: when the zone is so many seconds from UTC.
-- $buyer; $endpoints, $versions, $places: where it is in `reasons`, counted from 1.
-- A line's `letter` is why it did not bid, `.` that it did, `$` for what calls brought beside their sales, or empty for
-- its sales. What belongs to a sale counts when that was sold.
-- `sold_to` is who bought what it bid on, 0 for nobody.
WITH offsets AS (
    SELECT unnest($begins::BIGINT[]) AS begins, unnest($ends::BIGINT[]) AS ends, unnest($seconds::BIGINT[]) AS utc_offset
),
places AS (
    SELECT
        unnest($endpoints::VARCHAR[]) AS endpoint,
        unnest($versions::BIGINT[]) AS version,
        unnest($places::BIGINT[]) AS place
),
sales AS (SELECT ping, any_value(buyer) AS sold_to FROM all_rows WHERE kind = 'sale' AND "at" >= $start GROUP BY ping),
-- A FULL that is sent again is priced again under the same id: only the last of its pings was sold.
sold_pings AS (
    SELECT ping, any_value(sold_to) AS sold_to, max(("at", event)) AS priced
    FROM all_rows JOIN sales USING (ping) WHERE kind = 'ping' GROUP BY ping
),
found AS (
    SELECT pings."at", substr(reasons, places.place, 1) AS letter, sold_to, 0 AS revenue_cents
    FROM all_rows AS pings
        JOIN places ON pings.endpoint = places.endpoint AND pings.version = places.version
        LEFT JOIN sold_pings ON pings.ping = sold_pings.ping AND (pings."at", pings.event) = sold_pings.priced
            AND substr(reasons, places.place, 1) = '.'
    WHERE kind = 'ping' AND length(reasons) >= places.place
    UNION ALL
    SELECT sold_at, '', buyer, revenue_cents FROM all_rows WHERE kind = 'sale' AND buyer = $buyer
    UNION ALL
    SELECT sold_at, '$', buyer, revenue_cents FROM all_rows WHERE kind = 'call' AND buyer = $buyer AND revenue_cents > 0
)
SELECT
    strftime(make_timestamp(("at" + utc_offset) * 1000000), '%Y-%m-%d') AS day,
    letter,
    coalesce(sold_to, 0) AS sold_to,
    count(*) AS times,
    sum(revenue_cents)::BIGINT AS revenue_cents,
    max("at") AS last_at
FROM found JOIN offsets ON "at" >= begins AND "at" < ends
WHERE "at" >= $start AND "at" < $end
GROUP BY ALL
ORDER BY ALL
