"""How keys are kept, and which of them signs.

There are two secrets: one that all functions read, and one that only the dashboard reads. Each is a text. At first it
is random, and the first keys are derived from it. Once a key has been rotated it is a JSON object of keys by kind and
id. The config table lists the keys in use, since when they sign, and their fingerprints, none of which is secret. A
process that lacks a listed key must not work, because data may need it.

A new key is listed before it signs, so that every process knows it by then. Then it signs ping ids, tokens, sessions,
suppression lists and the hashes that find pings; all of these are looked up under every listed key. Routes, retry keys
and marks are guarded by a condition on one item. So they are written to the previous key's item first and then to the
new one's, until the longest hold is over, and after that to the new one's alone. A process whose clock is some seconds
off shares an item with every other at any time.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from shared.domain.keys import Key, Keys, mac

KINDS = ("ping_ids", "tokens", "callers", "sessions")
SHARED = {"ping_ids": b"ping ids", "callers": b"callers", "tokens": b"tokens"}
"""The kinds that all functions know, and the label from which the first key of each is derived (RFC 5869: the expansion
of a secret that is already random)."""
DASHBOARDS = {"sessions": b"sessions"}
MOST_KEYS = 255

CHECK_SECONDS = 60
"""How long a process uses the list of keys that it has read."""
WAIT_SECONDS = 2 * CHECK_SECONDS
"""After that time every process knows a new key, and requests that began before have ended."""
LONGEST_HOLD_SECONDS = 7 * 24 * 3600
BOTH_SECONDS = LONGEST_HOLD_SECONDS + WAIT_SECONDS
"""How long routes, retry keys and marks are written under the previous and the new key."""

SESSION_SECONDS = 12 * 3600
"""How long somebody stays signed in to the dashboard."""


class Secrets(Struct, frozen=True):
    """The content of a secret: keys in hexadecimal, by kind and id."""

    keys: dict[str, dict[int, str]]
    asks: str = ""

    def __repr__(self) -> str:
        return "Secrets()"

    def secret(self, kind: str, key_id: int) -> bytes:
        return bytes.fromhex(self.keys[kind][key_id])

    def with_key(self, kind: str, key_id: int, key: bytes | None) -> "Secrets":
        """The secrets with this key, or without it if `key` is None."""
        held = {each: text for each, text in self.keys[kind].items() if each != key_id}
        if key is not None:
            held[key_id] = key.hex()
        return Secrets(self.keys | {kind: held}, self.asks)

    def fingerprint(self, kind: str, key_id: int) -> str:
        """A hash that recognizes a key and tells nothing of it."""
        return mac(self.secret(kind, key_id), b"fingerprint").hex()[:16]

    def has(self, listed: "Listed") -> bool:
        held = listed.id in self.keys[listed.kind]
        return held and self.fingerprint(listed.kind, listed.id) == listed.fingerprint


class Listed(Struct, frozen=True):
    """A key in use; it signs from `since` on."""

    kind: str
    id: int
    since: int
    fingerprint: str


class BadSecret(Exception):
    """A secret has no keys that can be read; the message says why, and shows nothing of the secret."""


def read(text: str, root: bytes, labels: Mapping[str, bytes]) -> Secrets:
    """The keys of these kinds; `root` are the bytes of the text if it is random. Raises `BadSecret`."""
    if not text.startswith("{"):
        keys = {kind: {1: mac(root, label).hex()} for kind, label in labels.items()}
        return Secrets(keys, keys["ping_ids"][1] if "ping_ids" in keys else "")
    try:
        found = msgspec.json.decode(text, type=Secrets)
        for some in found.keys.values():
            [bytes.fromhex(key) for key in some.values()]
    except (msgspec.DecodeError, ValueError):
        raise BadSecret("The secret is neither a random text nor a JSON object of keys.") from None
    if absent := [kind for kind in labels if not found.keys.get(kind)]:
        raise BadSecret(f"The secret has no key for {' and '.join(absent)}.")
    return found


def write(secrets: Secrets, kinds: Iterable[str]) -> str:
    """The text of a secret with these kinds."""
    kept: dict[str, Any] = {"keys": {kind: secrets.keys[kind] for kind in kinds}, "asks": secrets.asks}
    return msgspec.json.encode(kept).decode()


def merge(one: Secrets, other: Secrets) -> Secrets:
    return Secrets(one.keys | other.keys, one.asks or other.asks)


def derive(secret: bytes) -> Keys:
    """The keys of a random secret that was never rotated."""
    return keys_at(read("", secret, SHARED), [], 0)


def keys_at(secrets: Secrets, listed: Iterable[Listed], now: int) -> Keys:
    """The keys as they are used at this time."""
    found: dict[str, tuple[Key, ...]] = dict.fromkeys(KINDS, ())
    sales: tuple[Key, ...] = ()
    listed = list(listed)
    for kind, held in secrets.keys.items():
        in_use = {each.id: each.since for each in listed if each.kind == kind} or {min(held): 0}
        used = {key_id: since for key_id, since in in_use.items() if key_id in held} or dict.fromkeys(held, 0)
        signing = max([key_id for key_id in used if used[key_id] <= now], default=min(used))
        newest_first = sorted(used, key=lambda key_id: (key_id == signing, key_id), reverse=True)
        found[kind] = tuple(Key(key_id, secrets.secret(kind, key_id)) for key_id in newest_first)
        if kind == "callers":
            signs, *others = found[kind]
            previous = [key for key in others if key.id < signs.id][:1]
            sales = (*previous, signs) if now < used[signs.id] + BOTH_SECONDS else (signs,)
    return Keys(asks=bytes.fromhex(secrets.asks), sales=sales, **found)


def missing_keys(secrets: Secrets, listed: Iterable[Listed]) -> list[Listed]:
    """The keys in use that these secrets lack, of the kinds that they hold."""
    return [each for each in listed if each.kind in secrets.keys and not secrets.has(each)]
