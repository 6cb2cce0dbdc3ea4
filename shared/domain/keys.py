"""The keys of a stack, and what they make: ping ids, uuids, and the hashes of callers and of tokens.

Each kind has keys of its own, which are told apart by an id: see `shared.domain.keyring`. Whatever a key with an id
above 1 makes carries the id. Whatever key 1 makes has none, as in releases with one key.
"""

import base64
import binascii
import hmac
import json
import re
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from shared.domain.models import TRY_ALL, Lead

ID_BYTES = 12
CHOICE_BYTES = 4
CHECKSUM_BYTES = 8
CALLER_BYTES = 16
DIGEST_BYTES = 16
HOLDER_BYTES = 3
CALLER_TAG_BYTES = 2
UUID_MAC_BITS = 26
"""What a UUID of version 8 has beside an id of ours: 128 bits less 96, and less the 6 of version and variant."""
A_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)

Kind = Literal["call", "sale"]
"""What has a uuid. A sale's id is its ping's."""


NO_CALLER = bytes(CALLER_TAG_BYTES)


class Key(Struct, frozen=True):
    """`id` is 1 to 255, so that it is one byte of what the key makes."""

    id: int
    secret: bytes

    def __repr__(self) -> str:
        return f"Key({self.id})"


class Keys(Struct, frozen=True):
    """For each kind the key that signs, then those that are still read.

    `sales` are the keys of callers under which routes, retry keys and marks are written: the one that signs and, during
    a rotation, the previous one before it. Only the dashboard has `sessions`. `asks` never rotates: a live buyer must
    know a ping by one idempotency key forever, and what this key makes is sent out.
    """

    ping_ids: tuple[Key, ...]
    tokens: tuple[Key, ...]
    callers: tuple[Key, ...]
    sales: tuple[Key, ...]
    asks: bytes
    sessions: tuple[Key, ...] = ()

    def __repr__(self) -> str:
        return "Keys()"


def of_sandbox(keys: Keys) -> Keys:
    """The keys of sandbox endpoints: no id, caller or route of theirs is one of ours. Tokens are the same."""

    def derived(some: tuple[Key, ...]) -> tuple[Key, ...]:
        return tuple(Key(key.id, mac(key.secret, b"sandbox")) for key in some)

    return replace(
        keys,
        ping_ids=derived(keys.ping_ids),
        callers=derived(keys.callers),
        sales=derived(keys.sales),
        asks=mac(keys.asks, b"sandbox"),
    )


def ping_id(keys: Keys, endpoint: str, random_id: bytes, choice: int = TRY_ALL) -> str:
    """What a publisher sees: 12 random bytes, the buyer or try-all, and a checksum over both and the endpoint. The
    first byte of the checksum is the id of its key, if that is above 1."""
    return _ping_id(keys.ping_ids[0], endpoint, random_id, choice)


def read_ping_id(keys: Keys, endpoint: str, text: str) -> tuple[bytes, int] | None:
    """The random id and the choice; None for what this endpoint never gave out."""
    raw = _raw_ping_id(text)
    if len(raw) != ID_BYTES + CHOICE_BYTES + CHECKSUM_BYTES:
        return None
    found = _read_raw(raw)
    ids = (1, raw[ID_BYTES + CHOICE_BYTES])
    ours = (_ping_id(key, endpoint, *found) for key in keys.ping_ids if key.id in ids)
    # Letter by letter: several texts decode to the same bytes.
    return found if any(hmac.compare_digest(text.encode(), each.encode()) for each in ours) else None


def needs_newer_key(keys: Keys, endpoint: str, text: str) -> bool:
    """Whether only a newer key can have made this ping id."""
    raw = _raw_ping_id(text)
    if len(raw) != ID_BYTES + CHOICE_BYTES + CHECKSUM_BYTES or read_ping_id(keys, endpoint, text):
        return False
    return raw[ID_BYTES + CHOICE_BYTES] not in {key.id for key in keys.ping_ids}


def unchecked_ping_id(text: str) -> tuple[bytes, int] | None:
    """The random id and the choice, unchecked because the endpoint is not known; None if this can be no ping id."""
    raw = _raw_ping_id(text)
    return _read_raw(raw) if raw else None


def token_hash(keys: Keys, token: str) -> str:
    """Where a new token is kept."""
    return token_hashes(keys, token)[0]


def token_hashes(keys: Keys, token: str) -> list[str]:
    """Where a token may be kept: under the key that signs, or under an earlier one."""
    return [_named(key) + mac(key.secret, token.encode()).hex() for key in keys.tokens]


def key_of_token(hashed: str) -> int:
    """The id of the key that a token is kept under."""
    named, _, rest = hashed.partition(".")
    return int(named) if rest else 1


def route_keys(keys: Keys, number: str, caller: str) -> list[bytes]:
    """Where the route of a call to `number` from `caller` is kept."""
    return [_under(key, ["route", number, caller]) for key in keys.sales]


def retry_keys(
    keys: Keys, who: Sequence[str], idempotency_key: str, buyer_id: str, lead: Lead
) -> list[tuple[bytes, bytes]]:
    """Where the first attempt at a sale is found again, and a digest of what has to be the same then. Where a caller
    comes under an Idempotency-Key, these two decide; otherwise the whole lead does."""
    values = [buyer_id, *(text for pair in sorted(lead.items()) for text in pair)]
    sale = ["caller", lead.caller] if idempotency_key and lead.caller else values
    return [
        (
            _under(key, ["retry", *who, idempotency_key, *sale]),
            mac(key.secret, _joined(["digest", *values]))[:DIGEST_BYTES],
        )
        for key in keys.sales
    ]


def digest(keys: Keys, lead: Lead) -> bytes:
    """A digest that compares values that are not kept, whichever keys rotate; empty if there are none."""
    values = [text for pair in sorted(lead.items()) for text in pair]
    return mac(keys.asks, _joined(["rest", *values]))[:DIGEST_BYTES] if values else b""


def caller_key(keys: Keys, *parts: str) -> bytes:
    """The key of a new item about a caller or a sender of requests. The first part says what it is."""
    return _under(keys.callers[0], parts)


def caller_keys(keys: Keys, *parts: str) -> list[bytes]:
    """The keys such an item may have: by the key that signs, or by an earlier one."""
    return [_under(key, parts) for key in keys.callers]


def sale_keys(keys: Keys, *parts: str) -> list[bytes]:
    """The keys of the items that guard a sale, in the order of their writes."""
    return [_under(key, parts) for key in keys.sales]


def holder_tag(keys: Keys, kind: str, name: str) -> bytes:
    """The tag that counts the leases of a user or of a source address; `kind` is "user" or "address". It stays the same
    when keys are rotated."""
    return mac(keys.asks, _joined(["lease", kind, name]))[:HOLDER_BYTES]


def caller_tag(keys: Keys, endpoint: str, caller: str) -> bytes:
    """The tag that counts the leases of a caller at an endpoint; zeros, which are never counted, without a caller."""
    if not caller:
        return NO_CALLER
    return mac(keys.asks, _joined(["lease", "caller", endpoint, caller]))[:CALLER_TAG_BYTES]


def caller_hash(keys: Keys, caller: str) -> bytes:
    """The hash by which a caller's new pings are found."""
    return caller_hashes(keys, caller)[0]


def caller_hashes(keys: Keys, caller: str) -> list[bytes]:
    """The hashes by which all of a caller's pings are found."""
    return [_under(key, ["caller", caller], CALLER_BYTES) for key in keys.callers]


def key_of_caller(made: bytes) -> int:
    """The id of the key that made this key of an item or this hash of a caller."""
    return made[0] if len(made) in (sha256().digest_size + 1, CALLER_BYTES + 1) else 1


def ask_key(keys: Keys, ping_id: bytes, buyer_id: int) -> str:
    """The idempotency key of this ping and its sale for a live buyer, however often it is asked."""
    return mac(keys.asks, b"ask" + ping_id + buyer_id.to_bytes(CHOICE_BYTES, "big")).hex()[:32]


def call_id(keys: Keys, provider: str, account: str, provider_id: str) -> bytes:
    """The id of a call, by the provider's own: a repeated webhook finds the same call, whichever keys rotate."""
    return mac(keys.asks, _joined(["call", provider, account, provider_id]))[:ID_BYTES]


def uuid(keys: Keys, kind: Kind, some_id: bytes) -> str:
    """What others know a call or a sale by, for ever: the 12 bytes of its id and 26 bits of a keyed checksum, as a UUID
    of version 8 (RFC 9562)."""
    custom = int.from_bytes(some_id, "big") << UUID_MAC_BITS | _uuid_mac(keys, kind, some_id)
    high, middle, low = custom >> 74, custom >> 62 & 0xFFF, custom & (1 << 62) - 1
    text = f"{high << 80 | 0x8 << 76 | middle << 64 | 0b10 << 62 | low:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def read_uuid(keys: Keys, kind: Kind, text: str) -> bytes | None:
    """The id of which this is the uuid, in small letters or capitals; None for what was never given out."""
    if not A_UUID.fullmatch(text):
        return None
    whole = int(text.replace("-", ""), 16)
    custom = whole >> 80 << 74 | (whole >> 64 & 0xFFF) << 62 | whole & (1 << 62) - 1
    some_id = (custom >> UUID_MAC_BITS).to_bytes(ID_BYTES, "big")
    is_ours = hmac.compare_digest(uuid(keys, kind, some_id), text.lower())
    return some_id if is_ours else None


def mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, sha256)


def _ping_id(key: Key, endpoint: str, random_id: bytes, choice: int) -> str:
    body = random_id + choice.to_bytes(CHOICE_BYTES, "big")
    checksum = (_prefix(key) + mac(key.secret, endpoint.encode() + b"\0" + body))[:CHECKSUM_BYTES]
    return ("pg_" if choice == TRY_ALL else "pb_") + base64.urlsafe_b64encode(body + checksum).decode()


def _uuid_mac(keys: Keys, kind: Kind, some_id: bytes) -> int:
    checksum = mac(keys.asks, _joined(["uuid", kind]) + some_id)
    return int.from_bytes(checksum[:4], "big") >> 32 - UUID_MAC_BITS


def _raw_ping_id(text: str) -> bytes:
    """Empty if it can be no ping id."""
    try:
        return base64.b64decode(text.encode()[3:], altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""


def _read_raw(raw: bytes) -> tuple[bytes, int]:
    return raw[:ID_BYTES], int.from_bytes(raw[ID_BYTES : ID_BYTES + CHOICE_BYTES], "big")


def _under(key: Key, parts: Iterable[str], size: int = sha256().digest_size) -> bytes:
    return _prefix(key) + mac(key.secret, _joined([*parts]))[:size]


def _prefix(key: Key) -> bytes:
    return b"" if key.id == 1 else bytes([key.id])


def _named(key: Key) -> str:
    return "" if key.id == 1 else f"{key.id}."


def _joined(texts: list[str]) -> bytes:
    return json.dumps(texts).encode()
