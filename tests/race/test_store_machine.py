"""The store against a model, on a real engine: any order of pings, posts, retries, waits, and changes of the pool and
its times. The model is a dictionary of numbers with the end of their last lease."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from shared import configuration
from shared.settings import Settings
from shared.store.compiled import ENDPOINT_SECONDS
from shared.store.dynamo import Dynamo
from shared.store.records import Records
from tests.build import KEYS, Answer, Publisher, Stage
from tools import engine

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PING_SECONDS = 60
WEEK = 7 * 24 * 3600
STALE_SECONDS = ENDPOINT_SECONDS
"""How long a process may work by an old configuration."""

NUMBERS = [f"+18005550{n:03}" for n in range(100, 112)]
STACKS = count()


@dataclass
class PostedPing:
    """What the model knows of a ping: when it ends, and its sale."""

    body: dict[str, Any]
    caller: str
    expires_at: int
    choice: str = ""
    answer: str = ""
    held_until: int = 0


@dataclass
class Model:
    """`ends` has every number of the pool with the end of its last lease, cooldown included. Numbers come in order of
    their rest as long as all leases have one length."""

    ends: dict[str, int] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)
    hold_seconds: int = 120
    cooldown_seconds: int = 30
    exact_from: int = 0
    has_one_length: bool = True

    def free(self, now: int) -> list[str]:
        return [number for number, end in self.ends.items() if end <= now]


class Store(RuleBasedStateMachine):
    client: "DynamoDBClient"

    def __init__(self) -> None:
        super().__init__()
        stack = next(STACKS)
        names = Settings(
            config_table=f"config{stack}",
            pings_table=f"pings{stack}",
            leases_table=f"leases{stack}",
            callers_table=f"callers{stack}",
            journal_table=f"journal{stack}",
            sandbox_pings_table=f"sandbox-pings{stack}",
            sandbox_leases_table=f"sandbox-leases{stack}",
            sandbox_callers_table=f"sandbox-callers{stack}",
            secret="00" * 32,
        )
        engine.create_tables(self.client, names)
        self.stage = Stage(self.client, settings=names)
        self.publisher = Publisher(self.stage)
        self.records = Records(Dynamo(self.client, names), KEYS, self.stage.clock)
        self.model = Model()
        self.pings: list[PostedPing] = []
        self.leads: list[PostedPing] = []
        self.attempts = count()

    @property
    def now(self) -> int:
        return self.stage.clock.now

    @initialize(numbers=st.integers(1, 6))
    def first_configuration(self, numbers: int) -> None:
        self.model.ends = dict.fromkeys(NUMBERS[:numbers], 0)
        self._apply()
        self.model.exact_from = 0

    @rule(caller=st.integers(0, 4))
    def ping(self, caller: int) -> None:
        answer = self.publisher.ping(caller_id=f"614555010{caller}")
        assert answer.body["success"]
        self.pings.append(PostedPing(answer.body, f"614555010{caller}", self.now + PING_SECONDS))

    @precondition(lambda self: self.pings)
    @rule(data=st.data(), choice=st.sampled_from(["first", "second", "all"]), other_caller=st.booleans())
    def post(self, data: st.DataObject, choice: str, other_caller: bool) -> None:
        ping = data.draw(st.sampled_from(self.pings[-6:]))
        buyers = ping.body["buyers"]
        ping_id = {"first": buyers[0]["ping_id"], "second": buyers[1]["ping_id"]}.get(
            choice, ping.body["try_all_buyers_ping_id"]
        )
        caller = "6145550199" if other_caller else ping.caller
        answer = self.publisher.post(ping_id=ping_id, caller_id=caller)
        if ping.answer:
            if (choice, caller) == (ping.choice, ping.caller) and self.now < ping.held_until:
                assert answer.text == ping.answer
            else:
                assert answer.body["status"] == "ping_id_used"
        elif self.now >= ping.expires_at:
            assert answer.body["status"] == "ping_id_expired"
        elif self._sold(answer):
            ping.choice, ping.caller, ping.answer, ping.held_until = choice, caller, answer.text, self.held_until

    @rule(caller=st.integers(0, 4))
    def post_without_a_ping(self, caller: int) -> None:
        lead = f"614555020{caller}"
        earlier = next((sold for sold in self.leads if sold.caller == lead and sold.held_until > self.now), None)
        answer = self.publisher.post(caller_id=lead)
        if earlier:
            assert answer.text == earlier.answer
        elif self._sold(answer):
            self.leads.append(PostedPing({}, lead, 0, answer=answer.text, held_until=self.held_until))

    @rule(seconds=st.sampled_from([1, 29, 30, 59, 60, 61, 90, 119, 120, 121, 150]))
    def wait(self, seconds: int) -> None:
        self.stage.clock.forward(seconds)

    @rule(noticed=st.booleans())
    def exhaust(self, noticed: bool) -> None:
        if noticed:
            self.stage.exhausted.clear()  # as in a process that has not seen it
        for _ in self.model.free(self.now):
            self._sold(self.publisher.post(caller_id="6145550300", attempt=next(self.attempts)))
        if self.now >= self.model.exact_from:
            assert not self.model.free(self.now)

    @rule(data=st.data(), noticed=st.booleans())
    def add_a_number(self, data: st.DataObject, noticed: bool) -> None:
        number = data.draw(st.sampled_from(NUMBERS))
        if number in self.model.ends:
            return
        self.model.ends[number] = self.model.gone.pop(number, 0)
        self._apply()
        self._noticed(noticed)

    @precondition(lambda self: len(self.model.ends) > 1)
    @rule(data=st.data(), noticed=st.booleans())
    def retire_a_number(self, data: st.DataObject, noticed: bool) -> None:
        number = data.draw(st.sampled_from(sorted(self.model.ends)))
        self.model.gone[number] = self.model.ends.pop(number)
        self._apply()
        self._noticed(noticed)

    @rule(
        hold=st.sampled_from([60, 120, 200, 7 * 24 * 3600]),
        cooldown=st.sampled_from([0, 30, 100]),
        noticed=st.booleans(),
    )
    def change_the_hold(self, hold: int, cooldown: int, noticed: bool) -> None:
        self.model.has_one_length &= self.model.hold_seconds + self.model.cooldown_seconds == hold + cooldown
        self.model.hold_seconds, self.model.cooldown_seconds = hold, cooldown
        self._apply()
        self._noticed(noticed)

    @rule()
    def apply_again(self) -> None:
        live = self.records.versions.current()
        self._apply()
        assert self.records.versions.current() == live

    def _noticed(self, noticed: bool) -> None:
        """A process that starts now, or one that may still work by what it knows."""
        if noticed:
            self.stage.memory.endpoints.clear()
        else:
            self.model.exact_from = self.now + STALE_SECONDS

    def _sold(self, answer: Answer) -> bool:
        """Whether it was a sale; either way the model agrees that it had to be one or had to be none."""
        free, exact = self.model.free(self.now), self.now >= self.model.exact_from
        if not answer.body["success"]:
            assert answer.body["status"] == "no_number_available"
            if exact:
                assert free == []
                assert answer.body["retry_after_seconds"] == min(self.model.ends.values()) - self.now
            return False
        number = "+" + answer.body["trackdrive_number"]
        assert number in free, "a number that is leased, cools down or is not in the pool"
        if exact and self.model.has_one_length:
            assert self.model.ends[number] == min(self.model.ends[other] for other in free), "not the longest rested"
        lease = next(lease for lease in self._leases() if lease.number == number)
        self.model.ends[number] = lease.expires_at
        self.held_until = lease.expires_at - self._pool().cooldown_seconds
        assert self.held_until >= self.now + (self._pool().hold_seconds if exact else PING_SECONDS)
        return True

    def _leases(self) -> Iterator[Any]:
        pool = self.records.versions.current().pools["pool"]
        rings = self.stage.world().rings.look(pool, pool.shards)
        for shard in pool.shards:
            yield from rings[shard.id].leases(shard.numbers)

    def _pool(self) -> Any:
        endpoint = self.stage.memory.endpoints["my_endpoint"].endpoint
        assert endpoint
        return endpoint.pool

    def _apply(self) -> None:
        contact_fields = [
            {"name": "caller_id", "type": "phone", "required_on": ["post"]},
            {"name": "attempt", "type": "text"},
        ]
        buyers = [
            {"id": 1, "name": "Buyer A", "bid": "25.00", "number": "+18005550181"},
            {"id": 2, "name": "Buyer B", "bid": "20.00", "number": "+18005550182"},
        ]
        document = {
            "ring_pools": [
                {
                    "name": "pool",
                    "numbers": sorted(self.model.ends),
                    "hold_seconds": self.model.hold_seconds,
                    "cooldown_seconds": self.model.cooldown_seconds,
                    "address_share": 100,
                }
            ],
            "offers": [{"name": "offer", "rank_by": "bid", "contact_fields": contact_fields, "buyers": buyers}],
            "endpoints": [
                {
                    "vanity_uri": "my_endpoint",
                    "offer": "offer",
                    "tracking": "ring_pool",
                    "ring_pool": "pool",
                    "ping_ttl_seconds": PING_SECONDS,
                    "require_auth_token": False,
                    "leases_per_caller": 100,
                }
            ],
        }
        self.records.applying.apply(configuration.read(document), by="a test")


def test_the_store_does_what_the_model_does(dynoxide: "DynamoDBClient") -> None:
    machine = type("StoreOnDynoxide", (Store,), {"client": dynoxide})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=100,
            stateful_step_count=30,
            phases=[Phase.generate],
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
