"""Three keys of one secret, and what they sign: ping ids, callers and tokens."""

import base64
import binascii
import hmac
import json
from collections.abc import Iterable
from hashlib import sha256

from msgspec import Struct

from shared.domain.models import TRY_ALL, Lead

ID_BYTES = 12
CHOICE_BYTES = 4
CHECKSUM_BYTES = 8
CALLER_BYTES = 16


class Keys(Struct, frozen=True):
    ping_ids: bytes
    callers: bytes
    tokens: bytes

    def __repr__(self) -> str:
        return "Keys()"


def derive(secret: bytes) -> Keys:
    """HMAC as a key derivation function, one label per key (RFC 5869, the expansion of a secret already random)."""
    return Keys(*(_mac(secret, label) for label in (b"ping ids", b"callers", b"tokens")))


def of_sandbox(keys: Keys) -> Keys:
    """The keys of sandbox twins: no id, caller or route of theirs is one of ours. Tokens are the same."""
    return Keys(_mac(keys.ping_ids, b"sandbox"), _mac(keys.callers, b"sandbox"), keys.tokens)


def session_key(keys: Keys) -> bytes:
    """What the cookies of those who have signed in are signed with."""
    return _mac(keys.tokens, b"sessions")


def ping_id(keys: Keys, endpoint: str, random_id: bytes, choice: int = TRY_ALL) -> str:
    """What a publisher sees: 12 random bytes, the buyer or try-all, and a checksum over both and the endpoint."""
    body = random_id + choice.to_bytes(CHOICE_BYTES, "big")
    text = base64.urlsafe_b64encode(body + _checksum(keys, endpoint, body)).decode()
    return ("pg_" if choice == TRY_ALL else "pb_") + text


def read_ping_id(keys: Keys, endpoint: str, text: str) -> tuple[bytes, int] | None:
    """The random id and the choice; None for what this endpoint never gave out."""
    found = unchecked_ping_id(text)
    if found is None:
        return None
    ours = ping_id(keys, endpoint, *found)  # letter by letter: several texts decode to the same bytes
    return found if hmac.compare_digest(text.encode(), ours.encode()) else None


def unchecked_ping_id(text: str) -> tuple[bytes, int] | None:
    """What a ping id says of itself, while its endpoint is not known; None if it can be none."""
    try:
        raw = base64.b64decode(text.encode()[3:], altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw[:ID_BYTES], int.from_bytes(raw[ID_BYTES : ID_BYTES + CHOICE_BYTES], "big")


def token_hash(keys: Keys, token: str) -> str:
    return _mac(keys.tokens, token.encode()).hex()


def route_key(keys: Keys, number: str, caller: str) -> bytes:
    """Where the route of a call to `number` from `caller` is kept."""
    return _mac(keys.callers, _joined(["route", number, caller]))


def retry_key(keys: Keys, parts: Iterable[str], lead: Lead) -> bytes:
    """Where the first attempt at selling this lead is found again."""
    return _mac(keys.callers, _joined(["retry", *parts, *(text for pair in sorted(lead.items()) for text in pair)]))


def caller_key(keys: Keys, *parts: str) -> bytes:
    """Where something is kept of a caller, or of whoever sends requests. The first part says what."""
    return _mac(keys.callers, _joined(list(parts)))


def caller_hash(keys: Keys, caller: str) -> bytes:
    """By what the pings of a caller are found."""
    return caller_key(keys, "caller", caller)[:CALLER_BYTES]


def ask_key(keys: Keys, ping_id: bytes, buyer_id: int) -> str:
    """What a live buyer knows this ping and its sale by, however often it is asked."""
    return _mac(keys.ping_ids, b"ask" + ping_id + buyer_id.to_bytes(CHOICE_BYTES, "big")).hex()[:32]


def _checksum(keys: Keys, endpoint: str, body: bytes) -> bytes:
    return _mac(keys.ping_ids, endpoint.encode() + b"\0" + body)[:CHECKSUM_BYTES]


def _joined(texts: list[str]) -> bytes:
    return json.dumps(texts).encode()


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, sha256)
