-- $start, $end: seconds since the epoch. $only_user: whose rows; NULL for all. $most: how many sources.
-- The line of the total comes first.
WITH dated AS (
    SELECT *, CASE WHEN sold_at = 0 THEN "at" ELSE sold_at END AS moment FROM all_rows
    WHERE (kind IN ('ping', 'refused', 'sale') OR (kind = 'call' AND (revenue_cents > 0 OR payout_cents > 0)))
        AND ($only_user IS NULL OR "user" = $only_user)
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
        coalesce(sum(revenue_cents) FILTER (kind IN ('sale', 'call')), 0)::BIGINT AS revenue,
        coalesce(sum(payout_cents) FILTER (kind IN ('sale', 'call')), 0)::BIGINT AS payout
    FROM dated
    WHERE moment >= $start AND moment < $end
    GROUP BY GROUPING SETS (("user", source), ())
)
SELECT * EXCLUDE (is_total), count(*) OVER () - 1
FROM counted
ORDER BY is_total DESC, payout DESC, pings DESC, user_name, source_name
LIMIT $most + 1
