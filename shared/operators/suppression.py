"""Suppression lists: which there are and whom they concern says the configuration; who is on them is kept as keyed
hashes, so that a number can be looked up and no list can be read."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from msgspec import Struct

from shared.domain import phone
from shared.domain.configuration import ACCOUNT, Change, Parts
from shared.domain.objections import NotFound, NotValid
from shared.store.callers import AT_ONCE, Callers
from shared.store.records import Records

ENTRIES_AT_ONCE = 1000
THREADS = 8
"""As many as the client keeps connections."""

Where = Literal["on", "off"]
Batch = Callable[[str, Sequence[str]], None]


class SuppressionList(Struct, frozen=True):
    """`used_by` are the parts of the configuration that name it: `account`, `offers[…]`, `offers[…].buyers[…]`."""

    name: str
    used_by: list[str]


class Changed(Struct, frozen=True):
    """How many numbers and prefixes are on the list now, or off it, whether or not they were before."""

    numbers: int
    prefixes: int


class Found(Struct, frozen=True):
    """An entry that means the number, itself or a prefix of it, and the lists that it is on."""

    entry: str
    lists: list[str]


def lists(records: Records) -> list[SuppressionList]:
    """Those that the configuration uses, by name."""
    used: dict[str, list[str]] = {}
    for path, names in _named(records.last_seen().parts):
        for name in names:
            used.setdefault(name, []).append(path)
    return [SuppressionList(name, used[name]) for name in sorted(used)]


def look_up(callers: Callers, number: str, region: str = "US") -> list[Found]:
    """Raises `NotValid`."""
    try:
        caller = phone.e164(number, region)
    except ValueError:
        raise NotValid({"number": ["must be a telephone number, like +16145550123"]}) from None
    return [Found(entry, names) for entry, names in sorted(callers.listed_by(caller).items())]


def change(records: Records, callers: Callers, by: str, name: str, texts: Sequence[str], where: Where) -> Changed:
    """Put numbers and prefixes on a list, or take them off. The change log tells how many, and none of them.

    Raises `NotFound`, `NotValid`, and `TemporarilyUnavailable` where it is not known how many are done; what is done
    stays done, and can be done again.
    """
    check_list(records, name)
    if len(texts) > ENTRIES_AT_ONCE:
        raise NotValid({"entries": [f"must have at most {ENTRIES_AT_ONCE} entries"]})
    found = [entry(text, "US") for text in texts]
    if wrong := {f"entries[{place}]": [str(each)] for place, each in enumerate(found) if isinstance(each, ValueError)}:
        raise NotValid(wrong)
    entries = [str(each) for each in found]
    prefixes = sum(each.endswith("*") for each in entries)
    note(records, by, name, len(entries), where)
    write(callers.enlist if where == "on" else callers.unsuppress, name, entries)
    return Changed(len(entries) - prefixes, prefixes)


def check_list(records: Records, name: str) -> None:
    """Raises `NotFound` for a list that the configuration does not use."""
    if name not in (known := [each.name for each in lists(records)]):
        raise NotFound(f"The live configuration has no suppression list {name}; it has {', '.join(known) or 'none'}.")


def note(records: Records, by: str, name: str, count: int, where: Where) -> None:
    """For the change log, before anything is changed: a death in the middle leaves a trace."""
    was, now = (None, f"{count} entries put on it") if where == "on" else (f"{count} entries taken off", None)
    records.note(by, [Change(f"suppression[{name}]", was, now)])


def write(act: Batch, name: str, entries: Sequence[str]) -> None:
    """Let a method of `Callers` do its work in batches, several at once. Raises `TemporarilyUnavailable`."""
    batches = (entries[start : start + AT_ONCE] for start in range(0, len(entries), AT_ONCE))
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(lambda batch: act(name, batch), batches))


def entry(text: str, region: str) -> str | ValueError:
    """A number as E.164, or a prefix with a star at its end; else what it should be."""
    try:
        if not text.endswith("*"):
            return phone.e164(text, region)
        digits = text[:-1].translate(phone.PUNCTUATION)
        if region == "US" and digits and not digits.startswith("+"):
            digits = "+1" + digits.removeprefix("1")
        if (
            digits[:1] == "+"
            and digits[1:].isascii()
            and digits[1:].isdecimal()
            and len(digits) <= len("+123456789012345")
        ):
            return digits + "*"
    except ValueError:
        pass
    return ValueError(f"`{text}` must be a telephone number like +16145550123, or a prefix like 614*")


def _named(parts: Parts) -> Iterable[tuple[str, list[str]]]:
    yield "account", parts.get(ACCOUNT, {}).get("suppression", [])
    for (section, name), part in parts.items():
        if section == "offers":
            yield f"offers[{name}]", part.get("suppression", [])
            for buyer in part.get("buyers", ()):
                yield f"offers[{name}].buyers[{buyer['id']}]", buyer.get("suppression", [])
