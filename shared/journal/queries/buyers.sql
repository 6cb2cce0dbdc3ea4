-- $start, $end: seconds since the epoch.
SELECT buyer, count(*) FILTER (kind = 'sale')::BIGINT, sum(revenue_cents)::BIGINT AS revenue, sum(payout_cents)::BIGINT
FROM all_rows
WHERE sold_at >= $start AND sold_at < $end AND (kind = 'sale' OR (kind = 'call' AND (revenue_cents > 0 OR payout_cents > 0)))
GROUP BY buyer
ORDER BY revenue DESC, buyer
