"""Calls to live buyers: several at once over kept connections, and back in time whatever the buyers do."""

import asyncio
import logging
import re
import time
from collections.abc import Coroutine, Mapping
from concurrent.futures import TimeoutError as Late
from threading import Thread
from typing import Any, TypeVar

import aiohttp
from msgspec.structs import replace
from yarl import URL

from shared.bidders import addresses
from shared.bidders.addresses import Forbidden, Resolver
from shared.bidders.breaker import Breaker
from shared.domain.live_bids import Call, Reply, Silence

ANSWER_BYTES = 64 * 1024
URL_LETTERS = re.compile(r"[!-~]+")
IDLE_SECONDS = 15
"""How long an unused connection is kept."""
DNS_SECONDS = 60
SPARE_SECONDS = 1
"""What the loop may take beyond the longest wait, before it is given up."""

T = TypeVar("T")

logging.getLogger("aiohttp").setLevel(logging.CRITICAL)  # its lines could show what a lead is sent as


class Asking:
    """An event loop of its own, in a thread of its own. With `anywhere` buyers may be at private addresses and without
    TLS: on the machine of a developer, never deployed."""

    def __init__(self, anywhere: bool = False) -> None:
        self._anywhere = anywhere
        self._breaker = Breaker()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="live buyers", daemon=True)
        self._thread.start()
        self._kept, self._fresh = self._run(self._sessions(), SPARE_SECONDS)

    def __call__(self, calls: Mapping[int, Call], seconds: Mapping[int, float]) -> dict[int, Reply | Silence]:
        """By buyer id what came back within its seconds. Raises nothing for anything that a buyer does."""
        now = time.monotonic()
        skipped = {buyer: why for buyer in calls if (why := self._breaker.skips(buyer, now))}
        asked = {buyer: call for buyer, call in calls.items() if buyer not in skipped}
        try:
            replies = self._run(self._all(asked, seconds), max(seconds.values(), default=0) + SPARE_SECONDS)
        except Late:
            waited = _milliseconds_since(now)
            replies = {buyer: Silence("no answer in time", sent=True, milliseconds=waited) for buyer in asked}
        for buyer, reply in replies.items():
            if isinstance(reply, Silence):
                self._breaker.failed(buyer, calls[buyer].final, reply.reason, time.monotonic())
        return replies | {buyer: Silence(why, sent=False) for buyer, why in skipped.items()}

    def judged(self, buyer_id: int, call: Call, fault: str) -> None:
        if fault:
            self._breaker.failed(buyer_id, call.final, fault, time.monotonic())
        else:
            self._breaker.worked(buyer_id, call.final)

    def close(self) -> None:
        self._run(self._closed(), SPARE_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _closed(self) -> None:
        for session in (self._kept, self._fresh):
            await session.close()

    async def _sessions(self) -> tuple[aiohttp.ClientSession, aiohttp.ClientSession]:
        """One that keeps its connections, and one for what must not be sent twice: a kept connection may have been
        closed by the buyer, and then nobody knows what it has read."""
        resolver = None if self._anywhere else Resolver()

        def session(kept: bool) -> aiohttp.ClientSession:
            connector = aiohttp.TCPConnector(
                resolver=resolver,
                socket_factory=None if self._anywhere else addresses.checked_socket,
                ttl_dns_cache=DNS_SECONDS,
                limit=0,
                **({"keepalive_timeout": IDLE_SECONDS} if kept else {"force_close": True}),
            )
            return aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
                headers={"Accept-Encoding": "identity", "User-Agent": "Ringpost"},
                trust_env=False,
            )

        return session(True), session(False)

    async def _all(self, calls: Mapping[int, Call], seconds: Mapping[int, float]) -> dict[int, Reply | Silence]:
        """Whatever a call meets, even what nobody thought of, is its own."""
        began, took = time.monotonic(), dict[int, int]()

        async def timed(buyer: int) -> Reply | Silence:
            try:
                return await self._one(calls[buyer], seconds[buyer])
            finally:
                took[buyer] = _milliseconds_since(began)

        replies = await asyncio.gather(*map(timed, calls), return_exceptions=True)
        return {
            buyer: replace(
                Silence(f"asking it failed ({type(reply).__name__})", sent=True)
                if isinstance(reply, BaseException)
                else reply,
                milliseconds=took[buyer],
            )
            for buyer, reply in zip(calls, replies, strict=True)
        }

    async def _one(self, call: Call, seconds: float) -> Reply | Silence:
        try:
            async with asyncio.timeout(seconds):
                try:
                    return await self._sent(call, self._fresh if call.final else self._kept)
                except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as fault:  # so ends a stale connection
                    if call.final or isinstance(fault, aiohttp.ClientConnectorError):
                        raise
                    return await self._sent(call, self._fresh)
        except TimeoutError:
            return Silence(f"no answer within {1000 * seconds:.0f} ms", sent=True)
        except aiohttp.ClientConnectorError as fault:
            return Silence(_why(fault), sent=False)
        except Forbidden as fault:
            return Silence(str(fault), sent=False)
        except aiohttp.InvalidURL:
            return Silence("its URL is none", sent=False)
        except (aiohttp.ClientError, OSError, EOFError, ValueError) as fault:
            return Silence(f"the connection broke ({type(fault).__name__})", sent=True)

    async def _sent(self, call: Call, session: aiohttp.ClientSession) -> Reply | Silence:
        try:
            url = URL(call.url, encoded=True)
        except ValueError:
            raise aiohttp.InvalidURL("") from None
        if not URL_LETTERS.fullmatch(call.url):  # a secret or a reference could write on into the request
            raise aiohttp.InvalidURL("")
        if not self._anywhere:
            addresses.check(url)
        async with session.request(
            call.method, url, headers=call.headers, data=call.body or None, allow_redirects=False
        ) as response:
            if response.headers.get("Content-Encoding", "identity") != "identity":
                return Silence("the answer is compressed, which nobody asked for", sent=True)
            body = bytearray()
            async for part in response.content.iter_any():
                body += part
                if len(body) > ANSWER_BYTES:
                    response.close()
                    return Silence(f"the answer is larger than {ANSWER_BYTES // 1024} KB", sent=True)
            return Reply(response.status, bytes(body))

    def _run(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        running = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return running.result(seconds)
        except Late:
            running.cancel()
            raise


def _milliseconds_since(began: float) -> int:
    return round(1000 * (time.monotonic() - began))


def _why(fault: aiohttp.ClientConnectorError) -> str:
    """Without its own message, which shows the URL's host and may show more."""
    if isinstance(fault.os_error, Forbidden):
        return str(fault.os_error)
    if isinstance(fault, aiohttp.ClientConnectorDNSError):
        return "its name is not found"
    if isinstance(fault, aiohttp.ClientSSLError):
        return "its certificate is not good, or it speaks no TLS"
    return "it cannot be reached"
