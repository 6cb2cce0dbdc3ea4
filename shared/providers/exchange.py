"""The HTTP of webhooks: a provider calls `/calls/{provider}/{step}`, and what it is to do next is the answer.

The signature comes first, over what was sent as it was sent. Until it is right nothing is read but the provider's own
account, which is kept in memory.
"""

import base64
import binascii
import re
import time
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from shared.domain.models import Provider
from shared.domain.refusals import InternalError, TemporarilyUnavailable
from shared.http import serving
from shared.http.serving import Facts, RawResponse
from shared.providers import webhooks
from shared.providers.events import Event, NotRead
from shared.providers.instructions import Hangup, Instruction
from shared.providers.webhooks import Secrets, Webhook

BODY_BYTES = 16 * 1024
PATH = re.compile(r"/calls/([A-Za-z0-9][A-Za-z0-9_.-]{0,63})/(voice|dial|leg|whisper|status|recording|again)/?")
ATTEMPT = re.compile(r"n=([1-9])(?:&.*)?")

Find = Callable[[str], tuple[Provider, Secrets] | None]
Answer = Callable[[str, Event], Instruction]


def serve(
    event: Mapping[str, Any], request_id: str, find: Find, answer: Answer, refused: Callable[[], None]
) -> RawResponse:
    """Answer a webhook. `find` gives the account of a name, `answer` what is to be done after an event; `refused` is
    told of a signature that is not right."""

    def respond(facts: Facts) -> RawResponse:
        match = PATH.fullmatch(event["rawPath"])
        found = find(match[1]) if match else None
        if match is None or found is None:
            return _say(facts, 404, "unknown", "There is no provider or no step of this name.")
        if event["requestContext"]["http"]["method"] != "POST":
            return _say(facts, 405, "method_not_allowed", "Webhooks are sent by POST.", Allow="POST")
        (provider, secrets), step = found, match[2]
        facts |= {"provider": provider.name, "step": step}
        body = _body(event)
        if body is None:
            return _say(facts, 413, "request_too_large", f"A webhook has at most {BODY_BYTES} bytes.")
        speaker, webhook = _speaker(provider), _webhook(event, body)
        if not speaker.is_authentic(webhook, secrets):
            refused()
            return _say(facts, 403, "forbidden", "The signature is wrong, or the webhook is of another account.")
        try:
            said = speaker.read_event(step, webhooks.read_form(webhook), _attempt(event))
        except NotRead as fault:
            facts |= {"status": "not_read", "fault": str(fault)}
            return _xml(speaker.write(Hangup()))
        return _xml(speaker.write(answer(provider.name, said)))

    def refuse(failed: TemporarilyUnavailable | InternalError) -> RawResponse:
        code = 503 if isinstance(failed, TemporarilyUnavailable) else 500
        return {"statusCode": code, "headers": {"Cache-Control": "no-store"}, "body": "", "isBase64Encoded": False}

    return serving.serve(event, request_id, "call", respond, refuse, (TemporarilyUnavailable,), compressed=False)


def _speaker(provider: Provider) -> ModuleType:
    """The module of a kind of provider. Most stacks have one, and each costs time to start."""
    if provider.kind == "twilio":
        from shared.providers import twilio

        return twilio
    if provider.kind == "telnyx":
        from shared.providers import telnyx

        return telnyx
    from shared.providers import local

    return local


def _webhook(event: Mapping[str, Any], body: bytes) -> Webhook:
    headers = event.get("headers", {})
    query = event.get("rawQueryString", "")
    scheme, host = headers.get("x-forwarded-proto", "https"), event["requestContext"]["domainName"]
    url = f"{scheme}://{host}{event['rawPath']}" + (f"?{query}" if query else "")
    return Webhook(url=url, headers=dict(headers), body=body, received_at=int(time.time()))


def _body(event: Mapping[str, Any]) -> bytes | None:
    """None for one that is too large."""
    text = event.get("body") or ""
    if len(text) > 2 * BODY_BYTES:
        return None
    try:
        body = base64.b64decode(text, validate=True) if event.get("isBase64Encoded") else text.encode()
    except (binascii.Error, UnicodeEncodeError):
        return b""
    return body if len(body) <= BODY_BYTES else None


def _attempt(event: Mapping[str, Any]) -> int:
    match = ATTEMPT.fullmatch(event.get("rawQueryString", ""))
    return int(match[1]) if match else 0


def _say(facts: Facts, code: int, status: str, sentence: str, **headers: str) -> RawResponse:
    facts["status"] = status
    headers |= {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}
    return {"statusCode": code, "headers": headers, "body": f"{sentence}\n", "isBase64Encoded": False}


def _xml(body: bytes) -> RawResponse:
    headers = {"Content-Type": "text/xml; charset=utf-8", "Cache-Control": "no-store"}
    return {"statusCode": 200, "headers": headers, "body": body.decode(), "isBase64Encoded": False}
