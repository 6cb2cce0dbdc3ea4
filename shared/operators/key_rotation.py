"""Keys rotate: a new one is made and signs after a while; an old one is retired once nothing uses it."""

import secrets as random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from msgspec import Struct

from shared.domain.key_list import (
    BOTH_SECONDS,
    LONGEST_HOLD_SECONDS,
    MOST_KEYS,
    SESSION_SECONDS,
    WAIT_SECONDS,
    Listed,
    Secrets,
)
from shared.domain.keys import key_of_caller, key_of_token
from shared.domain.models import DAY
from shared.domain.objections import NotFound, Refused
from shared.domain.plurals import counted
from shared.operators.lead_days import list_lead_days
from shared.store import keyring
from shared.store.callers import Callers
from shared.store.dynamo import ConditionFailed
from shared.store.keyring import Keyring
from shared.store.records import Records

KEY_BYTES = 32
LIVES = {"ping_ids": 2 * LONGEST_HOLD_SECONDS, "sessions": SESSION_SECONDS}
"""How long a text is valid after a key has signed it: a ping waits for its POST, and then for its retries."""


ONE = {
    "callers sold": "caller sold",
    "entries of suppression lists": "entry of a suppression list",
    "tokens": "token",
}
"""What uses keys is counted by its plural."""

Write = Callable[[str, Secrets], None]
"""Puts the secret with the keys of a kind where functions read it."""


class Standing(Struct, frozen=True, kw_only=True):
    """What uses a key: how many of each kind of item, and until when; `ends` is 0 if that has no end."""

    key: Listed
    signs: bool
    is_missing: bool
    counts: dict[str, int]
    ends: int

    def is_needed(self, now: int) -> bool:
        return bool(self.counts) or self.ends > now


def name(kind: str, key_id: int) -> str:
    return f"{kind.replace('_', '-')} {key_id}"


def rotate(records: Records, ring: Keyring, write: Write, kind: str, by: str) -> Listed:
    """Make a key that signs in `WAIT_SECONDS`. After a failure call it again. Raises `NotFound` and `Refused`."""
    now, dynamo = records.now(), records.dynamo
    with _lock(records) as mine:
        listed = _keys_in_use(records, ring, kind)
        newest = listed[-1]
        until = newest.since + (BOTH_SECONDS if kind == "callers" and newest.since else 0)
        if until > now:
            raise Refused(
                f"The rotation to {name(kind, newest.id)} is under way until {_clock(until)}. Wait for its end."
            )
        if newest.id == MOST_KEYS:
            raise Refused(f"A kind can have {MOST_KEYS} keys, one after the other, and all were made.")
        held = ring.read()
        key_id = newest.id + 1
        if key_id not in held.keys[kind]:  # else an earlier rotation died after its write
            held = held.with_key(kind, key_id, random.token_bytes(KEY_BYTES))
            write(kind, held)
        made = Listed(kind, key_id, now + WAIT_SECONDS, held.fingerprint(kind, key_id))
        _change(records, mine, kind, [*listed, made])
    ring.renew(dynamo, now)
    records.versions.note_secret(by, name(kind, newest.id), name(kind, made.id))
    return made


def retire(records: Records, ring: Keyring, write: Write, kind: str, key_id: int, by: str, *, lost: bool) -> None:
    """Remove a key that nothing uses any more, or a `lost` key, whose data is given up. Raises `NotFound` and
    `Refused`."""
    now = records.now()
    with _lock(records) as mine:
        listed = _keys_in_use(records, ring, kind)
        found = next(
            (each for each in list_standings(records, ring) if (each.key.kind, each.key.id) == (kind, key_id)), None
        )
        if found is None:
            raise NotFound(f"There is no key {name(kind, key_id)}.")
        if lost and not found.is_missing:
            raise Refused(f"The key {name(kind, key_id)} is not lost: the secret has it.")
        if not lost and found.key.since > now:
            raise Refused(f"The key {name(kind, key_id)} signs from {_clock(found.key.since)} on. Rotate it first.")
        if not lost and found.signs:
            raise Refused(
                f"The key {name(kind, key_id)} still signs. If you have just rotated it, "
                f"wait {WAIT_SECONDS // 60} minutes; else rotate it first."
            )
        if not lost and found.is_needed(now):
            raise Refused(f"The key {name(kind, key_id)} is still needed: {describe(found)}.")
        _change(records, mine, kind, [each for each in listed if each.id != key_id])
        if not lost:
            write(kind, ring.read().with_key(kind, key_id, None))
    ring.renew(records.dynamo, now)
    records.versions.note_secret(by, name(kind, key_id), None)


def list_standings(records: Records, ring: Keyring) -> list[Standing]:
    """What uses each of the keys. Reads the whole callers table and the change log."""
    now = records.now()
    counts: dict[tuple[str, int], Counter[str]] = {}
    ends: Counter[tuple[str, int]] = Counter()
    for hashed in records.tokens.hashes():
        counts.setdefault(("tokens", key_of_token(hashed)), Counter())["tokens"] += 1
    for key, is_listed, until in Callers(records.dynamo, records.keys).everything():
        of = ("callers", key_of_caller(key))
        if is_listed or until > now:
            counts.setdefault(of, Counter())["entries of suppression lists" if is_listed else "callers sold"] += 1
    found: list[Standing] = []
    for kind in ring.secrets.keys:
        listed = _keys_in_use(records, ring, kind)
        signing = max((each for each in listed if each.since <= now), key=lambda each: each.id, default=listed[0])
        for each, successor in zip(listed, [*listed[1:], None], strict=True):
            of = (kind, each.id)
            if successor:
                ends[of] = successor.since + WAIT_SECONDS + LIVES.get(kind, 0)
            if successor and kind == "callers":
                ends[of] = max(successor.since + BOTH_SECONDS, _end_of_leads(records, successor.since + WAIT_SECONDS))
            found.append(
                Standing(
                    key=each,
                    signs=each == signing,
                    is_missing=not ring.secrets.has(each),
                    counts=dict(counts.get(of, {})),
                    ends=ends[of],
                )
            )
    return found


def _end_of_leads(records: Records, last: int) -> int:
    """Until when leads of pings are kept that came up to `last`: each as long as the account said when it came."""
    return max(min(last, until) + days * DAY for until, days in list_lead_days(records, last))


def describe(standing: Standing) -> str:
    """What uses a key, in words."""
    said = [counted(count, ONE[what], what) for what, count in sorted(standing.counts.items())]
    if standing.ends:
        what = {
            "callers": "leads, routes and retries",
            "ping_ids": "ping ids",
            "sessions": "sessions",
            "tokens": "sign-in links",
        }
        said.append(f"{what[standing.key.kind]} until {_clock(standing.ends)}")
    return ", ".join(said) or "nothing that is counted"


def _keys_in_use(records: Records, ring: Keyring, kind: str) -> list[Listed]:
    """The keys in use of a kind, the newest last. Raises `NotFound` if the secret of the kind is not known here."""
    if kind not in ring.secrets.keys:
        raise NotFound(f"The secret of {kind.replace('_', '-')} is not known here.")
    found = [each for each in keyring.read_listed(records.dynamo) if each.kind == kind]
    return sorted(found, key=lambda each: each.id) or [keyring.first_of(ring.secrets, kind)]


@contextmanager
def _lock(records: Records) -> Iterator[bytes]:
    mine = random.token_bytes(8)
    if not keyring.lock(records.dynamo, mine, records.now()):
        raise Refused("Somebody else is changing keys. Run `secrets status` in a minute.")
    try:
        yield mine
    finally:
        keyring.unlock(records.dynamo, mine)


def _change(records: Records, mine: bytes, kind: str, listed: list[Listed]) -> None:
    try:
        keyring.change(records.dynamo, mine, kind, listed)
    except ConditionFailed:
        raise Refused("The change took too long, and the keys in use stay as they were. Try again.") from None


def _clock(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
