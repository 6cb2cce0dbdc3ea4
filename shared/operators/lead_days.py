"""How long leads are kept: as long as the account said when they came."""

from collections.abc import Iterator

from shared.configuration import Change, Retention, retention_of
from shared.domain.models import DAY
from shared.store.records import Records

HISTORY = 200
"""How many entries of the change log are read at once."""
PATHS = {
    "account": ("retention", "lead_days"),
    "account.retention": ("lead_days",),
    "account.retention.lead_days": (),
}
"""Where in a changed part of the configuration it is, by its path."""


def list_lead_days(records: Records, now: int) -> Iterator[tuple[int, int]]:
    """Each number of days that was ever said, with until when it was said: now first."""
    yield now, retention_of(records.versions.current().parts).lead_days
    before, more = 0, True
    while more:
        entries, more = records.versions.history(HISTORY, before)
        for entry in entries:
            before = entry.version
            for change in entry.changes:
                if change.path in PATHS:
                    yield entry.at, _ended_by(change)


def first_kept(records: Records, now: int) -> int:
    """Since when there may be leads that are kept."""
    return min(
        (now - days * DAY for until, days in list_lead_days(records, now) if until > now - days * DAY), default=now
    )


def _ended_by(change: Change) -> int:
    found = change.was
    for name in PATHS[change.path]:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, int) else Retention().lead_days
