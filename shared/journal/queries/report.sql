-- The lines of a report, of the bins that are there: `part` is group, total or before.
-- $groups: how many groups there are; $of_buyers: whether buyers or reasons are among them.
-- $sort_key, $sort_number: by which group, or by which of `numbers`; $down: the largest first. $most: how many groups.
WITH parts AS (
    SELECT * REPLACE ('group' AS part) FROM bins
    WHERE $groups > 0 AND part = CASE WHEN $of_buyers THEN 'group' ELSE 'now' END
    UNION ALL
    SELECT
        CASE part WHEN 'now' THEN 'total' ELSE part END, NULL, NULL, NULL, took, waited,
        sum(requests), sum(pings), sum(unmatched), sum(refused), sum(bids), sum(sales), sum(revenue), sum(payout),
        sum(asked), sum(live_bids), sum(timed_out), sum(declined), sum(broken)
    FROM bins WHERE part != 'group' GROUP BY ALL
),
ranked AS (
    SELECT
        *,
        waited IS NULL AS is_ping,
        CASE WHEN took IS NOT NULL THEN pings WHEN waited IS NOT NULL THEN asked ELSE 0 END AS timed,
        sum(timed) OVER same AS to_here,
        sum(timed) OVER (same ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS in_all
    FROM parts
    WINDOW same AS (
        PARTITION BY part, first_key, second_key, third_key, is_ping ORDER BY coalesce(took, waited)
    )
),
counted AS (
    SELECT
        part, first_key, second_key, third_key,
        sum(requests) AS requests,
        sum(pings) AS pings,
        sum(unmatched) AS unmatched,
        sum(refused) AS refused,
        coalesce(sum(bids), 0) AS bids,
        sum(sales) AS sales,
        coalesce(sum(revenue), 0) AS revenue,
        coalesce(sum(payout), 0) AS payout,
        min(took) FILTER (100 * to_here >= 50 * in_all) AS median_ms,
        min(took) FILTER (100 * to_here >= 95 * in_all) AS p95_ms,
        sum(asked) AS asked,
        sum(live_bids) AS live_bids,
        sum(timed_out) AS timed_out,
        sum(declined) AS declined,
        sum(broken) AS broken,
        min(waited) FILTER (100 * to_here >= 50 * in_all) AS live_median_ms,
        min(waited) FILTER (100 * to_here >= 95 * in_all) AS live_p95_ms
    FROM ranked GROUP BY ALL
),
measured AS (
    SELECT part, [first_key, second_key, third_key][:$groups] AS keys, [
        requests, pings, unmatched, refused, bids, sales,
        round(100.0 * sales / nullif(pings, 0), 2), round(100.0 * sales / nullif(bids, 0), 2),
        revenue, payout, revenue - payout, round(100.0 * (revenue - payout) / nullif(revenue, 0), 2),
        round(revenue / nullif(pings, 0), 2), median_ms, p95_ms,
        asked, live_bids, timed_out, declined, broken, live_median_ms, live_p95_ms
    ]::DOUBLE[] AS numbers
    FROM counted
)
SELECT part, keys, numbers, count(*) FILTER (part = 'group') OVER () AS found
FROM measured
ORDER BY
    part = 'group',
    CASE WHEN NOT $down THEN keys[$sort_key] END ASC NULLS LAST,
    CASE WHEN $down THEN keys[$sort_key] END DESC NULLS LAST,
    CASE WHEN $down THEN -numbers[$sort_number] ELSE numbers[$sort_number] END ASC NULLS LAST,
    keys
LIMIT $most + 2
