-- $begins, $ends, $seconds: when the zone is so many seconds from UTC. $day: when the day begins; what is earlier belongs
-- to the day before. $only_user: whose rows; NULL for all.
-- A line is about an hour, or about an endpoint on one of the two days; `refusal` is the status of refused ones.
-- What belongs to a sale counts when that was sold, and a call when it arrived. A sale that was called late is not one
-- that was never called, though it has a row that says so.
WITH spans AS (
    SELECT unnest($begins::BIGINT[]) AS begins, unnest($ends::BIGINT[]) AS ends, unnest($seconds::BIGINT[]) AS utc_offset
),
wanted AS (SELECT * FROM all_rows WHERE $only_user IS NULL OR "user" = $only_user),
came AS (
    SELECT
        min(arrived_at) AS moment, any_value(endpoint) AS endpoint, bool_or(kind = 'call') AS is_settled,
        max(connected_at) FILTER (kind = 'call') > 0 AS is_connected, bool_or(converted = 1) AS is_converted
    FROM wanted WHERE kind IN ('arrived', 'call') GROUP BY call
),
dated AS (
    SELECT
        kind, endpoint, status, bids, revenue_cents, payout_cents, false AS is_settled, false AS is_connected,
        false AS is_converted, CASE WHEN sold_at = 0 THEN "at" ELSE sold_at END AS moment
    FROM wanted
    WHERE kind IN ('ping', 'refused', 'sale')
        OR (kind = 'never_called' AND ping NOT IN (SELECT ping FROM wanted WHERE kind IN ('arrived', 'call')))
        OR (kind = 'call' AND (revenue_cents > 0 OR payout_cents > 0))
    UNION ALL
    SELECT 'arrived', endpoint, '', 0, 0, 0, is_settled, coalesce(is_connected, false), is_converted, moment FROM came
),
placed AS (
    SELECT
        dated.*,
        greatest(begins, (moment + utc_offset) // 3600 * 3600 - utc_offset) AS hour,
        moment >= $day AS is_of_day,
        CASE WHEN kind = 'refused' THEN status END AS refusal
    FROM dated JOIN spans ON moment >= begins AND moment < ends
)
SELECT
    hour, is_of_day, endpoint, refusal,
    count(*) FILTER (kind = 'ping')::BIGINT,
    count(*) FILTER (kind = 'ping' AND bids = 0)::BIGINT,
    count(*) FILTER (kind = 'refused')::BIGINT,
    count(*) FILTER (kind = 'sale')::BIGINT,
    coalesce(sum(revenue_cents) FILTER (kind IN ('sale', 'call')), 0)::BIGINT,
    coalesce(sum(payout_cents) FILTER (kind IN ('sale', 'call')), 0)::BIGINT,
    count(*) FILTER (kind = 'arrived')::BIGINT,
    count(*) FILTER (is_settled)::BIGINT,
    count(*) FILTER (is_connected)::BIGINT,
    count(*) FILTER (is_converted)::BIGINT,
    count(*) FILTER (kind = 'never_called')::BIGINT
FROM placed
GROUP BY GROUPING SETS ((hour, is_of_day, refusal), (is_of_day, endpoint, refusal))
