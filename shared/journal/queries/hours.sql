-- $begins, $ends, $seconds: when the zone is so many seconds from UTC. $day: when the day begins; what is earlier belongs
-- to the day before. $only_user: whose rows; NULL for all.
-- A line is about an hour, or about an endpoint on one of the two days; `refusal` is the status of refused ones.
WITH spans AS (
    SELECT unnest($begins::BIGINT[]) AS begins, unnest($ends::BIGINT[]) AS ends, unnest($seconds::BIGINT[]) AS seconds
),
dated AS (
    SELECT *, CASE WHEN sold_at = 0 THEN "at" ELSE sold_at END AS moment FROM all_rows
    WHERE kind IN ('ping', 'refused', 'sale') AND ($only_user IS NULL OR "user" = $only_user)
),
placed AS (
    SELECT
        dated.*,
        greatest(begins, (moment + seconds) // 3600 * 3600 - seconds) AS hour,
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
    coalesce(sum(revenue_cents) FILTER (kind = 'sale'), 0)::BIGINT,
    coalesce(sum(payout_cents) FILTER (kind = 'sale'), 0)::BIGINT
FROM placed
GROUP BY GROUPING SETS ((hour, is_of_day, refusal), (is_of_day, endpoint, refusal))
