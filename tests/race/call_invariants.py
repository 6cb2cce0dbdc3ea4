"""What has to be of calls in the end, whatever happened: one settlement of each, one payment of a sale, and counts that
are what came true."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.domain import caps
from shared.domain.calls import NOT_DIALED
from shared.domain.models import Buyer, Endpoint, Sale
from shared.domain.reservations import read_key
from shared.domain.schedule import local_time
from shared.store.calls import StoredCall
from shared.store.counters import HELD, items, key_of
from shared.store.dynamo import Item
from shared.store.items import bytes_of, ping_key
from tests.build import SETTINGS

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True)
class Books:
    """What is stored `now` of calls and sales that `began` then; how often each call was settled, and which numbers its
    provider was told to dial, by attempt."""

    client: "DynamoDBClient"
    endpoint: Endpoint
    began: int
    now: int
    calls: Mapping[bytes, StoredCall]
    sales: Mapping[bytes, Sale]
    settlements: Mapping[bytes, int]
    dialed: Mapping[bytes, Mapping[int, str]]

    def find_faults(self) -> Iterator[str]:
        """Once nothing more is due."""
        for call_id, stored in self.calls.items():
            if not stored.facts.settled:
                yield "a call is not settled"
                return
            if self.settlements[call_id] != 1:
                yield "a call is settled twice"
            ended = stored.facts.ended
            if any(n in ended and ended[n].status in NOT_DIALED for n in self.dialed.get(call_id, {})):
                yield "a buyer is dialed that was refused"
        yield from self._payments()
        yield from self._counts()
        for item in self._counted().values():
            if any(isinstance(read_key(key)[1], int) and "B" in value for key, value in _map(item, HELD)):
                yield "a call holds what it took"

    def _payments(self) -> Iterator[str]:
        """Of a sale one call is paid, if one has earned it."""
        of_sale = defaultdict(list)
        for call_id, stored in self.calls.items():
            of_sale[stored.call.ping_id].append(call_id)
        for ping_id in self.sales:
            item: Item = self.client.get_item(TableName=SETTINGS.pings_table, Key=ping_key(ping_id))["Item"]
            paid = [each for each in of_sale[ping_id] if _is_paid(self.calls[each])]
            if len(paid) > 1:
                yield "two calls of a sale are paid"
            if not paid and any(self._has_earned(self.calls[each]) for each in of_sale[ping_id]):
                yield "a payment is lost"
            if paid and bytes_of(item, "converted") != paid[0]:
                yield "another call is paid than the ping says"
            if ("called" in item) != bool(of_sale[ping_id]) or not ("called" in item or "never_called" in item):
                yield "a sale is marked wrongly"  # both, where the journal is late

    def _has_earned(self, stored: StoredCall) -> bool:
        settled = stored.facts.settled
        buyer = self.endpoint.buyer(settled.buyer_id) if settled else None
        if not settled or not buyer or not stored.call.payable:
            return False
        converts = buyer.pay_rule.on != "duration" or settled.seconds >= buyer.pay_rule.after_seconds
        earns = self.endpoint.earns
        by_itself = earns.on == "connected" or (earns.on == "duration" and settled.seconds >= earns.after_seconds)
        return converts or by_itself

    def _counted(self) -> dict[Any, Item]:
        """The items that count the buyers' caps, by buyer and endpoint."""
        counting = [of for buyer in self.endpoint.buyers for of in items(buyer)]
        found = {
            of: self.client.get_item(TableName=SETTINGS.leases_table, Key=key_of(of), ConsistentRead=True)
            for of in counting
        }
        return {of: answer.get("Item", {}) for of, answer in found.items()}

    def _counts(self) -> Iterator[str]:
        """In periods in which all happened, each buyer's counts are what came of sales and calls."""
        counted = self._counted()
        for buyer in self.endpoint.buyers:
            came = self._came_true(buyer)
            for cap in buyer.amounts:
                name = caps.key(cap, local_time(buyer.zone, self.began))
                if name != caps.key(cap, local_time(buyer.zone, self.now)):
                    continue
                item = counted[buyer.id, cap.endpoint]
                if any("B" in value for _, value in _map(item, HELD)):
                    continue  # of a POST that died; an hour later it is given
                number, dialed = int(item.get(name, {"N": "0"})["N"]), came["dialed"]
                if not (dialed <= number <= came["attempts"] if cap.kind == "attempts" else number == came[cap.kind]):
                    yield f"what is counted of {cap.kind} is not what came true"

    def _came_true(self, buyer: Buyer) -> "Counter[str]":
        """By kind. Of `attempts` there may be fewer: a function that dies after it began one may have reserved nothing.
        Those that were `dialed` are counted."""
        came = Counter[str]()
        pays_for_sales = buyer.pay_rule.on == "sale"
        for sale in self.sales.values():
            if sale.buyer_id == buyer.id:
                came.update({"sales": 1, "revenue": sale.cents if pays_for_sales else 0})
        for call_id, stored in self.calls.items():
            call, facts = stored.call, stored.facts
            dialed = [n for n, attempt in facts.attempts.items() if attempt.buyer_id == buyer.id]
            refused = [n for n in dialed if n in facts.ended and facts.ended[n].status in NOT_DIALED]
            came["attempts"] += len(dialed) - len(refused)
            came["dialed"] += len(self.dialed.get(call_id, {}).keys() & {*dialed})
            if facts.settled and facts.settled.buyer_id == buyer.id:
                is_own = call.sold_to == buyer.id
                came.update({"connected": 1, "converted": int(facts.settled.converted), "sales": int(not is_own)})
                came["revenue"] += 0 if is_own and pays_for_sales else facts.settled.revenue_cents
        return came

    def find_what_is_left(self) -> Iterator[str]:
        """An hour later nothing is held and no place is taken."""
        yield from self._counts()
        for (_, endpoint), item in self._counted().items():
            if any("B" in value for _, value in _map(item, HELD)):
                yield "something is held"
            places = _map(item, f"concurrent@{endpoint}" if endpoint else "concurrent")
            if any(int(end["N"]) > self.now for _, end in places):
                yield "a place is taken"


def _is_paid(stored: StoredCall) -> bool:
    settled = stored.facts.settled
    return settled is not None and (settled.converted or settled.payout_cents > 0)


def _map(item: Item, name: str) -> list[tuple[str, Any]]:
    return [*item.get(name, {"M": {}})["M"].items()]
