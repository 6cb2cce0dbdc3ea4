"""What requests leave for the journal: the rows of all that PING, POST and FULL write say what the items say, and what
is refused before there is a ping leaves a small item."""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest

from shared.domain.filters import Filter
from shared.domain.keys import caller_hash, ping_id
from shared.domain.live_bids import Call, Exchange, LiveBuyer, Reply, Silence
from shared.domain.models import Endpoint, Field, Ping, Sale, User
from shared.domain.refusals import TemporarilyUnavailable
from shared.journal.events import Event, derive_rows, is_of_interest
from shared.journal.rows import Row, decode, encode
from shared.store.dynamo import Dynamo
from shared.store.packing import unpack
from tests.build import (
    CALLER,
    CONTACT_FIELDS,
    SETTINGS,
    Answer,
    Publisher,
    Scripted,
    Stage,
    a_buyer,
    a_pool,
    an_endpoint,
)
from tests.component.test_wire_rules import suppress

FIELDS = (*CONTACT_FIELDS, Field(name="state", type="us_state"), Field(name="age", type="integer"))
LIVE = LiveBuyer(
    ping=Exchange(url="https://b.example/ping", fields={"state": "{lead.state}"}, found={"bid": ("$.bid",)})
)
BUYERS = (
    a_buyer(id=1, filters=(Filter("state", "in", ("TX",)),)),
    a_buyer(id=2, bid_cents=1500, duplicate_seconds=600),
    a_buyer(id=3, bid_cents=0, live=LIVE),
    a_buyer(id=4, paused=True),
)
RECOGNISED = ("invalid_fields", "duplicate_caller", "no_number_available", "buyer_unavailable", "buyer_mismatch")


@dataclass
class Recording:
    """A client that keeps the items of pings before and after each of its writes, as the table's stream does."""

    client: Any
    events: list[Event] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def put_item(self, **request: Any) -> Any:
        return self._written(self.client.put_item, request.get("Item"), request)

    def update_item(self, **request: Any) -> Any:
        return self._written(self.client.update_item, request.get("Key"), request)

    def _written(self, method: Any, item: Any, request: Any) -> Any:
        if request["TableName"] != SETTINGS.pings_table:
            return method(**request)
        key = {"TableName": SETTINGS.pings_table, "Key": {"ping_id": item["ping_id"]}}
        old = self.client.get_item(**key).get("Item")
        answer = method(**request)
        new = self.client.get_item(**key).get("Item")
        if old != new:
            self.events.append(Event(f"e{len(self.events)}", "pings", 0, old, new))
        return answer


@dataclass
class Player:
    """Sends requests as they may come, whatever became of those before, and keeps the answers."""

    publisher: Publisher
    draw: random.Random
    answers: list[Answer] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)

    def lead(self) -> dict[str, Any]:
        callers = ["", CALLER, "+13125550199", "+442079460123", f"+1614555{self.draw.randrange(200, 230):04}"]
        lead = {
            "caller_id": self.draw.choice(callers),
            "state": self.draw.choice(["TX", "California", "", "elsewhere"]),
            "traffic_source_id": self.draw.choice(["", "a", "b"]),
            "age": self.draw.choice(["", "30", "old"]),
        }
        return {name: value for name, value in lead.items() if value}

    def play(self) -> None:
        stage, kind = self.publisher.stage, self.draw.choice(["ping", "ping", "post", "post", "full", "only", "wait"])
        if kind == "wait":
            stage.clock.forward(self.draw.choice([1, 30, 130]))
            return
        if kind == "ping":
            answer = self.publisher.ping(**self.lead())
            self.ids += [answer.body[name] for name in ("try_all_buyers_ping_id",) if name in answer.body]
            self.ids += [buyer["ping_id"] for buyer in answer.body.get("buyers", [])]
        elif kind == "post" and self.ids:
            mismatch = {"buyer_id": "4"} if self.draw.random() < 0.1 else {}
            answer = self.publisher.post(**self.lead(), ping_id=self.draw.choice(self.ids[-6:]), **mismatch)
        else:
            answer = self.publisher.send("full" if kind == "full" else "post", json_body=self.lead())
        self.answers.append(answer)


def rows_of(events: Iterable[Event], endpoint: Endpoint) -> list[Row]:
    return [row for event in events for row in derive_rows(event, lambda *_: endpoint)]


def scripted(_: int, call: Call) -> Reply | Silence:
    return Reply(200, b'{"bid": 17.5}', 12) if b"TX" in call.body else Silence("no answer within 9 ms", True, 9)


@pytest.mark.parametrize("seed", range(4))
def test_rows_say_of_any_requests_what_their_items_say(fast_stage: Stage, seed: int) -> None:
    stage, draw = fast_stage, random.Random(seed)
    recording = Recording(stage.client)
    stage.client, stage.send, stage.elapsed = recording, Scripted(scripted), lambda: 0.017  # type: ignore[assignment]
    stage.random_bytes = draw.randbytes
    endpoint = an_endpoint(
        buyers=BUYERS, fields=FIELDS, pool=a_pool(6, hold_seconds=60, cooldown_seconds=5), validation="strict",
            field_errors="list",
        duplicate_seconds=30 if seed % 2 else 0,
    )  # fmt: skip
    stage.publish(endpoint)
    player = Player(Publisher(stage), draw)
    for _ in range(80):
        player.play()

    items = stage.client.scan(TableName=SETTINGS.pings_table)["Items"]
    rows = rows_of(recording.events, endpoint)
    assert decode(encode(rows)) == rows
    assert {row.event for row in rows} <= {event.id for event in recording.events if is_of_interest(event)}
    assert len({(row.event, row.place) for row in rows}) == len(rows)
    check_pings([row for row in rows if row.kind == "ping"], items, recording.events)
    check_sales([row for row in rows if row.kind == "sale"], items)
    check_refusals([row for row in rows if row.kind == "refused"], items, player.answers)


def check_pings(rows: list[Row], items: Any, events: list[Event]) -> None:
    """A ping has a row for each seed with which it was ever priced; the last of them says what the item does."""
    pings = {item["ping_id"]["B"].hex(): (item, unpack(item["ping"]["B"], Ping)) for item in items if "ping" in item}
    seeds = {
        (event.new["ping_id"]["B"], unpack(event.new["ping"]["B"], Ping).seed)
        for event in events
        if event.new and "ping" in event.new
    }
    assert len(rows) == len(seeds) >= len(pings)
    assert {row.ping for row in rows} == pings.keys()
    for row in {row.ping: row for row in rows}.values():
        item, ping = pings[row.ping]
        assert (row.at, row.user, row.bids, row.milliseconds) == (ping.created_at, ping.user, len(ping.bids), 17)
        assert row.best_bid_cents == max((bid.cents for bid in ping.bids), default=0)
        assert (row.status == "no_matching_buyer") == (not ping.bids)
        assert [place + 1 for place, letter in enumerate(row.reasons) if letter == "."] == sorted(
            bid.buyer_id for bid in ping.bids
        )
        assert row.reasons[3] == "p"
        assert [(asked.outcome, asked.milliseconds) for asked in row.live] == (
            [("bid", 12)] if ping.lead.get("state") == "TX" else [("timed_out", 9)]
        )
        assert row.state == ping.lead.get("state", "") if "sale" not in item else True
    assert sum(row.bids for row in {row.ping: row for row in rows}.values()) == sum(
        len(ping.bids) for _, ping in pings.values()
    )


def check_sales(rows: list[Row], items: Any) -> None:
    sold = {item["ping_id"]["B"].hex(): item for item in items if "sale" in item}
    assert len(rows) == len(sold) > 0
    for row in rows:
        item, sale = sold[row.ping], unpack(sold[row.ping]["sale"]["B"], Sale)
        lead = unpack(item["ping"]["B"], Ping).lead | sale.posted
        assert (row.at, row.buyer, row.number) == (sale.sold_at, sale.buyer_id, sale.number)
        assert (row.revenue_cents, row.payout_cents) == (sale.cents, sale.payout_cents)
        assert (row.pool, row.pool_used) == ("pool-1", sale.pool_used)
        assert (row.source, row.state) == (lead.get("traffic_source_id", ""), lead.get("state", ""))
        assert row.area_code == (lead["caller_id"][2:5] if lead["caller_id"].startswith("+1") else "")
        assert row.caller == item["caller"]["B"][:8].hex()


def check_refusals(rows: list[Row], items: Any, answers: list[Answer]) -> None:
    noted = {item["ping_id"]["B"].hex(): int(item["refusals"]["N"]) for item in items if "refusals" in item}
    alone = {item["ping_id"]["B"].hex(): 1 for item in items if "kind" in item}
    assert Counter(row.ping for row in rows) == Counter(noted | alone)
    assert {row.pool for row in rows if row.ping in noted} == {"pool-1"}
    assert {row.pool_used for row in rows if row.status == "no_number_available"} <= {100}
    said, found = (Counter(answer.body["status"] for answer in answers), Counter(row.status for row in rows))
    assert found["invalid_fields"] > 0
    of_bodies = {status: said[status] for status in RECOGNISED if status != "buyer_mismatch"}
    assert of_bodies == {status: found[status] for status in of_bodies}


# What is refused before there is a ping


def stored(stage: Stage) -> list[dict[str, Any]]:
    items: Any = stage.client.scan(TableName=SETTINGS.pings_table)["Items"]
    return [item for item in items if "kind" in item]


def test_bad_fields_leave_their_names_and_no_value(stage: Stage, publisher: Publisher) -> None:
    users = (User("acme-media", "publisher"),)
    stage.elapsed = lambda: 0.0126
    stage.publish(an_endpoint(fields=FIELDS, version=3, users=users, validation="strict", require_auth_token=True))
    stage.give_token("secret", "acme-media")
    lead = {"caller_id": CALLER, "state": "Texas", "traffic_source_id": "a", "age": "middle-aged", "name": "Somebody"}
    assert publisher.ping(**lead, auth_token="secret").code == 422
    [item] = stored(stage)
    assert len(item.pop("ping_id")["B"]) == 12
    assert item == {
        "kind": {"S": "refusal"},
        "at": {"N": str(stage.clock())},
        "delete_at": {"N": str(stage.clock() + 2 * 86_400)},
        "status": {"S": "invalid_fields"},
        "fields": {"SS": ["age"]},
        "endpoint": {"S": "my_endpoint"},
        "version": {"N": "3"},
        "user": {"S": "acme-media"},
        "source": {"S": "a"},
        "state": {"S": "TX"},
        "area_code": {"S": "614"},
        "caller_start": {"B": caller_hash(stage.keys, CALLER)[:8]},
        "milliseconds": {"N": "13"},
    }


@pytest.mark.parametrize("verb", ["ping", "full", "post"])
def test_each_reason_before_pricing_is_stored_once(stage: Stage, publisher: Publisher, verb: str) -> None:
    endpoint = an_endpoint(
        fields=FIELDS, require_caller_id=True, suppression=("dnc",), duplicate_seconds=600, pool=a_pool(6)
    )
    stage.publish(endpoint)
    suppress(stage, "dnc", "+13125550199")
    assert publisher.full(caller_id=CALLER).body["success"]
    wanted = ["caller_id_required", "caller_number_suppressed", "duplicate_caller"]
    sent: list[dict[str, Any]] = [{}, {"caller_id": "+13125550199"}, {"caller_id": CALLER, "age": "31"}]
    if verb != "ping":
        wanted, sent = [*wanted, "buyer_mismatch"], [*sent, {"caller_id": "+16145550188", "buyer_id": "x"}]
    assert [publisher.send(verb, json_body=lead).body["status"] for lead in sent] == wanted
    assert Counter(item["status"]["S"] for item in stored(stage)) == Counter(wanted)


def test_what_is_noted_on_a_ping_or_was_not_recognised_leaves_no_item(stage: Stage, publisher: Publisher) -> None:
    users = (User("acme-media", "publisher"),)
    stage.publish(an_endpoint(fields=FIELDS, users=users, require_auth_token=True, validation="strict"))
    stage.give_token("secret", "acme-media")
    sent = {"auth_token": "secret", "caller_id": CALLER}
    ping = publisher.ping(**sent).body["try_all_buyers_ping_id"]
    assert publisher.post(**sent, ping_id=ping, age="old").code == 422
    assert publisher.ping(caller_id=CALLER, age="old", auth_token="wrong").body["status"] == "unauthorized"
    assert publisher.ping("nowhere", **sent).body["status"] == "unknown_endpoint"
    world = stage.world().of_sandbox()
    assert publisher.send("ping", world=world, json_body={**sent, "age": "old"}).code == 422
    assert stored(stage) == []


def test_an_idempotency_key_of_another_lead_and_a_source_by_its_number_are_stored_too(
    stage: Stage, publisher: Publisher
) -> None:
    stage.publish(an_endpoint(fields=FIELDS))
    stage.publish(an_endpoint(vanity_uri="static", static_numbers={"+18005550170": "bound"}, require_caller_id=True))
    for age, code in (("30", 200), ("31", 422)):
        key = {"Idempotency-Key": "k"}
        assert publisher.send("full", json_body={"caller_id": CALLER, "age": age}, headers=key).code == code
    assert publisher.ping("static", trackdrive_number="+18005550170").body["status"] == "caller_id_required"
    found = {item["endpoint"]["S"]: item for item in stored(stage)}
    assert found["my_endpoint"]["fields"] == {"SS": ["Idempotency-Key"]}
    assert found["static"]["source"] == {"S": "bound"}
    assert len(stored(stage)) == 2


class Deaf(Dynamo):
    """No item is put."""

    def send(self, method: Any, sendings: int, *args: Any, **request: Any) -> Any:
        if method.__name__ == "put_item":
            raise TemporarilyUnavailable
        return super().send(method, sendings, *args, **request)


def test_a_refusal_that_cannot_be_stored_is_answered_as_ever(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(require_caller_id=True))
    world = stage.world_over(Deaf(stage.client, SETTINGS))
    answer = publisher.send("ping", world=world, json_body={})
    assert (answer.code, answer.body["status"]) == (200, "caller_id_required")
    assert stored(stage) == []


def test_the_item_of_a_refusal_is_no_ping_to_anybody(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(require_caller_id=True))
    publisher.ping()
    [item] = stored(stage)
    raw = item["ping_id"]["B"]
    public = ping_id(stage.keys, "my_endpoint", raw)
    assert publisher.post(caller_id=CALLER, ping_id=public).body["status"] == "ping_id_unknown"
    pings = stage.world().pings
    assert pings.item(raw) is None
    assert pings.read_all([raw], stage.clock())[raw].ping is None
    assert list(pings.unsettled_of([raw], stage.clock())) == []
    assert pings.forget(raw, stage.clock()).name == "UNKNOWN"
    assert stored(stage) == [item]
