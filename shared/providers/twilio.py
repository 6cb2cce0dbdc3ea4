"""Twilio: https://www.twilio.com/docs/usage/security#validating-requests"""

import base64
import hmac
import re
from collections.abc import Collection, Iterable
from hashlib import sha256
from urllib.parse import parse_qs

from shared.providers import webhooks
from shared.providers.events import NotRead
from shared.providers.twiml import read_event, write
from shared.providers.webhooks import Secrets, Webhook

__all__ = ["is_authentic", "is_signed", "read_event", "write"]

DEFAULT_PORTS = {"http": "80", "https": "443"}
ALGORITHMS = {"HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"}


def is_authentic(webhook: Webhook, secrets: Secrets) -> bool:
    """Whether Twilio sent it, of this account. Nothing in it says when: an old one that is sent again is authentic."""
    return is_signed(webhook, secrets.keys) and webhooks.is_of_account(webhook, secrets.account)


def is_signed(webhook: Webhook, keys: Collection[str]) -> bool:
    """Whether the signature is by one of the keys, over the URL with its port or without it, and the whole body."""
    try:
        fields = _signed_fields(webhook)
        algorithm = _algorithm(webhook)
    except NotRead:
        return False
    shown = webhook.headers.get("x-twilio-signature", "").encode(errors="replace")
    matches = [
        hmac.compare_digest(shown, _signature(key, url, fields, algorithm))
        for key in keys
        if key
        for url in _urls(webhook.url)
    ]
    return True in matches


def _signed_fields(webhook: Webhook) -> list[tuple[str, str]]:
    """Those of a form. JSON has none, the URL has its hash. Raises `NotRead` if it is that of another body."""
    if not webhooks.is_json(webhook):
        return webhooks.read_fields(webhook)
    hashes = parse_qs(webhook.url.partition("?")[2].partition("#")[0]).get("bodySHA256", [])
    if hashes != [sha256(webhook.body).hexdigest()]:
        raise NotRead("The body is not the one that was signed.")
    return []


def _algorithm(webhook: Webhook) -> str:
    """The one that a header names, or SHA-1. Raises `NotRead` for an unknown one."""
    settings = webhook.headers.get("x-twilio-webhooks-signature-settings", "").split(",")
    named = {name.strip(): value.strip() for name, _, value in (setting.partition("=") for setting in settings)}
    name = (named.get("algorithm") or "HMAC_SHA1").upper()
    if name not in ALGORITHMS:
        raise NotRead("The algorithm of the signature is unknown.")
    return ALGORITHMS[name]


def _signature(key: str, url: str, fields: Iterable[tuple[str, str]], algorithm: str) -> bytes:
    """Each field once with each of its values."""
    text = url + "".join(name + value for name, value in sorted(set(fields)))
    return base64.b64encode(hmac.digest(key.encode(), text.encode(errors="replace"), algorithm))


def _urls(url: str) -> tuple[str, ...]:
    """The URL without a port and with one."""
    parts = re.fullmatch(r"(https?)://(\[[^\]/?#]*\]|[^:/?#]*)(?::([0-9]+))?([/?#].*)?", url, re.DOTALL)
    if parts is None:
        return (url,)
    scheme, host, port, rest = parts[1], parts[2], parts[3] or DEFAULT_PORTS[parts[1]], parts[4] or ""
    return f"{scheme}://{host}{rest}", f"{scheme}://{host}:{port}{rest}"
