-- $start, $end: seconds since the epoch. $first, $second, $third: names of groups or NULL; $groups: how many there are.
-- $by_event: what belongs to a sale counts when it happened.
-- $by_buyer, $by_reason: whether these are among the groups. $only_user: whose rows; NULL for all.
-- $begins, $ends, $seconds: when the zone is so many seconds from UTC.
-- $endpoints, $versions, $places, $buyers: which buyer is at which place of `reasons`, counted from 1.
-- $sort_key, $sort_number: by which group, or by which of `numbers`; $down: the largest first. $most: how many groups.
WITH offsets AS (
    SELECT unnest($begins::BIGINT[]) AS begins, unnest($ends::BIGINT[]) AS ends, unnest($seconds::BIGINT[]) AS seconds
),
places AS (
    SELECT
        unnest($endpoints::VARCHAR[]) AS endpoint,
        unnest($versions::BIGINT[]) AS version,
        unnest($places::BIGINT[]) AS place,
        unnest($buyers::BIGINT[]) AS buyer
),
dated AS NOT MATERIALIZED (
    SELECT *, CASE WHEN $by_event OR sold_at = 0 THEN "at" ELSE sold_at END AS moment FROM all_rows
    WHERE $only_user IS NULL OR "user" = $only_user
),
chosen AS NOT MATERIALIZED (
    SELECT dated.*, seconds, make_timestamp((moment + seconds) * 1000000) AS clock
    FROM dated JOIN offsets ON moment >= begins AND moment < ends
    WHERE moment >= $start AND moment < $end
),
answers AS (
    SELECT chosen.*, unnest(from_json(live, '["JSON"]')) AS answer FROM chosen
    WHERE live::VARCHAR != '[]'
),
asked AS (
    SELECT
        answers.* EXCLUDE (buyer, answer),
        (answer ->> 0)::BIGINT AS asked_buyer,
        answer ->> 1 AS outcome,
        (answer ->> 2)::BIGINT AS waited
    FROM answers
),
facts AS (
    SELECT
        clock, seconds, offer, endpoint, "user", source, state, area_code, status,
        CASE WHEN kind = 'sale' THEN buyer ELSE 0 END AS buyer_id,
        CASE WHEN kind = 'sale' THEN '.' ELSE '' END AS reason,
        (kind IN ('ping', 'refused'))::INT AS requests,
        (kind = 'ping')::INT AS pings,
        (kind = 'ping' AND bids = 0)::INT AS unmatched,
        (kind = 'refused')::INT AS refused,
        CASE WHEN kind = 'ping' THEN bids ELSE 0 END AS bids,
        (kind = 'sale')::INT AS sales,
        CASE WHEN kind = 'sale' THEN revenue_cents ELSE 0 END AS revenue_cents,
        CASE WHEN kind = 'sale' THEN payout_cents ELSE 0 END AS payout_cents,
        CASE WHEN kind = 'ping' THEN nullif(milliseconds, 0) END AS milliseconds,
        NULL AS outcome,
        NULL AS waited
    FROM chosen
    WHERE kind IN ('refused', 'sale') OR (kind = 'ping' AND (
        reasons = ''
        OR (NOT $by_buyer AND NOT $by_reason)
        OR ($by_buyer AND NOT EXISTS (
            SELECT 1 FROM places WHERE places.endpoint = chosen.endpoint AND places.version = chosen.version
        ))
    ))
    UNION ALL
    SELECT
        clock, seconds, offer, endpoint, "user", source, state, area_code, status,
        0, unnest(list_distinct(string_split(reasons, ''))) AS letter,
        1, 1, (bids = 0)::INT, 0,
        CASE WHEN letter = '.' THEN length(reasons) - length(replace(reasons, '.', '')) ELSE 0 END, 0,
        0, 0, nullif(milliseconds, 0), NULL, NULL
    FROM chosen
    WHERE kind = 'ping' AND $by_reason AND NOT $by_buyer AND reasons != ''
    UNION ALL
    SELECT
        clock, seconds, offer, chosen.endpoint, "user", source, state, area_code, status,
        places.buyer, substr(reasons, places.place, 1) AS letter,
        1, 1, (bids = 0)::INT, 0, (letter = '.')::INT, 0,
        0, 0, nullif(milliseconds, 0), NULL, NULL
    FROM chosen JOIN places ON chosen.endpoint = places.endpoint AND chosen.version = places.version
    WHERE kind = 'ping' AND $by_buyer AND length(reasons) >= places.place
    UNION ALL
    SELECT
        clock, seconds, offer, asked.endpoint, "user", source, state, area_code, status,
        asked_buyer, coalesce(substr(reasons, places.place, 1), ''),
        0, 0, 0, 0, 0, 0, 0, 0, NULL, outcome, nullif(waited, 0)
    FROM asked LEFT JOIN places
        ON asked.endpoint = places.endpoint AND asked.version = places.version AND asked_buyer = places.buyer
),
counted AS (
    SELECT
        key_of($first,
            clock, seconds, offer, endpoint, buyer_id, "user", source, state, area_code, status, reason) AS first_key,
        key_of($second,
            clock, seconds, offer, endpoint, buyer_id, "user", source, state, area_code, status, reason) AS second_key,
        key_of($third,
            clock, seconds, offer, endpoint, buyer_id, "user", source, state, area_code, status, reason) AS third_key,
        sum(requests) AS requests,
        sum(pings) AS pings,
        sum(unmatched) AS unmatched,
        sum(refused) AS refused,
        sum(bids) AS bids,
        sum(sales) AS sales,
        sum(revenue_cents) AS revenue,
        sum(payout_cents) AS payout,
        quantile_disc(milliseconds, 0.5) AS median_ms,
        quantile_disc(milliseconds, 0.95) AS p95_ms,
        count(outcome) AS asked,
        count(*) FILTER (outcome = 'bid') AS live_bids,
        count(*) FILTER (outcome = 'timed_out') AS timed_out,
        count(*) FILTER (outcome = 'declined') AS declined,
        count(*) FILTER (outcome = 'broken') AS broken,
        quantile_disc(waited, 0.5) AS live_median_ms,
        quantile_disc(waited, 0.95) AS live_p95_ms
    FROM facts
    GROUP BY ALL
),
measured AS (
    SELECT [first_key, second_key, third_key][:$groups] AS keys, [
        requests, pings, unmatched, refused, bids, sales,
        round(100.0 * sales / nullif(pings, 0), 2), round(100.0 * sales / nullif(bids, 0), 2),
        revenue, payout, revenue - payout, round(100.0 * (revenue - payout) / nullif(revenue, 0), 2),
        round(revenue / nullif(pings, 0), 2), median_ms, p95_ms,
        asked, live_bids, timed_out, declined, broken, live_median_ms, live_p95_ms
    ]::DOUBLE[] AS numbers
    FROM counted
)
SELECT keys, numbers, count(*) OVER () AS found
FROM measured
ORDER BY
    CASE WHEN NOT $down THEN keys[$sort_key] END ASC NULLS LAST,
    CASE WHEN $down THEN keys[$sort_key] END DESC NULLS LAST,
    CASE WHEN $down THEN -numbers[$sort_number] ELSE numbers[$sort_number] END ASC NULLS LAST,
    keys
LIMIT $most
