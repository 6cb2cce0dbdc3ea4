"""What has to be of calls in the end, whatever happened: one settlement of each, one payment of a sale, each word said
of it once, and counts and rows that are what it is worth."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.domain import caps, keys
from shared.domain.calls import NOT_DIALED
from shared.domain.models import Buyer, Endpoint, Sale
from shared.domain.reservations import read_key
from shared.domain.schedule import local_time
from shared.domain.updates import MOST_CENTS
from shared.journal.rows import Row
from shared.store.calls import StoredCall
from shared.store.counters import HELD, items, key_of
from shared.store.dynamo import Item
from shared.store.items import bytes_of, ping_key
from tests.build import KEYS, SETTINGS
from tests.race.call_functions import MAX_CENTS, MIN_CENTS, Word

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True)
class Books:
    """What is stored `now` of calls and sales that `began` then; how often each call was settled, and which numbers its
    provider was told to dial, by attempt; the rows of what became of them, and what was said of them."""

    client: "DynamoDBClient"
    endpoint: Endpoint
    began: int
    now: int
    calls: Mapping[bytes, StoredCall]
    sales: Mapping[bytes, Sale]
    settlements: Mapping[bytes, int]
    dialed: Mapping[bytes, Mapping[int, str]]
    rows: Sequence[Row]
    words: Sequence[Word]

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
        yield from self._words()
        yield from self._counts()
        for item in self._counted().values():
            if any("B" in value and isinstance(read_key(key)[1], int) for key, value in _map(item, HELD)):
                yield "a call holds what it took"

    def _payments(self) -> Iterator[str]:
        """Of a sale one call is paid, if one has earned it."""
        of_sale = defaultdict(list)
        for call_id, stored in self.calls.items():
            of_sale[stored.call.ping_id].append(call_id)
        for ping_id in self.sales:
            item: Item = self.client.get_item(TableName=SETTINGS.pings_table, Key=ping_key(ping_id))["Item"]
            paid, converted = bytes_of(item, "paid"), bytes_of(item, "converted")
            worth = [each for each in of_sale[ping_id] if _is_worth_something(self.calls[each])]
            if len(worth) > 1:
                yield "two calls of a sale are paid"
            if not paid and any(self._has_earned(self.calls[each]) for each in of_sale[ping_id]):
                yield "a payment is lost"
            if any(each != paid for each in worth):
                yield "another call is paid than the ping says"
            if paid and not _has_been_paid(self.calls[paid]):
                yield "a sale is left to a call that is worth nothing"
            if converted not in (b"", paid) or any(
                self.calls[each].worth.converted and not converted for each in worth
            ):
                yield "another call has converted than the ping says"
            marks = {"called", "never_called", "superseded_by"} & item.keys()
            if ("called" in item) != bool(of_sale[ping_id]) or not marks:
                yield "a sale is marked wrongly"  # as called and never called, where the journal is late

    def _words(self) -> Iterator[str]:
        """What was said counts once, or not at all; and rows say of a call what its item says."""
        for call_id, stored in self.calls.items():
            ids, worth = [update.id for update in stored.updates], stored.worth
            rows = [row for row in self.rows if row.call == call_id.hex() and row.kind in ("call", "update")]
            sums = (
                sum(row.converted for row in rows),
                sum(row.revenue_cents for row in rows),
                sum(row.payout_cents for row in rows),
            )
            if sums != (worth.converted, worth.revenue_cents, worth.payout_cents):
                yield "rows do not say what a call is worth"
            if sum(row.kind == "update" for row in rows) != len(ids) or len({*ids}) != len(ids):
                yield "a word counts twice"
            if any(abs(update.revenue_cents or 0) > MOST_CENTS for update in stored.updates):
                yield "a word that nobody may say counts"
            buyer = self.endpoint.buyer(stored.facts.settled.buyer_id) if stored.facts.settled else None
            says = buyer is not None and buyer.pay_rule.on == "buyer_says"
            if says and worth.converted and not MIN_CENTS <= worth.revenue_cents <= MAX_CENTS:
                yield "a buyer pays what it may not say"
        for word in self.words:
            told = keys.update_id(KEYS, word.call_id, word.teller.name, word.key)
            if "done" in word.answers and told not in self._updates_of(word.call_id):
                yield "a word is lost"

    def _updates_of(self, call_id: bytes) -> set[bytes]:
        return {update.id for update in self.calls[call_id].updates}

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
                is_own, worth = call.sold_to == buyer.id, stored.worth
                came.update({"connected": 1, "converted": int(worth.converted), "sales": int(not is_own)})
                came["revenue"] += worth.revenue_cents
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


def _is_worth_something(stored: StoredCall) -> bool:
    """Beside what is owed for its sale."""
    worth = stored.worth
    return worth.converted or worth.earned


def _has_been_paid(stored: StoredCall) -> bool:
    """Whether it has been worth something, or may yet be if its buyer says so."""
    settled = stored.facts.settled
    by_itself = settled is not None and (settled.converted or settled.payout_cents > 0 or settled.awaits_until > 0)
    return by_itself or bool(stored.updates)


def _map(item: Item, name: str) -> list[tuple[str, Any]]:
    return [*item.get(name, {"M": {}})["M"].items()]
