"""The end of lead data: callers that are erased, and the leads of sales whose retention is over.

A ping that was not sold is deleted with its lead by DynamoDB. A sale is kept longer than its lead: `sweep` removes the
lead when its time has come, and leaves buyer, amounts and times. Until then nobody is shown it.

Every erasing is an item of the config table, "ERASED" and the time: who, whose keyed hash or which ping, how much.
"""

import os
from collections.abc import Callable, Iterator

from msgspec import Struct

from shared.domain.keys import Keys, caller_hash, caller_hashes, of_sandbox, read_ping_id, route_keys
from shared.domain.models import DAY, Lead
from shared.store.callers import Callers
from shared.store.dynamo import Dynamo, Item
from shared.store.items import as_number, as_text, number_of, table_key, text_of
from shared.store.journal import raw_id
from shared.store.ping_log import LOG_SHARDS, PingLog, Start
from shared.store.pings import CLAIM_SECONDS, Claim, Pings, State
from shared.store.routes import Routes

SETTLED_SECONDS = CLAIM_SECONDS + 2
"""After that every request that was under way has ended, and the index shows its sale."""
PATIENCE_SECONDS = 60
"""How long pings that are just being sold are waited for."""
BATCH = 100
SWEPT = table_key("LEADS", "SWEPT")


class Erased(Struct, frozen=True, kw_only=True):
    """`caller` is the keyed hash in hexadecimal; empty where one ping was erased by its id, `ping`, in hexadecimal.
    `being_sold` pings were just being sold and could not be erased; `settled` says that sales which were being made
    when it began are erased as well. In a dry run these are counts of what would be erased, and `marks` says whether
    sales of the caller are remembered against duplicates."""

    at: int
    by: str
    caller: str
    pings: int
    sales: int
    ping: str = ""
    marks: bool = False
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
        self.ping_log = PingLog(dynamo)
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
        self._note(erased)
        return erased

    def preview(self, caller: str, by: str) -> Erased:
        """What `erase` would erase now. Nothing is changed, and nothing is recorded."""
        found = [
            Pings(dynamo).read(ping_id, self.now())
            for keys, dynamo in self._worlds()
            for ping_id in self._pings_of(keys, dynamo, caller)
        ]
        states = [claim.state for claim in found if claim.ping]
        return Erased(
            at=self.now(),
            by=by,
            caller=caller_hash(self.keys, caller).hex(),
            pings=len(states) - states.count(State.CLAIMED),
            sales=states.count(State.SOLD),
            being_sold=states.count(State.CLAIMED),
            settled=False,
            marks=self.callers.has_marks(caller),
        )

    def preview_ping(self, text: str, by: str) -> Erased | None:
        """What `erase_ping` would erase now. Nothing is changed, and nothing is recorded."""
        found = self._found(text)
        return self._of_ping(found[0], found[1].state, by) if found else None

    def erase_ping(self, text: str, by: str) -> Erased | None:
        """Erase one ping, by any of its ids: its lead, its answer and its route; None if there is no such ping. Other
        pings of its caller stay, and so do the marks of its sales."""
        found = self._found(text)
        if found is None:
            return None
        ping_id, _, keys, dynamo = found
        erased = self._of_ping(ping_id, self._erase(keys, dynamo, "", ping_id), by)
        if not erased.being_sold:
            self._note(erased)
        return erased

    def _found(self, text: str) -> tuple[bytes, Claim, Keys, Dynamo] | None:
        """The raw id of a ping, the ping, and the keys and tables of its endpoint."""
        ping_id, public = raw_id(text)
        for keys, dynamo in self._worlds() if ping_id else ():
            claim = Pings(dynamo).read(ping_id, self.now())
            if claim.ping and not (public and read_ping_id(keys, claim.ping.endpoint, text) is None):
                return ping_id, claim, keys, dynamo
        return None

    def _of_ping(self, ping_id: bytes, state: State, by: str) -> Erased:
        claimed = state is State.CLAIMED
        return Erased(
            at=self.now(),
            by=by,
            caller="",
            pings=int(not claimed),
            sales=int(state is State.SOLD),
            being_sold=int(claimed),
            ping=ping_id.hex(),
        )

    def _note(self, erased: Erased) -> None:
        whose = erased.caller or f"ping {erased.ping}"
        self.dynamo.call(
            self.dynamo.client.put_item,
            TableName=self.dynamo.settings.config_table,
            Item={
                **table_key("ERASED", f"{erased.at:012}#{whose}"),
                "by": as_text(erased.by),
                "pings": as_number(erased.pings),
                "sales": as_number(erased.sales),
            },
        )

    def erasures(self) -> list[Erased]:
        """Every erasing, the last first."""
        found = self.dynamo.items(
            self.dynamo.client.query,
            TableName=self.dynamo.settings.config_table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": as_text("ERASED")},
            ScanIndexForward=False,
        )
        return [_erased(item) for item in found]

    def sweep(self, lead_seconds: int, sale_seconds: int) -> int:
        """Remove the leads of sales that came more than `lead_seconds` ago, from where the last sweep ended; how many.
        Four calls a day that is looked at, two a sale."""
        swept, until = 0, self.now() - lead_seconds
        since = (self._swept_until() or until - max(0, sale_seconds - lead_seconds)) + 1
        for day in range(since // DAY * DAY, until + 1, DAY):
            for shard in range(LOG_SHARDS):
                for ping_id in self.ping_log.sold_in(day, shard, max(day, since), until):
                    swept += self.pings.forget(ping_id, self.now()) is State.SOLD
            self._note_swept(min(until, day + DAY - 1))
        return swept

    def _pass(self, caller: str) -> tuple[int, int, int]:
        """How many pings of the caller were erased, how many of them were sold, and how many are just being sold; those
        to sandboxes too."""
        states = [
            self._erase(keys, dynamo, caller, ping_id)
            for keys, dynamo in self._worlds()
            for ping_id in self._pings_of(keys, dynamo, caller)
        ]
        erased = [state for state in states if state in (State.SOLD, State.SPENT)]
        return len(erased), erased.count(State.SOLD), states.count(State.CLAIMED)

    def _worlds(self) -> tuple[tuple[Keys, Dynamo], ...]:
        """Keys and tables of the endpoints, and of their sandboxes."""
        return (self.keys, self.dynamo), (of_sandbox(self.keys), self.dynamo.of_sandbox())

    def _pings_of(self, keys: Keys, dynamo: Dynamo, caller: str) -> Iterator[bytes]:
        """The ids of a caller's pings, under every key."""
        for hashed in caller_hashes(keys, caller):
            start: Start | None = None
            more = True
            while more:
                found, more = PingLog(dynamo).of_caller([hashed], start, BATCH)
                yield from (ping_id for _, ping_id in found)
                start = found[-1] if found else start

    def _erase(self, keys: Keys, dynamo: Dynamo, caller: str, ping_id: bytes) -> State:
        """`caller` is whose route goes; without one it is the lead's own."""
        pings = Pings(dynamo)
        claim = pings.read(ping_id, self.now())
        state = pings.forget(ping_id, self.now())
        if state is State.CLAIMED or claim.ping is None:
            return state
        lead = Lead(claim.ping.lead | (claim.sale.posted if claim.sale else {}))
        for number in {lead.get("trackdrive_number", ""), claim.sale.number if claim.sale else ""} - {""}:
            Routes(dynamo).remove(route_keys(keys, number, caller or lead.caller), ping_id, os.urandom(8), self.now())
        return state

    def _swept_until(self) -> int:
        swept = self.dynamo.get(self.dynamo.settings.journal_table, SWEPT)
        return number_of(swept, "until") if swept else 0

    def _note_swept(self, until: int) -> None:
        self.dynamo.call(
            self.dynamo.client.put_item,
            TableName=self.dynamo.settings.journal_table,
            Item={**SWEPT, "until": as_number(until)},
        )


def _erased(item: Item) -> Erased:
    at, _, whose = text_of(item, "sk").partition("#")
    ping = whose.removeprefix("ping ") if whose.startswith("ping ") else ""
    return Erased(
        at=int(at),
        by=text_of(item, "by"),
        caller="" if ping else whose,
        pings=number_of(item, "pings"),
        sales=number_of(item, "sales"),
        ping=ping,
    )
