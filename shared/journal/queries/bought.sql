-- What buyers bought: calls that they took, those that converted, and what is owed for them and for their sales.
-- $start, $end: seconds since the epoch. $buyers: whose. What belongs to a sale counts when that was sold.
SELECT
    buyer,
    count(*) FILTER (kind = 'call')::BIGINT,
    coalesce(sum(converted) FILTER (kind IN ('call', 'update')), 0)::BIGINT,
    sum(revenue_cents)::BIGINT
FROM all_rows
WHERE kind IN ('sale', 'call', 'update') AND list_contains($buyers::BIGINT[], buyer)
    AND CASE WHEN sold_at = 0 THEN "at" ELSE sold_at END >= $start
    AND CASE WHEN sold_at = 0 THEN "at" ELSE sold_at END < $end
GROUP BY buyer
ORDER BY buyer
