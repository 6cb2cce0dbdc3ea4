"""The end of lead data: callers that are erased, and the leads of sales whose retention is over.

A ping that was not sold is deleted with its lead by DynamoDB. A sale is kept longer than its lead: `sweep` removes the
lead when its time has come, and leaves buyer, amounts and times. Until then nobody is shown it.

Every erasing is an item of the config table, "ERASED" and the time: who, whose keyed hash, how much.
"""

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from shared.domain.keys import Keys, caller_hash, of_sandbox, route_key
from shared.domain.models import DAY, Lead
from shared.store.callers import Callers
from shared.store.dynamo import Dynamo, Item
from shared.store.pings import CLAIM_SECONDS, LOG_SHARDS, Pings, Start, State

SETTLED_SECONDS = CLAIM_SECONDS + 2
"""After that every request that was under way has ended, and the index shows its sale."""
PATIENCE_SECONDS = 60
"""How long pings that are just being sold are waited for."""
BATCH = 100
SWEPT = {"pk": {"S": "LEADS"}, "sk": {"S": "SWEPT"}}


class Erased(Struct, frozen=True, kw_only=True):
    """`caller` is the keyed hash in hexadecimal. `being_sold` pings were just being sold and could not be erased;
    `settled` says that sales which were being made when it began are erased as well."""

    at: int
    by: str
    caller: str
    pings: int
    sales: int
    being_sold: int = 0
    settled: bool = True


class Erasing:
    """`now` is the clock, in seconds since the epoch; `pause` waits a while."""

    def __init__(self, dynamo: Dynamo, keys: Keys, now: Callable[[], int], pause: Callable[[], None]) -> None:
        self.dynamo = dynamo
        self.keys = keys
        self.now = now
        self.pause = pause
        self.pings = Pings(dynamo)
        self.callers = Callers(dynamo, keys)

    def erase(self, caller: str, by: str, wait: bool) -> Erased:
        """Erase a caller (E.164) everywhere: leads and answers of all its pings, its marks and routes. Not from a
        suppression list, where only a keyed hash of it protects it. A retry of its POST may then be told
        `ping_id_used`, and a call of it to a static or overflow number is routed no more.

        A request that is under way is not in the index yet. With `wait` this takes `SETTLED_SECONDS` longer, and erases
        what those have left, too; without, ask again later. Three calls a ping.
        """
        began = self.now()
        pings, sales, being_sold = self._pass(caller)
        settled = False
        while wait and (not settled or being_sold) and self.now() < began + PATIENCE_SECONDS:
            self.pause()
            if settled := self.now() >= began + SETTLED_SECONDS:
                more_pings, more_sales, being_sold = self._pass(caller)
                pings, sales = pings + more_pings, sales + more_sales
        self.callers.forget(caller)
        erased = Erased(
            at=began,
            by=by,
            caller=caller_hash(self.keys, caller).hex(),
            pings=pings,
            sales=sales,
            being_sold=being_sold,
            settled=settled,
        )
        self.dynamo.call(
            self.dynamo.client.put_item,
            TableName=self.dynamo.settings.config_table,
            Item={
                "pk": {"S": "ERASED"},
                "sk": {"S": f"{began:012}#{erased.caller}"},
                "by": {"S": by},
                "pings": {"N": str(pings)},
                "sales": {"N": str(sales)},
            },
        )
        return erased

    def erasures(self) -> list[Erased]:
        """Every erasing, the last first."""
        query: Callable[..., Any] = self.dynamo.client.query
        items: list[Item] = []
        after: Item | None = None
        while True:
            answer = self.dynamo.call(
                query,
                TableName=self.dynamo.settings.config_table,
                KeyConditionExpression="pk = :pk",
                ExpressionAttributeValues={":pk": {"S": "ERASED"}},
                ScanIndexForward=False,
                **({"ExclusiveStartKey": after} if after else {}),
            )
            items += answer["Items"]
            if not (after := answer.get("LastEvaluatedKey")):
                break
        return [
            Erased(
                at=int(item["sk"]["S"].partition("#")[0]),
                by=item["by"]["S"],
                caller=item["sk"]["S"].partition("#")[2],
                pings=int(item["pings"]["N"]),
                sales=int(item["sales"]["N"]),
            )
            for item in items
        ]

    def sweep(self, lead_seconds: int, sale_seconds: int) -> int:
        """Remove the leads of sales that came more than `lead_seconds` ago, from where the last sweep ended; how many.
        Four calls a day that is looked at, two a sale."""
        swept, until = 0, self.now() - lead_seconds
        since = (self._swept_until() or until - max(0, sale_seconds - lead_seconds)) + 1
        for day in range(since // DAY * DAY, until + 1, DAY):
            for shard in range(LOG_SHARDS):
                for ping_id in self.pings.sold_in(day, shard, max(day, since), until):
                    swept += self.pings.forget(ping_id, self.now()) is State.SOLD
            self._note_swept(min(until, day + DAY - 1))
        return swept

    def _pass(self, caller: str) -> tuple[int, int, int]:
        """How many pings of the caller were erased, how many of them were sold, and how many are just being sold; those
        to sandboxes too."""
        states = [state for keys in (self.keys, of_sandbox(self.keys)) for state in self._under(keys, caller)]
        erased = [state for state in states if state in (State.SOLD, State.SPENT)]
        return len(erased), erased.count(State.SOLD), states.count(State.CLAIMED)

    def _under(self, keys: Keys, caller: str) -> Iterator[State]:
        start: Start | None = None
        more = True
        while more:
            found, more = self.pings.of_caller(caller_hash(keys, caller), start, BATCH)
            yield from (self._erase(keys, caller, ping_id) for _, ping_id in found)
            start = found[-1] if found else start

    def _erase(self, keys: Keys, caller: str, ping_id: bytes) -> State:
        claim = self.pings.read(ping_id, self.now())
        state = self.pings.forget(ping_id, self.now())
        if state is State.CLAIMED or claim.ping is None:
            return state
        lead = Lead(claim.ping.lead | (claim.sale.posted if claim.sale else {}))
        for number in {lead.get("trackdrive_number", ""), claim.sale.number if claim.sale else ""} - {""}:
            self.pings.remove_route(route_key(keys, number, caller), ping_id)
        return state

    def _swept_until(self) -> int:
        answer = self.dynamo.call(
            self.dynamo.client.get_item, TableName=self.dynamo.settings.journal_table, Key=SWEPT, ConsistentRead=True
        )
        return int(answer["Item"]["until"]["N"]) if "Item" in answer else 0

    def _note_swept(self, until: int) -> None:
        self.dynamo.call(
            self.dynamo.client.put_item,
            TableName=self.dynamo.settings.journal_table,
            Item={**SWEPT, "until": {"N": str(until)}},
        )
