-- $start, $end: seconds since the epoch. $only_user: whose rows; NULL for all. $most: how many sources.
-- The line of the total comes first. A sale that was called late is not one that was never called, though it has a row
-- that says so.
WITH wanted AS (SELECT * FROM all_rows WHERE $only_user IS NULL OR "user" = $only_user),
dated AS (
    SELECT *, CASE WHEN sold_at = 0 THEN "at" ELSE sold_at END AS moment FROM wanted
    WHERE kind IN ('ping', 'refused', 'sale', 'call', 'update')
        OR (kind = 'never_called' AND ping NOT IN (SELECT ping FROM wanted WHERE kind IN ('arrived', 'call')))
),
counted AS (
    SELECT
        grouping("user") AS is_total,
        coalesce("user", '') AS user_name,
        coalesce(source, '') AS source_name,
        count(*) FILTER (kind = 'ping')::BIGINT AS pings,
        count(*) FILTER (kind = 'ping' AND bids = 0)::BIGINT AS unmatched,
        count(*) FILTER (kind = 'refused')::BIGINT AS refused,
        count(*) FILTER (kind = 'sale')::BIGINT AS sales,
        coalesce(sum(revenue_cents) FILTER (kind IN ('sale', 'call', 'update')), 0)::BIGINT AS revenue,
        coalesce(sum(payout_cents) FILTER (kind IN ('sale', 'call', 'update')), 0)::BIGINT AS payout,
        count(*) FILTER (kind = 'call')::BIGINT AS calls,
        count(*) FILTER (kind = 'call' AND connected_at > 0)::BIGINT AS connected,
        coalesce(sum(converted) FILTER (kind IN ('call', 'update')), 0)::BIGINT AS converted,
        count(*) FILTER (kind = 'never_called')::BIGINT AS never_called
    FROM dated
    WHERE moment >= $start AND moment < $end
    GROUP BY GROUPING SETS (("user", source), ())
)
SELECT * EXCLUDE (is_total), count(*) OVER () - 1
FROM counted
ORDER BY is_total DESC, payout DESC, pings DESC, user_name, source_name
LIMIT $most + 1
