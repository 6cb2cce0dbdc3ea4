"""Postbacks in the local run: their queue, which speaks as much of SQS's protocol as that needs, and a receiver that
shows what came and whether its signature is right."""

import asyncio
import hashlib
import heapq
import hmac
import html
import json
import logging
import time
import uuid
from base64 import b64decode, b64encode
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, NamedTuple

from tools.local import asgi
from tools.local.lambda_runtime import FunctionFailed, FunctionTimedOut, Runtime

FUNCTION, QUEUE = "postback", "/queue"
PATH = "/postbacks"
"""Of the receiver, and of the page that shows what came."""
BATCH, SENDERS = 10, 2
AGAIN_SECONDS = 60
"""After which a message comes again that the function did not take."""
BODY_BYTES = 1024 * 1024
SHOWN = 50
TOLERANCE_SECONDS = 300
STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
body { max-width: 45rem; margin: 2rem auto; padding: 0 1rem }
h2 { font-size: 1rem; margin: 1.5rem 0 .25rem }
pre { margin: 0; font-size: .85rem; white-space: pre-wrap; overflow-wrap: anywhere }
"""
JSON = [(b"content-type", b"application/x-amz-json-1.0")]
PAGE = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),
]


class Held(NamedTuple):
    """A message, from `at` on the monotonic clock."""

    at: float
    message_id: str
    text: str
    group: str


class LocalQueue:
    """The messages of this process, lost when it ends. `application` takes `SendMessageBatch`; `bring` calls the
    function with what is due: fairly, first of the groups of which the fewest messages are under way."""

    def __init__(self, senders: int) -> None:
        self._senders = senders
        self._groups: dict[str, list[Held]] = {}
        self._under_way = Counter[str]()

    async def application(self, scope: asgi.Message, receive: asgi.Receive, send: asgi.Send) -> None:
        target = dict(scope["headers"]).get(b"x-amz-target", b"").decode()
        try:
            body = await asgi.body(receive, BODY_BYTES)
        except (asgi.BodyTooLarge, asgi.ClientGone):
            return
        if target != "AmazonSQS.SendMessageBatch":
            fault = {"__type": "com.amazonaws.sqs#UnsupportedOperation", "message": "There is SendMessageBatch alone."}
            await asgi.reply(send, 400, json.dumps(fault).encode(), JSON)
            return
        entries = json.loads(body)["Entries"]
        sent = [self._put(entry) for entry in entries]
        await asgi.reply(send, 200, json.dumps({"Successful": sent, "Failed": []}).encode(), JSON)

    def _put(self, entry: dict[str, Any]) -> dict[str, str]:
        text, group = entry["MessageBody"], entry.get("MessageGroupId", "")
        held = Held(time.monotonic() + entry.get("DelaySeconds", 0), str(uuid.uuid4()), text, group)
        heapq.heappush(self._groups.setdefault(group, []), held)
        md5 = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        return {"Id": entry["Id"], "MessageId": held.message_id, "MD5OfMessageBody": md5}

    async def bring(self, runtime: Runtime) -> None:
        """Call the function with messages as they are due, until it is canceled."""
        free, running = asyncio.Semaphore(self._senders), set[asyncio.Task[None]]()
        while True:
            await free.acquire()
            batch = [await self._next()]
            while len(batch) < BATCH and (more := self._take()):
                batch.append(more)
            task = asyncio.create_task(self._call(runtime, batch))
            running.add(task)
            task.add_done_callback(running.discard)
            task.add_done_callback(lambda _: free.release())

    async def _next(self) -> Held:
        while (found := self._take()) is None:
            await asyncio.sleep(0.05)
        return found

    def _take(self) -> Held | None:
        now = time.monotonic()
        due = [group for group, held in self._groups.items() if held[0].at <= now]
        if not due:
            return None
        group = min(due, key=lambda each: (self._under_way[each], self._groups[each][0]))
        found = heapq.heappop(self._groups[group])
        if not self._groups[group]:
            del self._groups[group]
        self._under_way[group] += 1
        return found

    async def _call(self, runtime: Runtime, batch: list[Held]) -> None:
        failed = {held.message_id for held in batch}
        try:
            event = {"Records": [{"messageId": held.message_id, "body": held.text} for held in batch]}
            answer = json.loads(await runtime.invoke(FUNCTION, event))
            failed = {each["itemIdentifier"] for each in answer["batchItemFailures"]}
        except (FunctionFailed, FunctionTimedOut) as fault:
            logging.warning("The function %s did not take a batch: %r", FUNCTION, fault)
        for held in batch:
            self._under_way[held.group] -= 1
            if held.message_id in failed:
                again = held._replace(at=time.monotonic() + AGAIN_SECONDS)
                heapq.heappush(self._groups.setdefault(held.group, []), again)


class LocalReceiver:
    """Takes postbacks, says of each whether its signature is right, and shows the newest on a page. `secret` is what
    signs them, as its owner has it."""

    def __init__(self, secret: str, tell: Callable[[str], object]) -> None:
        self._secret = secret
        self._tell = tell
        self._came: deque[tuple[str, str, str]] = deque(maxlen=SHOWN)

    async def application(self, scope: asgi.Message, receive: asgi.Receive, send: asgi.Send) -> None:
        if scope["method"] == "GET":
            await asgi.reply(send, 200, self._page(), PAGE)
            return
        try:
            body = await asgi.body(receive, BODY_BYTES)
        except asgi.BodyTooLarge:
            await asgi.reply(send, 413, b"", [])
            return
        except asgi.ClientGone:
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        wrong = verify(self._secret, headers, body, time.time())
        said = wrong or "signature verified"
        self._came.appendleft((time.strftime("%H:%M:%S"), said, body.decode(errors="replace")))
        self._tell(f"Postback {_type(body)} ({headers.get('webhook-id', 'without id')}): {said}")
        await asgi.reply(send, 401 if wrong else 200, b"", [])

    def _page(self) -> bytes:
        came = "".join(
            f"<h2>{at} · {html.escape(said)}</h2><pre>{html.escape(_indented(body))}</pre>"
            for at, said, body in self._came
        )
        return (
            '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f"<title>Postbacks · Ringpost</title><style>{STYLE}</style><h1>Postbacks</h1>"
            f"<p>The newest {SHOWN} that came, the newest first.</p>{came or '<p>None has come yet.</p>'}"
        ).encode()


def _indented(body: str) -> str:
    """JSON in lines of its own; else as it is."""
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body


def verify(secret: str, headers: dict[str, str], body: bytes, now: float) -> str:
    """What is wrong with a signature of Standard Webhooks; empty if nothing is. A receiver needs no more than this."""
    try:
        message_id, at, signatures = (headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
        if abs(int(at) - now) > TOLERANCE_SECONDS:
            return "the time is not now"
    except (KeyError, ValueError):
        return "a header is missing"
    key = b64decode(secret.removeprefix("whsec_"))
    wanted = b64encode(hmac.digest(key, f"{message_id}.{at}.".encode() + body, "sha256")).decode()
    is_right = any(hmac.compare_digest(each, f"v1,{wanted}") for each in signatures.split(" "))
    return "" if is_right else "no signature is right"


def _type(body: bytes) -> Any:
    try:
        return json.loads(body)["type"]
    except (ValueError, KeyError, TypeError):
        return "of some kind"
