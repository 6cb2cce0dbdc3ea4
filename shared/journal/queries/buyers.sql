-- $start, $end: seconds since the epoch.
SELECT buyer, count(*)::BIGINT, sum(revenue_cents)::BIGINT AS revenue, sum(payout_cents)::BIGINT
FROM all_rows
WHERE kind = 'sale' AND sold_at >= $start AND sold_at < $end
GROUP BY buyer
ORDER BY revenue DESC, buyer
