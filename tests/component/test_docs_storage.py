"""docs/storage.md has every kind of item and every attribute, and no other: compared with what all use cases write."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared import schema
from shared.domain.live_bids import Call, Reply, Silence
from tests.build import CALLER, Publisher, Scripted, Stage
from tests.component.conftest import Command
from tests.configurations import a_buyer, a_contact_field, a_ring_pool, a_user, an_endpoint, an_offer
from tests.office import as_user, opened
from tests.phone import Phone
from tests.watchers import Visitor

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/storage.md").read_text()
TABLES = ("config", "pings", "calls", "leases", "callers", "journal")
NOT_PLAYED = {"repairs", "held"}
"""What only the repair of a cap writes, or an endpoint that takes calls: the names stand in the code."""
STATIC_NUMBER, CALLED_NUMBER = "+18005550170", "+18005550171"
ASSIGNED = re.compile(r"(?:SET|REMOVE|ADD|DELETE|,)\s+(#?\w+)")
"""The attributes that an update expression writes: arguments of functions are values, or stand behind a bracket."""

Written = dict[str, set[str]]
"""By table the names of attributes, and the values of `pk` and `sk`."""


@pytest.fixture
def written(stage: Stage) -> Iterator[Written]:
    """Everything that is written while a test runs."""
    found: Written = defaultdict(set)

    def note(table: str, names: dict[str, Any]) -> None:
        of = next(each for each in TABLES if table.endswith(each))
        found[of] |= {named(name) for name in names}
        keys = ("pk",) if of == "journal" else ("pk", "sk")
        found[of] |= {key_of(names[key]["S"]) for key in keys if key in names}

    def note_write(write: dict[str, Any]) -> None:
        aliases = write.get("ExpressionAttributeNames", {})
        update = ASSIGNED.findall(write.get("UpdateExpression", ""))
        names = dict.fromkeys(aliases.get(name, name) for name in update)
        note(write["TableName"], {**names, **write.get("Key", {}), **write.get("Item", {})})

    def see(params: dict[str, Any], **_: Any) -> None:
        if "Item" in params or "UpdateExpression" in params:
            note_write(params)
        for step in params.get("TransactItems", []):
            note_write(next(iter(step.values())))
        for table, writes in params.get("RequestItems", {}).items():
            for write in writes if isinstance(writes, list) else []:
                note(table, write["PutRequest"]["Item"])

    stage.client.meta.events.register("provide-client-params.dynamodb", see)
    yield found
    stage.client.meta.events.unregister("provide-client-params.dynamodb", see)


def named(name: str) -> str:
    """An attribute as the page names its kind."""
    name = re.sub(r"^([pe])\d+$", r"\g<1>0", name)
    name = re.sub(r"^(a|c|s|accepted|agreed|recording)[1-9]$", r"\g<1>1", name)
    name = re.sub(
        r"^(sales|revenue|attempts|connected|converted)-(hour|day|month|total)-\d+", "sales-day-1767243600", name
    )
    return re.sub(r"^(at|ping|attempt|until):.*", r"\1:…", name.partition("@")[0])


def key_of(key: str) -> str:
    """A key up to what is special to the item."""
    if re.fullmatch(r"[\w-]+#[0-9a-f]{8}", key):
        return "acme#1f2e3d4c"
    return re.sub(r"^([VPRB]?)\d+.*", r"\1", re.sub(r"#.*", "#", key.partition("@")[0]))


def section(table: str) -> str:
    return PAGE.partition(f"\n### {table}\n")[2].partition("\n## ")[0].partition("\n### ")[0]


def on_page(table: str) -> set[str]:
    """Every name that stands in code in the section of a table."""
    return set(re.findall(r"`([^`]+)`", section(table)))


def test_every_table_and_index_is_on_the_page() -> None:
    tables = {name: table for name, table in vars(schema).items() if isinstance(table, schema.Table)}
    sandbox = tables.pop("SANDBOX_PINGS")
    assert (sandbox.keys, sandbox.ttl, [*sandbox.indexes]) == (schema.PINGS.keys, schema.PINGS.ttl, [schema.OF_CALLER])
    assert f"`{schema.OF_CALLER}`" in PAGE
    assert sorted(tables) == sorted(name.upper() for name in TABLES)
    for name, table in tables.items():
        keys = ", ".join(f"`{key}` {letter}" for key, letter in table.keys.items())
        assert f"| {name.lower()} | {keys} | {f'`{table.ttl}`' if table.ttl else 'none'} |" in PAGE
        assert table.indexes == {}
    for index, wanted in sandbox.indexes.items():
        keys = ", ".join(f"`{key}` {letter}" for key, letter in wanted.keys.items())
        assert f"| `{index}` | {keys} |" in PAGE


def test_the_page_has_everything_that_is_written_and_nothing_else(
    stage: Stage, publisher: Publisher, command: Command, written: Written
) -> None:
    do_everything(stage, publisher, command)
    for table in TABLES:
        shown = {key_of(named(name)) for name in on_page(table)} | on_page(table)
        assert sorted(written[table] - shown - {"pk", "sk", "caller", ""}) == []
    attributes = {name for table in ("pings", "leases") for name in attributes_on_page(table)}
    unwritten = {named(name) for name in attributes} - written["pings"] - written["leases"]
    assert sorted(unwritten) == sorted(NOT_PLAYED)
    code = "".join(path.read_text() for path in (ROOT / "shared/store").glob("*.py"))
    assert [name for name in sorted(unwritten) if f'"{name}"' not in code] == []


def attributes_on_page(table: str) -> Iterator[str]:
    """The names in the first column of tables of attributes."""
    for block in section(table).split("| Attribute |")[1:]:
        rows = [line.split("|")[1] for line in block.partition("\n\n")[0].splitlines()[2:]]
        for row in rows:
            yield from re.findall(r"`([^`]+)`", row)


def do_everything(stage: Stage, publisher: Publisher, command: Command) -> None:
    apply(stage)
    olga = as_user(stage, "olga")
    token = olga.ask("POST", "/users/acme-media/tokens", {"name": "page"}).body["token"]
    olga.ask("POST", "/suppression_lists/dnc/add", {"entries": ["+16145550199"]})
    stage.send = Scripted(answer)
    sent = {"auth_token": token, "traffic_source_id": "1023", "caller_id": CALLER}

    ping = publisher.ping(**sent).body["try_all_buyers_ping_id"]
    assert publisher.post(**sent, ping_id=ping).body["success"]
    refused = publisher.ping(**sent | {"caller_id": ""}).body["try_all_buyers_ping_id"]
    assert not publisher.post(**sent | {"caller_id": "+16145550199"}, ping_id=refused).body["success"]
    live = publisher.ping("live", **sent).body["try_all_buyers_ping_id"]
    assert not publisher.post("live", **sent, ping_id=live).body["success"]
    static = {"trackdrive_number": STATIC_NUMBER, "caller_id": "+16145550126"}
    for _ in ("a sale", "one that replaces its route"):
        ping = publisher.ping("static", **static).body["try_all_buyers_ping_id"]
        assert publisher.post("static", **static, ping_id=ping).body["success"]
    spent = [publisher.ping(**sent | {"caller_id": "+16145550124"}).body["try_all_buyers_ping_id"] for _ in "ab"]
    stage.clock.forward(1)
    for each in spent:
        key = {"Idempotency-Key": "k"}
        publisher.send("post", json_body=sent | {"caller_id": "+16145550124", "ping_id": each}, headers=key)
    assert publisher.full(**sent | {"caller_id": "+16145550125"}).body["success"]
    assert publisher.ping("by-state", **sent, state="TX").code == 422

    take_calls(stage, publisher)
    assert olga.ask("POST", "/callers/erase", {"number": CALLER}).code == 200
    stage.finishing().passing.start()
    stage.bring_stream()
    Visitor(stage, "olga").send("/sign-out")
    apply(stage, ring_pools=[a_ring_pool(numbers=["+18005550100-+18005550103"], pool_share=50, hold_seconds=200)])
    for arguments in (["sign-in", "olga"], ["repair"], ["sign-out", "olga"]):
        assert command(*arguments).exit_code == 0, command(*arguments).output


def take_calls(stage: Stage, publisher: Publisher) -> None:
    """One is dialed twice, and talks; a sale is superseded, and one is never called."""
    for caller in ("+16145550131", "+16145550132", "+16145550132"):
        sent = {"trackdrive_number": CALLED_NUMBER, "caller_id": caller}
        ping = publisher.ping("called", **sent).body["try_all_buyers_ping_id"]
        assert publisher.post("called", **sent, ping_id=ping).body["success"]
    phone = Phone(stage, CALLED_NUMBER, "+16145550131")
    phone.rings()
    phone.dial_ends("busy")
    phone.leg_answers(2)
    phone.presses("1", 2)
    phone.ends(40)
    phone.dial_ends("completed", 2, 40)
    stage.telephony().calls.note_recording(phone.call_id, 2, "https://recordings.example/RE1")
    assert stage.do_due(10 * 60).failures == []
    assert phone.stored
    assert phone.stored.facts.settled


def apply(stage: Stage, **overrides: Any) -> None:
    caps = {"sales": {"day": 50}, "revenue": {"total": 5000}, "concurrent": 5}
    capped = a_buyer(bid="25.10", caps=caps | {"by_endpoint": {"my_endpoint": {"concurrent": 4}}}, suppression=["dnc"])
    asked = {"dialect": "ringpost", "ping_url": "https://b.example/ping", "post_url": "https://b.example/post"}
    live = {"id": 5, "name": "Live", "number": "+18005550185", "max_bid": "90.00", "live": asked}
    fields = [a_contact_field(name="state", type="us_state"), a_contact_field(required_on=["ping"])]
    offers = [
        an_offer(buyers=[capped], duplicates={"window_days": 30}, suppression=["dnc"]),
        an_offer(name="with-live", buyers=[live]),
        an_offer(name="without-windows", buyers=[a_buyer(id=6)]),
        an_offer(name="of-calls", buyers=[a_buyer(id=8), a_buyer(id=9, name="B", bid="20.00", dial={"press": "1"})]),
        an_offer(name="by-state", buyers=[a_buyer(id=7)], contact_fields=fields),
    ]
    limits = {"user": {"pings": 60, "posts": 60}, "traffic_source": {"pings": 60}}
    endpoints = [
        an_endpoint(limits=limits),
        an_endpoint(vanity_uri="static", tracking="static", offer="without-windows"),
        an_endpoint(vanity_uri="live", offer="with-live"),
        an_endpoint(vanity_uri="by-state", offer="by-state"),
        an_endpoint(
            vanity_uri="called",
            tracking="static",
            offer="of-calls",
            static_numbers={"2047": CALLED_NUMBER},
            calls={"provider": "main"},
        ),
    ]
    providers = [{"name": "main", "kind": "local", "account": "AC1", "token": "{secret.local}"}]
    users = [a_user(), a_user(name="olga", role="operator", traffic_sources=[])]
    account = {"suppression": ["dnc"], "retention": {"lead_days": 30, "sale_days": 35}}
    opened(
        stage,
        **{"offers": offers, "endpoints": endpoints, "users": users, "account": account, "providers": providers}
        | overrides,
    )


def answer(_: int, call: Call) -> Reply | Silence:
    """A buyer that bids, and never says whether it takes a call."""
    if call.url.endswith("/post"):
        return Silence("no answer", sent=True)
    bid = {"success": True, "try_all_buyers_ping_id": "1", "buyers": [{"bid": 30}]}
    return Reply(200, json.dumps(bid).encode())
