-- Rows of parties that belong to statements before the present one, and are in none of them: corrections.
-- $parties, $starts: whose, and when the present statement of each begins. The table `stated` has the keys of rows that
-- earlier statements have.
WITH starts AS (SELECT unnest($parties::VARCHAR[]) AS party, unnest($starts::BIGINT[]) AS since)
SELECT owed.party, key, kind, "at", moment, call, ping, endpoint, arrived_at, converted, cents, detail
FROM owed JOIN starts ON owed.party = starts.party
WHERE moment < since
    AND NOT EXISTS (SELECT 1 FROM stated WHERE stated.party = owed.party AND stated.key = owed.key)
ORDER BY owed.party, "at", event, place
