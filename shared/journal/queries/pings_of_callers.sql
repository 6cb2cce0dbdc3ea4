-- $callers: starts of keyed hashes. $until: the last second that counts.
-- Who calls for a ping may be another than its lead.
SELECT DISTINCT ping FROM all_rows
WHERE list_contains($callers, caller) AND ping != '' AND kind NOT IN ('arrived', 'call') AND "at" <= $until
