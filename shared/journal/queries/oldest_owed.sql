-- When the first of what parties are owed, or owe, was sold.
-- $party: whose; NULL for all. $end: only of what was sold before.
SELECT party, min(moment) FROM owed WHERE moment < $end AND ($party IS NULL OR party = $party) GROUP BY party
