"""The sandbox buyer: a live buyer that does what the lead's ZIP says, to try everything that buyers do. It speaks our
own wire, at `/ping` and `/post`; `/` is its page."""

import asyncio
import html
import json
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from string import Template
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

BID = 30.0
SLOW_SECONDS = 0.3
HANG_SECONDS = 30.0
NUMBER = "18005550195"
HUGE = 1_000_000
DRIP_SECONDS = 0.05

PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>The sandbox buyer</title>
<style>
  :root { color-scheme: light dark }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem }
  table { border-collapse: collapse; width: 100% }
  th, td { text-align: left; padding: .4rem .8rem .4rem 0; border-bottom: 1px solid #8886; vertical-align: top }
  code { font-size: .95em }
</style></head><body>
<h1>The sandbox buyer</h1>
<p>A live buyer of <code>live_endpoint</code>. Send it a lead, and it does what the lead's ZIP says; with any other ZIP
it does not bid. After five faults in a row it is not asked for ten seconds and longer, whatever the ZIP: an operator's
token and <code>explain=1</code> show that.</p>
<table><thead><tr><th scope="col">ZIP</th><th scope="col">What it does</th></tr></thead><tbody>
$rows
</tbody></table>
</body></html>
""")


@dataclass(frozen=True)
class Act:
    """What it `says` on its page, and what it does on a ping and on the post of its bid."""

    says: str
    ping: str = "bids"
    post: str = "accepts"


ACTS = {
    "30340": Act("bids 30.00 and accepts"),
    "30341": Act("bids and declines the post", post="declines"),
    "30342": Act("does not bid", ping="declines"),
    "30343": Act("bids after 300 ms and accepts", ping="slow"),
    "30344": Act("never answers a ping", ping="hangs"),
    "30345": Act("resets the connection", ping="resets"),
    "30346": Act("answers HTTP 500", ping="fails"),
    "30347": Act("answers what is no JSON", ping="babbles"),
    "30348": Act("answers a megabyte", ping="floods"),
    "30349": Act("answers a letter at a time", ping="drips"),
    "30350": Act("bids less than nothing", ping="-5"),
    "30351": Act("bids 1e308", ping="1e308"),
    "30352": Act("redirects", ping="redirects"),
    "30353": Act("bids and never answers the post", post="hangs"),
    "30354": Act("bids and resets the connection on the post, which it has accepted", post="resets"),
    "30355": Act("bids and fails the post with HTTP 500", post="fails"),
}
NOBODY = Act("does not bid", ping="declines")


@dataclass
class Sandbox:
    """What it was told: how often of each sale, and which it has accepted, by idempotency key."""

    slow_seconds: float = SLOW_SECONDS
    told: Counter[str] = field(default_factory=Counter)
    accepted: dict[str, bytes] = field(default_factory=dict)

    def act(self, path: str, lead: dict[str, Any], key: str) -> tuple[str, bytes]:
        """What it does, and the body of its answer. The same sale again has the same answer."""
        zip_code = str(lead.get("zip", ""))
        act = ACTS.get(zip_code, NOBODY)
        if path == "/ping":
            amount: Any = float(act.ping) if act.ping in ("-5", "1e308") else BID
            return act.ping, _bid(amount, zip_code) if act.ping != "declines" else _no("no_matching_buyer")
        self.told[key] += 1
        if act.post in ("declines", "fails"):
            return act.post, _no("buyer_unavailable")
        return act.post, self.accepted.setdefault(key, _yes())


def _bid(amount: float, zip_code: str) -> bytes:
    buyers = [
        {"buyer_id": 1, "id": 1, "name": "Sandbox", "bid": amount, "bid_price": amount, "ping_id": f"pb_{zip_code}"}
    ]
    return _json(success=True, status="success", errors=[], try_all_buyers_ping_id=f"pg_{zip_code}", buyers=buyers)


def _yes() -> bytes:
    return _json(success=True, status="success", errors=[], trackdrive_number=NUMBER, buyer_id=1)


def _no(status: str) -> bytes:
    return _json(success=False, status=status, errors=["The sandbox does not want it."], buyers=[])


def _json(**body: Any) -> bytes:
    return json.dumps(body).encode()


def page() -> bytes:
    rows = "\n".join(
        f"<tr><td><code>{zip_code}</code></td><td>{html.escape(act.says)}</td></tr>" for zip_code, act in ACTS.items()
    )
    return PAGE.substitute(rows=rows).encode()


async def serve(sandbox: Sandbox, listener: socket.socket) -> asyncio.Server:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await _answered(sandbox, reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the caller has gone, or speaks no HTTP
        finally:
            writer.close()

    return await asyncio.start_server(talk, sock=listener)


async def _answered(sandbox: Sandbox, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Whether a request was answered, and the connection may go on. Bodies have a length here, no chunks."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    target = urlsplit(first.split(" ")[1])
    if target.path not in ("/ping", "/post"):
        return await _send(
            writer, "200 OK" if target.path == "/" else "404 Not Found", page(), "text/html; charset=utf-8"
        )
    lead = dict(parse_qsl(target.query)) | (json.loads(body) if body[:1] == b"{" else dict(parse_qsl(body.decode())))
    doing, answer = sandbox.act(target.path, lead, headers.get("idempotency-key", ""))
    match doing:
        case "hangs":
            with suppress(TimeoutError):
                await asyncio.wait_for(reader.read(), HANG_SECONDS)
            return False
        case "resets":
            writer.transport.abort()
            return False
        case "drips":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            for _ in range(int(HANG_SECONDS / DRIP_SECONDS)):
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(DRIP_SECONDS)
            return False
        case "redirects":
            return await _send(writer, "302 Found\r\nLocation: /ping", b"")
        case "babbles":
            return await _send(writer, "200 OK", b'{"success": tru')
        case "floods":
            return await _send(writer, "200 OK", b" " * HUGE)
        case "fails":
            return await _send(writer, "500 Internal Server Error", answer)
        case "slow":
            await asyncio.sleep(sandbox.slow_seconds)
    return await _send(writer, "200 OK", answer)


async def _send(writer: asyncio.StreamWriter, status: str, body: bytes, kind: str = "application/json") -> bool:
    writer.write(f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()
    return True


@contextmanager
def running() -> Iterator[tuple[str, Sandbox]]:
    """In a thread: its URL, and what it was told."""
    sandbox, ready, loop = Sandbox(), Event(), asyncio.new_event_loop()
    listener = socket.create_server(("127.0.0.1", 0))

    async def start() -> asyncio.Server:
        server = await serve(sandbox, listener)
        ready.set()
        return server

    async def stop() -> None:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def run() -> None:
        started = loop.create_task(start())
        loop.run_forever()
        started.result().close()
        loop.run_until_complete(stop())

    thread = Thread(target=run, daemon=True)
    thread.start()
    ready.wait()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", sandbox
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
