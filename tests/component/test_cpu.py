"""Whatever somebody sends who may not configure, its answer takes little CPU: every route, with the worst that is known
for its kind.

The routes come from the code; a new kind of parser needs its worst cases here.
"""

import base64
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, get_args
from urllib.parse import quote

import pytest
from moto import mock_aws

from functions.api.operations import OPERATIONS
from functions.dashboard.views import VIEWS
from functions.instructions import guide_pages
from shared import flows
from shared.domain.models import FieldType, Provider
from shared.flows.calls import answer_event
from shared.office import dashboard, rest
from shared.operators import access
from shared.providers import exchange
from shared.providers.local import SIGNATURE, TIMESTAMP
from shared.providers.webhooks import Secrets
from shared.publishers import requests, web_pages, webhooks
from shared.publishers.requests import BODY_BYTES, QUERY_BYTES, SANDBOX, VERBS
from shared.store.dynamo import Dynamo
from tests.build import REQUEST_ID, SETTINGS, Stage, an_event
from tests.configurations import a_buyer, a_contact_field, a_ring_pool, an_offer
from tests.office import Operator, as_user, opened
from tests.phone import Phone
from tests.watchers import Visitor
from tools import engine

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Event = dict[str, Any]

SECONDS = 0.2
TRIES = 3
REFERENCE_SECONDS = 0.018
"""What `reference` takes on the machine that the limit is meant for; a slower one has more."""

ASKS_DUCKDB = {
    "",
    "/day",
    "/sources",
    "/reports",
    "/ring_pools/{name}",
    "/log",
    "/pings",
    "/pings/{ping_id}",
    "/sales",
    "/callers/lookup",
    "/erasing",
}
"""What asks DuckDB about rows: that takes what it takes, whatever was sent."""

FIELDS = [
    a_contact_field(
        name=kind, type=kind, **({"choices": [f"Kind {n}" for n in range(100)]} if kind == "choice" else {})
    )
    for kind in get_args(FieldType)
]
FILTERS = ["state in [TX, FL]", "age >= 25", "text matches ^(a+)+$", "not zips: 303", "email exists"]
BUYERS = [
    a_buyer(id=n, name=f"Buyer {n}", number=f"+1800555{1000 + n}", filters=FILTERS if n % 2 else [])
    for n in range(1, 51)
]


def reference() -> None:
    json.dumps([{"a": str(n), "b": [n, n]} for n in range(8000)])


def seconds(act: Callable[[], object]) -> float:
    started = time.process_time()
    act()
    return time.process_time() - started


def limit() -> float:
    """Seconds of CPU that a request may take at this moment: other work on a machine makes all of it slower."""
    return SECONDS * max(1.0, seconds(reference) / REFERENCE_SECONDS)


@pytest.fixture(scope="module")
def stage(client: "DynamoDBClient") -> Iterator[Stage]:
    with mock_aws():
        engine.create_tables(client, SETTINGS)
        stage = Stage(client)
        opened(
            stage,
            account={"suppression": ["dnc"]},
            ring_pools=[a_ring_pool(numbers=["+18005550100-+18005550199"])],
            offers=[an_offer(contact_fields=FIELDS, buyers=BUYERS)],
        )
        yield stage


@dataclass
class Sent:
    """A request but for its method and path."""

    query: str = ""
    body: bytes | None = None
    content_type: str = ""
    headers: dict[str, str] | None = None

    def event(self, method: str, path: str) -> Event:
        headers = {"content-type": self.content_type, **(self.headers or {})}
        return an_event(method=method, path=path, query=self.query, body=self.body, headers=headers)


def filled(size: int, start: str, piece: str, end: str = "") -> bytes:
    """The piece again and again, numbered where it has a place for that; at most `size` bytes."""
    pieces, left, n = [start], size - len(start.encode()) - len(end.encode()), 0
    while (more := piece.replace("%n", f"{n:x}")) and (left := left - len(more.encode())) >= 0:
        pieces.append(more)
        n += 1
    return ("".join(pieces) + end).encode()


FORM, JSON = "application/x-www-form-urlencoded", "application/json"
PIECES = ["a=1&", "%n=1&", "&", "%", "%25", "%ff", "\u00e9", "a", "=", "+", ";", "k%n&"]
JSONS = [
    ('{"a":0', ',"%n":1', "}"),
    ('{"a":0', ',"A":1', "}"),
    ("", '{"a":', ""),
    ("{", '"a":[', ""),
    ('{"a":', "[", ""),
    ('{"a":[0', ",1", "]}"),
    ('{"a":', "9", "}"),
    ('{"a":[0', "," + "9" * 400, "]}"),
    ('{"a":[0', ",1e999", "]}"),
    ('{"a":"', "\\u0301", '"}'),
    ('{"a":"', "\\ud800", '"}'),
    ('{"a":[0', ",{}", "]}"),
    ('{"a":[0', ',{"b":1,"b":2}', "]}"),
    ("{", "\n", "}"),
    ('{"', "\\", '"}'),
]
TEXTS = ["1", "9", "a", "(", " ", "\t", "-", ".", ",", "%25", "\u0301", "a\u0301", "\u00e9", "<", "@", "a.", "a@",
         ";a=b",
         "$1,", "x1", "+1", "0", "\u200b", "/", "TX ", "TX/", "'", "[a", "{", "%20", "null "]  # fmt: skip


def every_body(size: int) -> Iterator[Sent]:
    """What is hard for readers of forms, JSON and multipart."""
    for piece in PIECES:
        yield Sent(body=filled(size, "", piece), content_type=FORM)
    for start, piece, end in JSONS:
        yield Sent(body=filled(size, start, piece, end), content_type=JSON)
    for piece in ("a=b&", "a=b\n", "a", "=&"):
        yield Sent(body=filled(size, "a=b", piece, "<"), content_type="text/plain")
    for piece in ("--a\n", '--a\nContent-Disposition: form-data; name="%n"\n\n1\n', "--a \n", "-", "--a", "\n--a  x"):
        yield Sent(body=filled(size, "--a\n", piece), content_type="multipart/form-data; boundary=a")
    for content in (b"\x80" * size, b"\xff\xfe" + b"\x00\xd8" * (size // 2 - 1), b"\x80a" * (size // 2), b" " * size):
        yield Sent(body=content)
    yield Sent(body=b"a" * 4_000_000)


def every_head() -> Iterator[Sent]:
    """What API Gateway lets through of a query and headers: 10 KB in all."""
    for piece in PIECES:
        yield Sent(query=filled(QUERY_BYTES, "", piece).decode())
    for piece in ("a", ";a=", '"', " ", ",", ";q=", "\u00e9", "gzip,"):
        text = filled(9000, "", piece).decode()
        for name in ("content-type", "accept-encoding", "accept", "authorization", "idempotency-key", "if-match",
                     "if-none-match", "origin", "access-control-request-headers", "x-forwarded-proto"):  # fmt: skip
            yield Sent(headers={name: text})
        yield Sent(headers={"authorization": f"Token {text}"})
        yield Sent(headers={"authorization": f"Basic {base64.b64encode(text.encode()).decode()}"})


def every_value() -> Iterator[Sent]:
    """One long value of each field, and one of all of them."""
    names = [field["name"] for field in FIELDS] + [
        "caller_id",
        "trackdrive_number",
        "ping_id",
        "buyer_id",
        "auth_token",
    ]
    for text in TEXTS:
        long, short = text * (60_000 // len(text.encode())), text * (4000 // len(text.encode()))
        yield Sent(body=json.dumps(dict.fromkeys(names, short), ensure_ascii=False).encode(), content_type=JSON)
        for name in names:
            if text in ("1", "a", "a\u0301", "@", "(") or name in ("phone", "email", "choice"):
                yield Sent(body=json.dumps({name: long}, ensure_ascii=False).encode(), content_type=JSON)


def every_paste(size: int) -> Iterator[str]:
    """What is hard for *Check my request*."""
    url = "https://ringpost.example/api/v1/inbound_webhooks/post/my_endpoint"
    for start, piece, end in [
        ("curl ", "a", ""), ("curl ", "-d a ", url), ("curl ", "-d %n=1 ", url), ("curl '", "a", ""),
        ('curl "', "\\a", ""), ("curl ", "\\", ""), ("curl ", "'a'", ""), ("curl ", "-H a%n:b ", url),
        ("curl -", "G", ""),
        ("curl ", "--data=%n=1 ", url), (f"curl {url} -d '", "a=1&", "'"), (f"curl {url} -d '", "%n=1&", "'"),
        (f"curl {url} -d '", "%25", "'"), (f"curl {url} --data-urlencode 'a=", "%", "'"), ("curl ", "\\\n", ""),
        (f"curl {url} -d '", "traffic_source%n=1&", "'"), (f"curl {url} --json '{{\"a\":0", ',"zap%n":1', "}'"),
        (f"curl {url} --json '", "[", "'"), ("curl ", "$ ", ""), ("$ ", "$ ", "curl"), ("https://", "a", ""),
        ("https://[", "::", "]/"), ("https://", "@", ""), ("https://", "\u2100", "/"), ("GET /", "a/", " HTTP/1.1"),
        ("GET ", " ", "/"),
        ("GET /", "/", ""), (f"GET {url} HTTP/1.1\n", "a%n: b\n", ""), (f"GET {url}?", "a%n=1&", ""),
        (f"POST {url} HTTP/1.1\nContent-Type: ", ";a=", "\n\n{}"), (f"POST {url} HTTP/1.1\n\n", "\n", ""),
        (f"POST {url} HTTP/1.1\nAuthorization: Basic ", "a", "\n\n{}"), (f"POST {url}\nHost: a\n\n{{", '"a', '":1}'),
    ]:  # fmt: skip
        yield filled(size, start, piece, end).decode()
    for field in FIELDS:
        for text in ("1", "a", "@", "a\u0301"):
            yield filled(size, f'POST {url}\nHost: a\n\n{{"{field["name"]}":"', text, '"}').decode()


def every_file(size: int) -> Iterator[bytes]:
    """What is hard for a reader of YAML, and for the checks of a configuration."""
    a_file = "offers: [{name: a, rank_by: bid, "
    buyer = "{id: %n, name: B, bid: 1, number: '+18005550181'"
    for start, piece, end in [
        ("a: [a", ",a", "]"), ("", "- ", ""), ("", "? ", ""), ("", "{", ""), ("", "[", ""), ("", "[a, ", ""),
        ("", "? - ", ""),
        ("", "- [", ""), ("", "&a ", ""), ("a: &a [a]\nb: [*a", ",*a", "]"), ("a: &a {b: c}\nb: {<<: [*a", ",*a", "]}"),
        ("", "a: 1\n", ""), ("", "k%n: 1\n", ""), ("users: [a", ",{name: u%n, role: boss, colour: x}", "]"),
        ("", "%", ""),
        ("", "'", ""), ("", "\\", ""), ("a: |\n", " a\n", ""), ('a: "', "\\u0041", '"'), ("", "!!map ", ""),
        ("", "#\n", ""),
        ("a: ", "a ", ""), ("", "a:\n", ""), ("", "a: b: ", ""), ("", "\t", ""), ("", "\u00e9", ""), ("", "---\n", ""),
        ("ring_pools: [{name: a, hold_seconds: 9, cooldown_seconds: 9, numbers: ['+18005550000-+18005559999'",
         ",'+1%n-+19'", "]}]"),
        ("ring_pools: [{name: a, hold_seconds: 9, cooldown_seconds: 9, numbers: ['+18005550000-+18005559999'",
         ",'+18005550000-+18005559999'", "]}]"),
        (f"{a_file}contact_fields: [{{name: a}}", ",{name: a%n, pattern: '(a{100}){9}%n'}", "]}]"),
        (f"{a_file}buyers: [{{id: 1}}", f",{buyer}}}", "]}]"),
        (f"{a_file}buyers: [{{id: 1}}", f",{buyer}, filters: ['a matches (b{{100}}){{9}}%n']}}", "]}]"),
        (f"{a_file}buyers: [{{id: 1}}",
         f",{buyer}, filters: ['state in [1,2,3]', 'zap in [1,2]'], colour: 1, paused: maybe}}", "]}]"),
        (f"{a_file}buyers: [{{id: 1, name: B, bid: 1, number: '+18005550181', filters: ['a exists'",
         ",'b%n in [a,b,c,d]'", "]}]}]"),
        (f"{a_file}buyers: [{{id: 1, name: B, bid: 1, number: '+18005550181', filters: ['a in [a",
         ",b%n", "]']}]}]"),
        ("endpoints: [{vanity_uri: a}", ",{vanity_uri: e%n, offer: zap%n, tracking: static}", "]"),
    ]:  # fmt: skip
        yield filled(size, start, piece, end)


class Metered:
    """How much CPU the calls to the store have taken."""

    seconds = 0.0


@pytest.fixture(autouse=True)
def meter(monkeypatch: pytest.MonkeyPatch) -> None:
    send = Dynamo.send

    def metered(self: Dynamo, *args: Any, **request: Any) -> Any:
        started = time.process_time()
        try:
            return send(self, *args, **request)
        finally:
            Metered.seconds += time.process_time() - started

    monkeypatch.setattr(Dynamo, "send", metered)


def slow(answer: Callable[[Event], Any], events: Iterable[Event], plain: Event | None = None) -> list[str]:
    """What of these takes more CPU than it may in every try, without what moto takes. With a `plain` request: more than
    that one and what it may."""

    def take(event: Event) -> float:
        started, in_moto = time.process_time(), Metered.seconds
        code = answer(event)["statusCode"]
        spent = time.process_time() - started - (Metered.seconds - in_moto)
        assert code not in (500, 502), event
        return spent

    found = []
    own = max(take(plain) for _ in range(TRIES)) if plain else 0.0
    for event in events:
        taken: list[float] = []
        while len(taken) < TRIES and (not taken or (taken[-1] > own + SECONDS and taken[-1] > own + limit())):
            taken.append(take(event))
        if len(taken) == TRIES and taken[-1] > own + limit():
            shown = {**event, "body": str(event.get("body"))[:160], "rawQueryString": event["rawQueryString"][:80]}
            found.append(f"{min(taken):.3f} s: {shown}")
    return found


@pytest.mark.parametrize("sandbox", [False, True])
@pytest.mark.parametrize("verb", VERBS)
def test_a_lead_of_whatever_values_is_answered_soon(stage: Stage, verb: str, sandbox: bool) -> None:
    def answer(event: Event) -> Any:
        world = stage.world().of_sandbox() if sandbox else stage.world()
        event = requests.to_sandbox(event)[0] if sandbox else event
        return webhooks.serve(event, REQUEST_ID, verb, world.endpoint, partial(getattr(flows, verb), world))

    path = f"{SANDBOX if sandbox else ''}/api/v1/inbound_webhooks/{verb}/my_endpoint"
    sent = (
        [*every_head(), *every_body(BODY_BYTES), *every_value()]
        if verb == "full" and not sandbox
        else every_body(BODY_BYTES)
    )
    events = [each.event("POST", path) for each in sent]
    assert not slow(answer, [*events, Sent().event("OPTIONS", path)])


@pytest.mark.parametrize(
    "path", ["/", *(f"/posting_instructions/my_endpoint{of}" for of in ("", "/openapi.json", "/instructions.md"))]
)
def test_a_page_for_publishers_is_made_soon(stage: Stage, path: str) -> None:
    def answer(event: Event) -> Any:
        return web_pages.serve(event, REQUEST_ID, "instructions", partial(guide_pages.answer, stage.world()))

    events = [each.event("GET", path) for each in every_head()]
    assert not slow(answer, [*events, *(each.event("POST", path) for each in every_body(BODY_BYTES))])


def test_a_pasted_request_is_checked_soon(stage: Stage) -> None:
    def answer(event: Event) -> Any:
        return web_pages.serve(event, REQUEST_ID, "instructions", partial(guide_pages.answer, stage.world()))

    events = []
    for text in every_paste(BODY_BYTES - 100):
        body = f'--b\r\nContent-Disposition: form-data; name="request"\r\n\r\n{text}\r\n--b--'.encode()
        sent = Sent(body=body, content_type="multipart/form-data; boundary=b")
        events.append(sent.event("POST", "/posting_instructions/my_endpoint"))
    assert not slow(answer, events)


@pytest.mark.parametrize("kind", ["twilio", "telnyx", "local"])
def test_a_webhook_of_a_call_is_answered_soon(stage: Stage, kind: Literal["twilio", "telnyx", "local"]) -> None:
    """Anybody who knows the address may send anything, and a caller may show any caller id."""
    known = Secrets(account="AC1", keys=("", "a key", "another key"))
    provider = Provider("main", kind, "AC1", ())
    account = json.dumps({"AccountSid": "AC1"}).encode()

    def answer(event: Event) -> Any:
        return exchange.serve(
            event, REQUEST_ID, lambda _: (provider, known), partial(answer_event, stage.telephony()), lambda: None
        )

    headers = dict.fromkeys(("x-twilio-signature", "telnyx-signature-ed25519", SIGNATURE), "a")
    at = {"telnyx-timestamp": str(int(time.time())), TIMESTAMP: str(int(time.time()))}
    sent = [replace(each, headers=(each.headers or {}) | headers | at) for each in every_body(exchange.BODY_BYTES)]
    hashed = f"bodySHA256={sha256(account).hexdigest()}"
    sent += [*every_head(), Sent(query=hashed + "&a=1" * 2400, body=account, content_type=JSON, headers=headers | at)]
    assert not slow(answer, [each.event("POST", "/calls/main/voice") for each in sent])
    assert not slow(answer, [Sent().event("POST", "/calls/" + piece * (9000 // len(piece))) for piece in ("a", "a/")])


def test_whatever_a_caller_shows_is_read_soon(stage: Stage) -> None:
    for text in TEXTS:
        phone = Phone(stage, "+18005550100", text * (15_000 // len(quote(text))))
        assert any((taken := seconds(phone.rings)) < SECONDS or taken < limit() for _ in range(TRIES)), text


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.method} {each.path}")
@pytest.mark.parametrize("name", ["", "vera", "bolt"])
def test_an_operation_is_answered_soon(stage: Stage, operation: Any, name: str) -> None:
    operator = as_user(stage, name) if name else None

    def answer(event: Event) -> Any:
        stage.clock.forward(60)  # no limit of requests a minute stops it before its work
        if operator:
            event = event | {"headers": event["headers"] | {"authorization": f"Token {operator.token}"}}
        return serve_api(stage, event)

    may = not operation.roles or {"vera": "viewer", "bolt": "publisher"}.get(name) in operation.roles
    sent: list[Sent] = [Sent(), Sent(body=b"a" * 4_000_000)] if may or not name else []
    if may and operation.takes_file:
        sizes = (rest.READERS_FILE_BYTES, rest.READERS_FILE_BYTES // 4)
        sent += [Sent(body=file) for size in sizes for file in every_file(size)]
    elif may and operation.takes:
        sent += every_body(rest.READERS_BODY_BYTES)
    if may:
        sent += every_head() if operation.path == "/offers" else [Sent(query=filled(QUERY_BYTES, "", "%n=1&").decode())]
        sent += [Sent(query=f"{name}={'9' * 8000}") for name in operation.query]
    events = [each.event(operation.method, path_of(rest.ROOT + operation.path)) for each in sent]
    long = (
        []
        if name
        else [rest.ROOT + operation.path + piece * (9000 // len(piece)) for piece in ("9", "a/", "%25", "\u00e9")]
    )
    plain = events[0] if may and operation.path in ASKS_DUCKDB else None
    assert not slow(answer, [*events, *(Sent().event(operation.method, path) for path in long)], plain)


def path_of(path: str) -> str:
    """With names of what there is, and a long one for what there is many of."""
    known = {"vanity_uri": "my_endpoint", "id": "1", "version": "1", "ping_id": "pg_" + "A" * 5000}
    of_kind = {
        "users": "bolt",
        "ring_pools": "auto-us",
        "offers": "auto-insurance",
        "endpoints": "my_endpoint",
        "buyers": "1",
    }
    kind = path.removeprefix(rest.ROOT).removeprefix(dashboard.ROOT).split("/")[1] if "/" in path[1:] else ""
    return re.sub(r"{(\w+)}", lambda name: known.get(name[1], of_kind.get(kind, "x" * 5000)), path)


def serve_api(stage: Stage, event: Event) -> Any:
    office = Operator(stage, "").office(Dynamo(stage.client, stage.settings))
    return rest.serve(event, REQUEST_ID, OPERATIONS, office, access.admit_user)


@pytest.mark.parametrize("view", VIEWS, ids=lambda each: f"{each.method} {each.path}")
@pytest.mark.parametrize("name", ["", "vera", "bolt"])
def test_a_page_of_the_dashboard_is_made_soon(stage: Stage, view: Any, name: str) -> None:
    visitor = Visitor(stage, name or "nobody")

    def answer(event: Event) -> Any:
        stage.clock.forward(60)
        found = visitor.visit(event)
        return {"statusCode": found.code}

    role = {"vera": "viewer", "bolt": "publisher"}.get(name, "")
    if role and role not in view.roles:
        return  # it gets no further than somebody without a role
    path, may = path_of(dashboard.ROOT + view.path), not view.roles or role in view.roles
    if view.method == "GET":
        sent = (
            [*every_head()]
            if may and view.path in ("/suppression_lists", "/sign_in")
            else [Sent(query=filled(QUERY_BYTES, "", "%n=1&").decode())]
        )
        sent += [
            Sent(query=f"{key}={'9' * 8000}")
            for key in ("after", "day", "from", "ping_id", "search", "sales_per_hour", "to", "code")
        ]
    else:
        size = 1024 * dashboard.FORM_KILOBYTES.get(role, dashboard.SMALL_FORM_KILOBYTES)
        sent = [Sent(body=filled(size, "", piece), content_type=FORM) for piece in PIECES] + [
            Sent(body=b"a" * 4_000_000)
        ]
        if may:
            csrf = f"csrf={visitor.csrf}&" if view.roles else ""
            names = ["number", "code", "file", "after"]
            texts = [csrf + "&".join(f"{name}={quote(text * 3000)}" for name in names) for text in TEXTS]
            if view.path == "/configuration/difference":
                texts += [f"{csrf}file={quote(file)}" for file in every_file(64 * 1024)]
            sent += [Sent(body=text.encode(), content_type=FORM) for text in texts]
    plain = Sent().event(view.method, path) if may and view.path in ASKS_DUCKDB else None
    assert not slow(answer, [each.event(view.method, path) for each in sent], plain)
