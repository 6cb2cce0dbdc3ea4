"""Numbers as a ring pool's file has them, and new ones put into a pool of the live configuration."""

from collections.abc import Collection, Iterable

from shared import configuration
from shared.configuration import Configuration, InvalidConfiguration, Parts, expand_numbers
from shared.configuration.shapes import MAX_RANGE
from shared.domain.objections import Overtaken, Refused
from shared.store.records import Records
from shared.store.versions import Applied

TRIES = 10
"""How often an addition is made again where somebody else applied something meanwhile."""


def as_ranges(numbers: Iterable[str]) -> list[str]:
    """Numbers (E.164) as the configuration takes them: those that follow each other as one range."""
    runs: list[list[int]] = []
    for number in sorted({int(each) for each in numbers}):
        last = runs[-1] if runs else []
        if last and number == last[-1] + 1 and len(last) < MAX_RANGE and len(str(number)) == len(str(last[0])):
            last.append(number)
        else:
            runs.append([number])
    return [f"+{run[0]}-+{run[-1]}" if len(run) > 1 else f"+{run[0]}" for run in runs]


def with_numbers(parts: Parts, pool: str, numbers: Collection[str]) -> Configuration:
    """The configuration with these numbers in the pool, those that it has not yet as ranges at its end. Raises
    `Refused`."""
    part = parts.get(("ring_pools", pool))
    if part is None:
        raise Refused(f"There is no ring pool {pool}.")
    new = {*numbers} - {*expand_numbers(part["numbers"])}
    more = {**part, "numbers": [*part["numbers"], *as_ranges(new)]}
    try:
        return configuration.read(configuration.document_of({**parts, ("ring_pools", pool): more}))
    except InvalidConfiguration as invalid:
        raise Refused(f"{invalid}.") from None


def check_numbers(records: Records, pool: str, numbers: Collection[str]) -> None:
    """Raises what `add_numbers` would raise, and changes nothing."""
    try:
        records.applying.check(with_numbers(records.versions.last_read().parts, pool, numbers))
    except InvalidConfiguration as invalid:
        raise Refused(f"{invalid}.") from None


def add_numbers(records: Records, by: str, pool: str, numbers: Collection[str]) -> Applied | None:
    """Put numbers into a pool, in one version: they become shards of their own, and those that are there stay as they
    are. None if the pool has all of them. Raises `Refused`, `Busy`, `Overtaken` in the end, and `Interrupted`."""
    for tried in range(1, TRIES + 1):
        live = records.versions.current()
        try:
            return records.applying.apply(with_numbers(live.parts, pool, numbers), by, seen=live.version)
        except InvalidConfiguration as invalid:
            raise Refused(f"{invalid}.") from None
        except Overtaken:
            if tried == TRIES:
                raise
    raise AssertionError("the last try ends the loop")
