"""Postbacks in the local run: their queue, which speaks as much of SQS's protocol as that needs, and a receiver that
shows what came and whether its signature is right."""

import asyncio
import hashlib
import hmac
import html
import json
import logging
import time
import uuid
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Callable
from typing import Any

from tools.local import asgi
from tools.local.lambda_runtime import FunctionFailed, FunctionTimedOut, Runtime

FUNCTION = "postback"
PATH = "/postbacks"
"""Of the receiver, and of the page that shows what came."""
BATCH, AT_ONCE = 10, 4
AGAIN_SECONDS = 60
"""After which a message comes again that the function did not take."""
BODY_BYTES = 1024 * 1024
SHOWN = 50
TOLERANCE_SECONDS = 300
JSON = [(b"content-type", b"application/x-amz-json-1.0")]
PAGE = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),
]


class LocalQueue:
    """The messages of this process, lost when it ends. `application` takes `SendMessageBatch`; `bring` calls the
    function with what is due."""

    def __init__(self) -> None:
        self._due: asyncio.PriorityQueue[tuple[float, str, str]] = asyncio.PriorityQueue()

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
        sent = [self._put(entry["Id"], entry["MessageBody"], entry.get("DelaySeconds", 0)) for entry in entries]
        await asgi.reply(send, 200, json.dumps({"Successful": sent, "Failed": []}).encode(), JSON)

    def _put(self, entry: str, text: str, seconds: int) -> dict[str, str]:
        message_id = str(uuid.uuid4())
        self._due.put_nowait((time.monotonic() + seconds, message_id, text))
        md5 = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        return {"Id": entry, "MessageId": message_id, "MD5OfMessageBody": md5}

    async def bring(self, runtime: Runtime) -> None:
        """Call the function with messages as they are due, until it is canceled."""
        free, running = asyncio.Semaphore(AT_ONCE), set[asyncio.Task[None]]()
        while True:
            batch = [await self._next()]
            while len(batch) < BATCH and (more := self._take()):
                batch.append(more)
            await free.acquire()
            task = asyncio.create_task(self._call(runtime, batch))
            running.add(task)
            task.add_done_callback(running.discard)
            task.add_done_callback(lambda _: free.release())

    async def _next(self) -> tuple[str, str]:
        while (found := self._take()) is None:
            await asyncio.sleep(0.05)
        return found

    def _take(self) -> tuple[str, str] | None:
        if self._due.empty():
            return None
        at, message_id, text = self._due.get_nowait()
        if at > time.monotonic():
            self._due.put_nowait((at, message_id, text))
            return None
        return message_id, text

    async def _call(self, runtime: Runtime, batch: list[tuple[str, str]]) -> None:
        failed = {message_id for message_id, _ in batch}
        try:
            event = {"Records": [{"messageId": message_id, "body": text} for message_id, text in batch]}
            answer = json.loads(await runtime.invoke(FUNCTION, event))
            failed = {each["itemIdentifier"] for each in answer["batchItemFailures"]}
        except (FunctionFailed, FunctionTimedOut) as fault:
            logging.warning("The function %s did not take a batch: %r", FUNCTION, fault)
        for message_id, text in batch:
            if message_id in failed:
                self._due.put_nowait((time.monotonic() + AGAIN_SECONDS, message_id, text))


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
        rows = "".join(
            f"<tr><td>{at}<td>{html.escape(said)}<td><pre>{html.escape(body)}</pre>" for at, said, body in self._came
        )
        came = f"<table><tr><th>Time<th>Signature<th>Body{rows}</table>" if rows else "<p>None has come yet.</p>"
        style = "<style>body{font:1rem system-ui;margin:2rem}td,th{text-align:left;padding:.2rem 1rem}</style>"
        return f"<!doctype html><html lang=en><title>Postbacks</title>{style}<h1>Postbacks</h1>{came}".encode()


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
