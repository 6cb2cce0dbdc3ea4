"""The provider of the local run and of tests: it speaks as Twilio does and signs in a way of its own."""

import hmac

from shared.providers import webhooks
from shared.providers.twiml import read_event, write
from shared.providers.webhooks import Secrets, Webhook

__all__ = ["SIGNATURE", "TIMESTAMP", "is_authentic", "read_event", "sign", "write"]

TIMESTAMP = "ringpost-timestamp"
SIGNATURE = "ringpost-signature"
"""The headers of a webhook."""


def is_authentic(webhook: Webhook, secrets: Secrets) -> bool:
    """Whether the local provider sent it, of this account, and not long ago."""
    timestamp = webhook.headers.get(TIMESTAMP, "")
    if not webhooks.is_recent(webhook, timestamp):
        return False
    shown = webhook.headers.get(SIGNATURE, "").encode(errors="replace")
    matches = [hmac.compare_digest(shown, sign(key, timestamp, webhook.body).encode()) for key in secrets.keys if key]
    return True in matches and webhooks.is_of_account(webhook, secrets.account)


def sign(key: str, timestamp: str, body: bytes) -> str:
    """HMAC-SHA256 of `timestamp.body` in hexadecimal. `timestamp` is in seconds since the epoch."""
    return hmac.digest(key.encode(), timestamp.encode() + b"." + body, "sha256").hex()
