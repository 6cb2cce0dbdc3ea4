"""What a configuration would change of what is live: in totals and path by path, checked as `apply` checks it."""

from collections.abc import Mapping

from msgspec import Struct

from shared import configuration
from shared.configuration import Change, Configuration, Parts
from shared.domain.plurals import counted
from shared.operators import configuration_warnings, lockout, resources
from shared.operators.configuration_warnings import Warning
from shared.operators.resources import ONE, Kind
from shared.store.records import Records

COUNTED: tuple[Kind, ...] = ("endpoints", "offers", "buyers", "ring_pools", "providers", "users", "account")
Counts = Mapping[Kind, int]
"""By kind; a kind of which there are none is left out."""


class Totals(Struct, frozen=True):
    removes: Counts
    adds: Counts
    changes: Counts

    @property
    def sentences(self) -> list[str]:
        """Like "Removes 6 endpoints, 4 offers, 12 buyers."; what there is most reason to look at comes first."""
        each = (("Removes", self.removes), ("Adds", self.adds), ("Changes", self.changes))
        return [
            f"{verb} {', '.join(_count(kind, of[kind]) for kind in COUNTED if kind in of)}." for verb, of in each if of
        ]


class Difference(Struct, frozen=True):
    """What applying a file would change of `version`, the live one, what in it is probably not meant, and `notes` on
    what stays as it is for a while. Where operators would lose their role, `warning` says so and `confirm` is what has
    to be sent along."""

    version: int
    totals: Totals
    changes: list[Change]
    warnings: list[Warning] = []
    notes: list[str] = []
    confirm: str = ""
    warning: str = ""


def difference(records: Records, by: str, wanted: Configuration) -> Difference:
    """Raises what `apply` would: `Refused`, and `InvalidConfiguration` where it does not fit what is live."""
    live, parts = records.versions.last_read(), configuration.records_of(wanted)
    notes = records.applying.check(wanted)
    unconfirmed = lockout.confirmation_needed(live.parts, wanted, by)
    return Difference(
        version=live.version,
        totals=totals(live.parts, parts),
        changes=configuration.changes_between(live.parts, parts),
        warnings=configuration_warnings.find_warnings(wanted, records.now()),
        notes=notes,
        confirm=unconfirmed.word if unconfirmed else "",
        warning=str(unconfirmed) if unconfirmed else "",
    )


def totals(was: Parts, now: Parts) -> Totals:
    removes, adds, changes = {}, {}, {}
    for kind in COUNTED:
        before, after = ({found.name: found.content for found in resources.all_of(of, kind)} for of in (was, now))
        removes[kind] = len(before.keys() - after.keys())
        adds[kind] = len(after.keys() - before.keys())
        changes[kind] = sum(before[name] != after[name] for name in before.keys() & after.keys())
    return Totals(*({kind: count for kind, count in of.items() if count} for of in (removes, adds, changes)))


def _count(kind: Kind, count: int) -> str:
    if kind == "account":
        return "the account"
    return counted(count, ONE[kind])
