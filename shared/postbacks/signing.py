"""Signatures of postbacks, as Standard Webhooks has them: HMAC-SHA256 over id, time and body.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hmac
from collections.abc import Sequence
from hashlib import sha256

from shared.domain.keys import Keys, mac

PREFIX = "whsec_"
SHORTEST = 16
"""Bytes of a key. The standard asks for 24 to 64; a few systems give out shorter ones."""
ID_PREFIX = "msg_"
ID_LETTERS = 32


class BadSecret(Exception):
    """A secret that signs is none; the message says why, without it."""


def message_id(keys: Keys, event: bytes, receiver: str) -> str:
    """The id of a postback: the same whenever this event is found again, so that its receiver knows a repeat."""
    return ID_PREFIX + mac(keys.asks, b"postback\0" + receiver.encode() + b"\0" + event).hex()[:ID_LETTERS]


def raw_id(message_id: str) -> bytes:
    """The bytes of an id."""
    return bytes.fromhex(message_id.removeprefix(ID_PREFIX))


def written_id(raw: bytes) -> str:
    return f"{ID_PREFIX}{raw.hex()}"


def own_secret(keys: Keys, receiver: str) -> str:
    """What signs for a receiver that names no secret, as its owner needs it."""
    return PREFIX + base64.b64encode(mac(keys.asks, b"receiver\0" + receiver.encode())).decode()


def read_secret(text: str) -> bytes:
    """The key of a secret: base64, with or without `whsec_` before it and padding after it. Raises `BadSecret`."""
    plain = text.strip().removeprefix(PREFIX).rstrip("=")
    try:
        key = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise BadSecret("the secret that signs is no base64") from None
    if len(key) < SHORTEST:
        raise BadSecret(f"the secret that signs has fewer than {SHORTEST} bytes")
    return key


def sign(message_id: str, at: int, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """The three headers, with a signature for each secret. Raises `BadSecret`."""
    signed = f"{message_id}.{at}.".encode() + body
    signatures = [base64.b64encode(hmac.digest(read_secret(text), signed, sha256)).decode() for text in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
