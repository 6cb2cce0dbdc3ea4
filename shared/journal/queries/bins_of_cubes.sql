-- The same of days that are counted in cubes, which know no milliseconds and no live buyers: parameters as in bins.
INSERT INTO bins BY NAME
WITH offsets AS (
    SELECT unnest($begins::BIGINT[]) AS begins, unnest($ends::BIGINT[]) AS ends, unnest($seconds::BIGINT[]) AS utc_offset
),
dated AS (
    SELECT
        * REPLACE (CASE kind WHEN 'call' THEN 'sold' ELSE status END AS status),
        CASE WHEN $by_event OR sold_at = 0 THEN "at" ELSE sold_at END AS moment
    FROM cube_rows
    WHERE $only_user IS NULL OR "user" = $only_user
),
chosen AS (
    SELECT dated.*, utc_offset, make_timestamp((moment + utc_offset) * 1000000) AS clock, moment >= $start AS is_now
    FROM dated JOIN offsets ON moment >= begins AND moment < ends
    WHERE (moment >= $start AND moment < $end) OR (moment >= $before_start AND moment < $before_end)
)
SELECT
    CASE WHEN is_now THEN 'now' ELSE 'before' END AS part,
    CASE WHEN is_now THEN key_of($first,
        clock, utc_offset, offer, endpoint, 0, "user", source, state, '', status, '') END AS first_key,
    CASE WHEN is_now THEN key_of($second,
        clock, utc_offset, offer, endpoint, 0, "user", source, state, '', status, '') END AS second_key,
    CASE WHEN is_now THEN key_of($third,
        clock, utc_offset, offer, endpoint, 0, "user", source, state, '', status, '') END AS third_key,
    NULL::BIGINT AS took,
    NULL::BIGINT AS waited,
    coalesce(sum("rows") FILTER (kind IN ('ping', 'refused')), 0) AS requests,
    coalesce(sum("rows") FILTER (kind = 'ping'), 0) AS pings,
    sum(unmatched) AS unmatched,
    coalesce(sum("rows") FILTER (kind = 'refused'), 0) AS refused,
    sum(bids) FILTER (kind = 'ping') AS bids,
    sum(sales) AS sales,
    sum(revenue_cents) FILTER (kind IN ('sale', 'call')) AS revenue,
    sum(payout_cents) FILTER (kind IN ('sale', 'call')) AS payout,
    0 AS asked, 0 AS live_bids, 0 AS timed_out, 0 AS declined, 0 AS broken
FROM chosen WHERE (kind IN ('ping', 'refused', 'sale') OR (kind = 'call' AND (revenue_cents > 0 OR payout_cents > 0)))
GROUP BY ALL
