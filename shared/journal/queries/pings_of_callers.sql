-- $callers: starts of keyed hashes. $until: the last second that counts.
SELECT DISTINCT ping FROM all_rows WHERE list_contains($callers, caller) AND ping != '' AND "at" <= $until
