-- Since when parties have rows of statements before the present one.
-- $parties, $starts: as in late.sql.
WITH starts AS (SELECT unnest($parties::VARCHAR[]) AS party, unnest($starts::BIGINT[]) AS since)
SELECT owed.party, min(moment)
FROM owed JOIN starts ON owed.party = starts.party
WHERE moment < since
GROUP BY owed.party
