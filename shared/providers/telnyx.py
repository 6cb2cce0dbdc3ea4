"""Telnyx by TeXML, its name for TwiML: https://developers.telnyx.com/docs/voice/programmable-voice/texml-fundamentals"""

import base64
from collections.abc import Collection

from msgspec.structs import replace

from shared.providers import twiml, webhooks
from shared.providers.instructions import Dial, Instruction
from shared.providers.twiml import read_event
from shared.providers.webhooks import Secrets, Webhook

__all__ = ["is_authentic", "read_event", "write"]

TIMEOUT_SECONDS = 5, 120
LIMIT_SECONDS = 60, 14400
"""The least and the most that `<Dial>` takes."""


def is_authentic(webhook: Webhook, secrets: Secrets) -> bool:
    """Whether Telnyx sent it, of this account, and not long ago. The keys are its public ones, in base64.

    The signature is over time and body, not over the URL.
    """
    timestamp = webhook.headers.get("telnyx-timestamp", "")
    return (
        webhooks.is_recent(webhook, timestamp)
        and _is_signed(webhook, timestamp, secrets.keys)
        and webhooks.is_of_account(webhook, secrets.account)
    )


def write(instruction: Instruction) -> bytes:
    """The instruction as TeXML."""
    if isinstance(instruction, Dial):
        instruction = replace(
            instruction,
            timeout_seconds=_within(TIMEOUT_SECONDS, instruction.timeout_seconds),
            limit_seconds=_within(LIMIT_SECONDS, instruction.limit_seconds),
        )
    return twiml.write(instruction)


def _is_signed(webhook: Webhook, timestamp: str, keys: Collection[str]) -> bool:
    from cryptography.exceptions import InvalidSignature  # slow to import, and only this check needs it
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    def is_by(key: str) -> bool:
        try:
            public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key, validate=True))
            public.verify(signature, timestamp.encode() + b"|" + webhook.body)
        except (InvalidSignature, ValueError):
            return False
        return True

    try:
        signature = base64.b64decode(webhook.headers.get("telnyx-signature-ed25519", ""), validate=True)
    except ValueError:
        return False
    return any(map(is_by, keys))


def _within(limits: tuple[int, int], seconds: int) -> int:
    least, most = limits
    return min(max(seconds, least), most)
