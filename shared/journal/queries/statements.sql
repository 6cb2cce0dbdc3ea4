-- What parties are owed, or owe, for what was sold in a period, by endpoint or offer.
-- $party: whose; NULL for all. $start, $end: the period, in seconds since the epoch.
-- $parties, $starts: since when a party's statement counts in place of $start.
-- $with_keys: whether the keys of the rows are wanted.
WITH starts AS (SELECT unnest($parties::VARCHAR[]) AS party, unnest($starts::BIGINT[]) AS since)
SELECT
    owed.party, line,
    count(*) FILTER (kind = 'sale')::BIGINT,
    count(*) FILTER (kind = 'call')::BIGINT,
    sum(converted)::BIGINT,
    sum(cents)::BIGINT,
    CASE WHEN $with_keys THEN list(key) END
FROM owed LEFT JOIN starts ON owed.party = starts.party
WHERE moment >= coalesce(since, $start) AND moment < $end AND ($party IS NULL OR owed.party = $party)
GROUP BY owed.party, line
ORDER BY owed.party, line
