"""What rows count in a statement, by two rules. A row belongs to the month in which what it is about was sold. If the
statement of that month is closed without it, it is a correction in the first one that is open. So each row is in
exactly one statement, whenever it comes and whenever statements are closed.
"""

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from operator import add
from sys import byteorder

import msgspec
from msgspec import Struct, field

from shared.domain.statements import Content, Late, Sums
from shared.journal.database import Database
from shared.journal.fetching import Sources

STATED = {"party": "VARCHAR", "key": "UBIGINT"}
KEYS = "Q"
"""Of `array`: eight bytes each."""

KeysOf = Callable[[str, int], Iterable[bytes]]
"""The keys of the rows that closed statements of a party have: at least of those that end after a time."""


class Wanted(Struct, frozen=True, kw_only=True):
    """Statements from `start` to before `end`, of a `party` or of all. `starts` has the parties of whom the statement
    before is closed: since when the present one counts, and what is earlier corrects it."""

    start: int
    end: int
    party: str | None = None
    starts: Mapping[str, int] = {}
    with_keys: bool = False


class Tally(Struct):
    """What was counted of a party, of some of the rows or of all."""

    lines: dict[str, Sums] = field(default_factory=dict)
    late: list[Late] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)

    @property
    def own(self) -> Sums:
        return reduce(add, self.lines.values(), Sums())

    @property
    def corrections(self) -> Sums:
        return reduce(add, (each.sums for each in self.late), Sums())

    def content(self) -> Content:
        """As a closed statement keeps it."""
        keys = [*self.keys, *(each.key for each in self.late)]
        lines = dict(sorted(self.lines.items()))
        return Content(lines, tuple(self.late), pack_keys(keys))


def pack_keys(keys: Iterable[int]) -> bytes:
    packed = array(KEYS, keys)
    if byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def unpack_keys(packed: bytes) -> Sequence[int]:
    keys = array(KEYS, packed)
    if byteorder == "big":
        keys.byteswap()
    return keys


class Tallies:
    """By party, of the rows of one database after another: no row is in two of them."""

    def __init__(self, wanted: Wanted, keys_of: KeysOf) -> None:
        self.wanted = wanted
        self.keys_of = keys_of
        self.found: defaultdict[str, Tally] = defaultdict(Tally)

    def add(self, database: Database) -> None:
        wanted = self.wanted
        starts = {"parties": [*wanted.starts], "starts": [*wanted.starts.values()]}
        period = {"start": wanted.start, "end": wanted.end, "party": wanted.party, "with_keys": wanted.with_keys}
        database.ask("owed.sql", {})
        for party, line, *sums, keys in database.ask("statements.sql", starts | period):
            tally = self.found[party]
            tally.lines[line] = tally.lines.get(line, Sums()) + Sums(*sums)
            tally.keys += keys or ()
        if not wanted.starts or not (oldest := dict(database.ask("oldest_late.sql", starts))):
            return
        lines = msgspec.json.Encoder().encode_lines(
            {"party": party, "key": key}
            for party, since in oldest.items()
            for packed in self.keys_of(party, since)
            for key in unpack_keys(packed)
        )
        database.read_lines(database.keep("stated.jsonl", lines), STATED).create_view("stated", replace=True)
        for party, *late in database.ask("late.sql", starts):
            self.found[party].late.append(Late(*late))


def oldest_owed(database: Database, sources: Sources, party: str | None, end: int) -> dict[str, int]:
    """When the first of what parties are owed, or owe, was sold, if before `end`: by party."""
    database.ask("owed.sql", {})
    values = {"party": party, "end": end}
    found = [*database.ask("oldest_owed.sql", values)]
    found += database.ask("oldest_owed_of_cubes.sql", values) if sources.cubes else []
    oldest = dict[str, int]()
    for each, moment in found:
        oldest[each] = min(moment, oldest.get(each, moment))
    return oldest
