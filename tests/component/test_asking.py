"""Live buyers over real sockets: whatever they do, asking them ends in time and says what happened."""

import gc
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from ipaddress import ip_address
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest

from shared.bidders.addresses import Forbidden, Resolver, check_address, checked_socket
from shared.bidders.asking import ANSWER_BYTES, Asking
from shared.bidders.breaker import FAILURES
from shared.domain.live_bids import Call, Reply, Silence
from tools import sandbox
from tools.sandbox import Sandbox


@pytest.fixture(scope="module")
def buyer() -> Iterator[tuple[str, Sandbox]]:
    with sandbox.running() as running:
        yield running


@pytest.fixture
def url(buyer: tuple[str, Sandbox]) -> str:
    return buyer[0]


@pytest.fixture
def ask() -> Iterator[Asking]:
    made = Asking(anywhere=True)
    yield made
    made.close()


def a_call(url: str, zip_code: str, step: str = "ping", key: str = "1") -> Call:
    body = json.dumps({"zip": zip_code}).encode()
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    return Call("POST", f"{url}/{step}", headers, body, final=step == "post")


def replies_of(ask: Asking, calls: dict[int, Call], seconds: dict[int, float]) -> dict[int, Reply | Silence]:
    """What came back, without how long it took."""
    return {
        buyer: Reply(reply.status, reply.body) if isinstance(reply, Reply) else Silence(reply.reason, reply.sent)
        for buyer, reply in ask(calls, seconds).items()
    }


def one(ask: Asking, call: Call, seconds: float = 5) -> Reply | Silence:
    return replies_of(ask, {1: call}, {1: seconds})[1]


def dollars(reply: Reply | Silence) -> float:
    assert isinstance(reply, Reply), reply
    found: float = json.loads(reply.body)["buyers"][0]["bid"]
    return found


def test_many_are_asked_at_once_and_the_slow_do_not_hold_the_others(ask: Asking, url: str) -> None:
    zips = ["30340", "30343", "30344", "30345", "30346", "30348", "30349", "30352"]
    began = time.monotonic()
    calls = {n: a_call(url, zip_code) for n, zip_code in enumerate(zips)}
    replies = replies_of(ask, calls, dict.fromkeys(range(8), 5.0) | {2: 1.0, 6: 1.0})
    assert time.monotonic() - began < sandbox.HANG_SECONDS / 2
    assert [dollars(replies[n]) for n in (0, 1)] == [30.0, 30.0]
    assert replies[2] == replies[6] == Silence("no answer within 1000 ms", sent=True)
    assert replies[3] == Silence("the connection broke (ClientOSError)", sent=True) or replies[3] == Silence(
        "the connection broke (ServerDisconnectedError)", sent=True
    )
    assert [replies[4].status, replies[7].status] == [500, 302]  # type: ignore[union-attr]
    assert replies[5] == Silence("the answer is larger than 64 KB", sent=True)


def test_each_has_its_own_time(ask: Asking, url: str) -> None:
    replies = ask({1: a_call(url, "30343"), 2: a_call(url, "30343")}, {1: 0.05, 2: 5})
    assert replies[1] == Silence("no answer within 50 ms", sent=True, milliseconds=replies[1].milliseconds)
    assert dollars(replies[2]) == 30.0
    assert all((reply.milliseconds or 0) >= 40 for reply in replies.values())


def test_connections_are_kept_and_a_closed_one_is_no_failure(ask: Asking) -> None:
    with closing_server(answers_per_connection=1) as (url, connections):
        for _ in range(3):
            assert one(ask, Call("POST", url)) == Reply(200, b"ok")
    assert len(connections) == 3


def test_what_met_a_closed_connection_is_sent_again_over_a_new_one(ask: Asking) -> None:
    """Several kept connections may have been closed by then, as after a function was frozen."""
    with closing_server(answers_per_connection=1, reads_one_more=True) as (url, connections):
        replies = replies_of(ask, {n: Call("POST", url) for n in (1, 2)}, {1: 5, 2: 5})
        assert replies == dict.fromkeys((1, 2), Reply(200, b"ok"))
        assert one(ask, Call("POST", url)) == Reply(200, b"ok")
        assert len(connections) == 3


def test_what_nobody_thought_of_is_one_buyers_silence(ask: Asking, url: str) -> None:
    headers: Any = {"X-Number": 5}
    replies = replies_of(ask, {1: Call("POST", f"{url}/ping", headers), 2: a_call(url, "30340")}, {1: 5, 2: 5})
    assert replies[1] == Silence("asking it failed (TypeError)", sent=True)
    assert dollars(replies[2]) == 30.0


def test_a_sale_is_never_sent_twice(ask: Asking) -> None:
    with closing_server(answers_per_connection=0) as (url, connections):
        assert one(ask, Call("POST", url, final=True)) == Silence(
            "the connection broke (ServerDisconnectedError)", sent=True
        )
        assert len(connections) == 1
        one(ask, Call("POST", url))
        assert len(connections) == 3


def test_a_sale_goes_over_a_connection_of_its_own(ask: Asking) -> None:
    with closing_server(answers_per_connection=9) as (url, connections):
        for final in (False, False, True, True):
            assert one(ask, Call("POST", url, final=final)) == Reply(200, b"ok")
    assert len(connections) == 3


class closing_server:  # noqa: N801 - it reads as a function
    """A server that closes a connection after so many answers, without saying so in them."""

    def __init__(self, answers_per_connection: int, reads_one_more: bool = False) -> None:
        self.answers = answers_per_connection
        self.reads_one_more = reads_one_more or not answers_per_connection
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.connections: list[int] = []

    def __enter__(self) -> tuple[str, list[int]]:
        Thread(target=self._serve, daemon=True).start()
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}/", self.connections

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(1)
            Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection:
            for _ in range(self.answers):
                if not connection.recv(65536):
                    return
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            if self.reads_one_more:
                connection.recv(65536)

    def __exit__(self, *_: object) -> None:
        self.listener.close()


class raw(closing_server):  # noqa: N801
    """A server that sends these bytes to each client that connects."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(1)
        self.answer = answer

    def _talk(self, connection: socket.socket) -> None:
        with connection, suppress(ConnectionError):
            connection.recv(65536)
            connection.sendall(self.answer)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00\xff\x00",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\ncut",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000,
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000_000,
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/9.9 999 ?\r\n\r\n",
    ],
    ids=["nothing", "bytes", "length", "chunks", "cut", "many headers", "long header", "gzip", "upgrade", "version"],
)
def test_what_is_no_http_or_not_ours_is_silence(ask: Asking, answer: bytes) -> None:
    with raw(answer) as (url, _):
        reply = one(ask, Call("POST", url))
    assert isinstance(reply, Silence) or (reply.status, reply.body) in ((101, b""), (999, b""))


def test_an_answer_of_the_largest_size_is_read(ask: Asking) -> None:
    for size, whole in ((ANSWER_BYTES, True), (ANSWER_BYTES + 1, False)):
        with raw(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b" " * size) as (url, _):
            assert isinstance(one(ask, Call("POST", url)), Reply) == whole


def test_who_is_not_there_was_told_nothing(ask: Asking) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert one(ask, Call("POST", f"http://127.0.0.1:{port}/")) == Silence("it cannot be reached", sent=False)
    assert one(ask, Call("POST", "http://buyer.invalid/")) == Silence("its name is not found", sent=False)
    for spelled in ("http://[/", f"http://127.0.0.1:{port}/a b", f"http://127.0.0.1:{port}/ HTTP/1.1\r\nX: y"):
        assert one(ask, Call("POST", spelled)) == Silence("its URL is none", sent=False)


def test_who_keeps_failing_is_skipped_tried_and_taken_back(
    ask: Asking, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(FAILURES):
        assert isinstance(one(ask, a_call(url, "30347")), Reply)
        ask.judged(1, a_call(url, "30347"), "the answer is no JSON object")
    skipped = one(ask, a_call(url, "30340"))
    assert isinstance(skipped, Silence)
    assert (skipped.reason[:12], skipped.sent) == ("skipped for ", False)
    assert ask({1: a_call(url, "30340")}, {1: 5})[1].milliseconds is None
    real = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + 60)
    assert dollars(one(ask, a_call(url, "30340"))) == 30.0
    ask.judged(1, a_call(url, "30340"), "")
    monkeypatch.undo()
    assert dollars(one(ask, a_call(url, "30340"))) == 30.0


def test_who_does_not_answer_is_skipped_too(ask: Asking, url: str) -> None:
    for _ in range(FAILURES):
        one(ask, a_call(url, "30345"))
    skipped = one(ask, a_call(url, "30340"))
    assert isinstance(skipped, Silence)
    assert re.match(r"skipped for \d+ s more after 5 failures in a row, the last: the connection broke", skipped.reason)


def test_who_bids_and_fails_whenever_it_is_to_buy_is_skipped_too(ask: Asking, url: str) -> None:
    for _ in range(FAILURES):
        ping = a_call(url, "30354")
        assert dollars(one(ask, ping)) == 30.0
        ask.judged(1, ping, "")
        assert isinstance(one(ask, a_call(url, "30354", "post", key="another")), Silence)
    skipped = one(ask, a_call(url, "30340"))
    assert isinstance(skipped, Silence)
    assert re.match(r"skipped for \d+ s more after 5 failures of posts in a row", skipped.reason)


def test_a_sale_that_is_told_twice_is_sold_once(ask: Asking, buyer: tuple[str, Sandbox]) -> None:
    url, told = buyer
    first, second = (one(ask, a_call(url, "30340", "post")) for _ in range(2))
    assert isinstance(first, Reply)
    assert isinstance(second, Reply)
    assert first.body == second.body == told.accepted["1"]
    assert told.told["1"] == 2


def test_thousands_of_rounds_leave_nothing_behind(ask: Asking, url: str) -> None:
    def play(rounds: int) -> None:
        for _ in range(rounds):
            calls = {n: a_call(url, zip_code) for n, zip_code in enumerate(["30340", "30342", "30344"])}
            ask(calls, {0: 5, 1: 5, 2: 0.005})
            ask._breaker.worked(2, final=False)

    def kept() -> tuple[int, int]:
        gc.collect()
        return len(os.listdir("/proc/self/fd")), len(gc.get_objects())

    play(50)
    before = kept()
    play(300)
    after = kept()
    assert after[0] <= before[0] + 3
    assert after[1] <= before[1] + 2000


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1",
        "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b::a00:1",
        "2001:db8::1", "fec0::1", "0.1.2.3", "100.127.255.254", "192.0.0.1", "192.0.0.9", "192.0.0.10", "192.0.0.170",
        "192.0.0.192", "192.88.99.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "239.255.255.255",
        "169.254.170.2",
        "::127.0.0.1", "::7f00:1", "::ffff:0:127.0.0.1", "::ffff:100.64.0.1", "::ffff:0.0.0.0", "64:ff9b::6440:1",
        "64:ff9b:1::1", "64:ff9b:1::101:101", "100::1", "100:0:0:1::1", "2001::1", "2001:0:101:101::fefe:fefe",
        "2001:1::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:1ff::1", "2002:101:101::1", "2002:6440:1::1",
        "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fd20:ce::254", "feff::1", "ff0e::1", "4000::1",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_forbidden(address: str) -> None:
    with pytest.raises(Forbidden):
        check_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1", "203.0.114.1", "2606:4700::1", "::ffff:1.1.1.1", "64:ff9b::101:101", "100.63.255.255", "100.128.0.1",
        "172.32.0.1", "192.0.1.1", "198.17.0.1", "198.20.0.1", "223.255.255.255", "2001:200::1", "2600:1f18::1",
        "2a05:d018::1", "2620:4f:8000::1",
    ],
)  # fmt: skip
def test_a_public_address_is_allowed(address: str) -> None:
    check_address(address)


@pytest.mark.parametrize("address", [("127.0.0.1", 80), ("169.254.169.254", 80), ("fe80::1%lo", 80, 0, 1)])
def test_no_connection_is_begun_to_an_address_that_was_not_checked(address: tuple[Any, ...]) -> None:
    family = socket.AF_INET6 if len(address) == 4 else socket.AF_INET
    with pytest.raises(Forbidden):
        checked_socket((family, socket.SOCK_STREAM, 6, "", address))


def test_a_name_that_changes_between_the_check_and_the_connection_leads_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As if a cache, or a later release of the library, gave another address than the resolver has checked."""

    async def resolved(*_: Any, **__: Any) -> list[Any]:
        return [{"hostname": "x", "host": "127.0.0.1", "port": 443, "family": socket.AF_INET, "proto": 6, "flags": 0}]

    monkeypatch.setattr(Resolver, "resolve", resolved)
    with closing(Asking()) as ask:
        said = one(ask, Call("POST", "https://buyer.example/"))
        assert said == Silence("its address is not a public one", sent=False)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://buyer.example/", "its URL must be https"),
        ("ftp://buyer.example/", "its URL must be https"),
        ("https://me:secret@1.1.1.1/", "its URL must have no user and password"),
        ("https://127.0.0.1/", "its address is not a public one"),
        ("https://[::1]/", "its address is not a public one"),
        ("https://[::ffff:10.0.0.1]/", "its address is not a public one"),
        ("https://inside.example/", "its address is not a public one"),
        ("https://both.example/", "its address is not a public one"),
        ("https://2130706433/", "its URL is none"),
        ("https://127.1/", "its URL is none"),
        ("https://127.0.0.1./", "its URL is none"),
        ("https://0x7f.1/", "its address is not a public one"),
        ("https://localhost/", "its address is not a public one"),
    ],
)
def test_as_deployed_no_buyer_leads_into_our_own_network(
    url: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names lead to whatever address their owner wants, and some spellings of addresses are names."""
    names = {"inside.example": ["10.0.0.1"], "both.example": ["1.1.1.1", "127.0.0.1"], "localhost": ["127.0.0.1"]}
    names |= {name: ["127.0.0.1"] for name in ("2130706433", "0x7f.1", "127.1", "127.0.0.1.")}

    def resolved(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        kinds = {4: socket.AF_INET, 6: socket.AF_INET6}
        return [(kinds[ip_address(found).version], socket.SOCK_STREAM, 6, "", (found, port)) for found in names[host]]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    ask = Asking()
    with closing_server(answers_per_connection=1) as (inside, connections), closing(ask):
        port = urlsplit(inside).port
        assert one(ask, Call("POST", f"{url[:-1]}:{port}/")) == Silence(reason, sent=False)
    assert connections == []


def test_the_page_of_the_sandbox_says_what_each_zip_does(ask: Asking, url: str) -> None:
    reply = one(ask, Call("GET", f"{url}/"))
    assert isinstance(reply, Reply)
    for zip_code, act in sandbox.ACTS.items():
        assert f"<td><code>{zip_code}</code></td><td>{act.says}</td>" in reply.body.decode()
