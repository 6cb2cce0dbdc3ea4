-- Rows counted by group and by milliseconds, from which sums and percentiles follow. What a call is worth counts among
-- what is sold.
-- $start, $end, $before_start, $before_end: seconds since the epoch; the period before ends before the other begins,
-- and its rows are in no group.
-- $first, $second, $third: names of groups or NULL, but not of buyer and reason.
-- $by_event: what belongs to a sale counts when it happened. $only_user: whose rows; NULL for all.
-- $begins, $ends, $seconds: when the zone is so many seconds from UTC.
CREATE TEMP TABLE bins AS
WITH offsets AS (
    SELECT unnest($begins::BIGINT[]) AS begins, unnest($ends::BIGINT[]) AS ends, unnest($seconds::BIGINT[]) AS utc_offset
),
dated AS NOT MATERIALIZED (
    SELECT
        * REPLACE (CASE kind WHEN 'call' THEN 'sold' ELSE status END AS status),
        CASE WHEN $by_event OR sold_at = 0 THEN "at" ELSE sold_at END AS moment
    FROM all_rows
    WHERE $only_user IS NULL OR "user" = $only_user
),
chosen AS NOT MATERIALIZED (
    SELECT dated.*, utc_offset, make_timestamp((moment + utc_offset) * 1000000) AS clock, moment >= $start AS is_now
    FROM dated JOIN offsets ON moment >= begins AND moment < ends
    WHERE (moment >= $start AND moment < $end) OR (moment >= $before_start AND moment < $before_end)
),
keyed AS NOT MATERIALIZED (
    SELECT
        *,
        CASE WHEN is_now THEN key_of($first,
            clock, utc_offset, offer, endpoint, 0, "user", source, state, area_code, status, '') END AS first_key,
        CASE WHEN is_now THEN key_of($second,
            clock, utc_offset, offer, endpoint, 0, "user", source, state, area_code, status, '') END AS second_key,
        CASE WHEN is_now THEN key_of($third,
            clock, utc_offset, offer, endpoint, 0, "user", source, state, area_code, status, '') END AS third_key
    FROM chosen
),
asked AS (
    SELECT is_now, first_key, second_key, third_key, unnest(from_json(live, '["JSON"]')) AS answer
    FROM keyed WHERE live::VARCHAR != '[]'
)
SELECT
    CASE WHEN is_now THEN 'now' ELSE 'before' END AS part, first_key, second_key, third_key,
    CASE WHEN kind = 'ping' THEN nullif(milliseconds, 0) END AS took,
    NULL::BIGINT AS waited,
    count(*) FILTER (kind IN ('ping', 'refused')) AS requests,
    count(*) FILTER (kind = 'ping') AS pings,
    count(*) FILTER (kind = 'ping' AND bids = 0) AS unmatched,
    count(*) FILTER (kind = 'refused') AS refused,
    sum(bids) FILTER (kind = 'ping') AS bids,
    count(*) FILTER (kind = 'sale') AS sales,
    sum(revenue_cents) FILTER (kind IN ('sale', 'call')) AS revenue,
    sum(payout_cents) FILTER (kind IN ('sale', 'call')) AS payout,
    0 AS asked, 0 AS live_bids, 0 AS timed_out, 0 AS declined, 0 AS broken
FROM keyed WHERE (kind IN ('ping', 'refused', 'sale') OR (kind = 'call' AND (revenue_cents > 0 OR payout_cents > 0)))
GROUP BY ALL
UNION ALL
SELECT
    CASE WHEN is_now THEN 'now' ELSE 'before' END, first_key, second_key, third_key,
    NULL, nullif((answer ->> 2)::BIGINT, 0) AS waited,
    0, 0, 0, 0, 0, 0, 0, 0,
    count(*),
    count(*) FILTER (answer ->> 1 = 'bid'),
    count(*) FILTER (answer ->> 1 = 'timed_out'),
    count(*) FILTER (answer ->> 1 = 'declined'),
    count(*) FILTER (answer ->> 1 = 'broken')
FROM asked GROUP BY ALL
