"""Pings, their claims and sales; and, beside them in the same table, static routes and retry keys.

A ping's item holds `ping` and `sale`, packed; `expires_at`; while a POST works on it `claim`, the attempt's id, with
`claimed_at` and `previous`, the attempt that it took the claim over from; `asked`, the live buyers that may have
agreed to a sale that is not recorded; and `refused`, the status of the last POST that sold nothing, with `refused_at`.
`delete_at` is when nothing of it is shown any more, and DynamoDB's broom comes some time after.

What the log shows stands beside, for the indexes of `shared.schema`: `log`, the day, "open" or "sold" and one of a few
shards, and `at`, when it came; `endpoint`, `user`, `source`, the number of `bids`, `cents` and `payout` of the best
one, 0 without any; `caller`, a keyed hash; of a sale its `buyer`, `sold_at`, `cents` and `payout`, and what its caps
`counted` where that differs.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from enum import Enum, auto
from heapq import nlargest
from types import MappingProxyType
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from shared.domain import sandbox
from shared.domain.live import Yes
from shared.domain.models import DAY, Facts, Lead, Ping, Sale
from shared.domain.refusals import TemporarilyUnavailable
from shared.schema import ROW
from shared.store.dynamo import ConditionFailed, Dynamo, Item

CLAIM_SECONDS = 10
"""When a claim may be taken over: a second after the function that made it was stopped by its time-out."""

MARK_SECONDS = DAY
"""How long routes, retry keys and marks outlive their use."""

LOG_SHARDS = 2
"""Partitions of the log in a day, each for what is sold and what is not: each takes a thousand pings a second."""

PING_IS_LIVE = "attribute_exists(ping_id) AND expires_at > :now"
PING_IS_UNSOLD = "attribute_not_exists(sale) AND attribute_not_exists(spent)"
NOBODY_WORKS_ON_IT = "(attribute_not_exists(claim) OR claimed_at <= :abandoned)"
THE_ATTEMPT_IS_MINE = "claim = :attempt"
NO_LIVE_SALE_HAS_THE_ROUTE = "attribute_not_exists(ping_id) OR sold = :false OR held_until <= :now"
KEY_IS_FREE = "attribute_not_exists(ping_id) OR held_until <= :now"

CLAIM_IT = "previous = if_not_exists(claim, :nobody), claim = :attempt, claimed_at = :now"

LogState = Literal["open", "sold"]
STATES: tuple[LogState, ...] = ("open", "sold")

T = TypeVar("T")
Start = tuple[int, bytes]
"""The time and id of the ping after which a list goes on."""


class State(Enum):
    UNKNOWN = auto()
    FREE = auto()
    CLAIMED = auto()
    SOLD = auto()
    SPENT = auto()
    EXPIRED = auto()


class Asked(Struct, frozen=True, array_like=True):
    """A live buyer was told of a sale at `at`: it `said` yes, or it is not known what it made of it."""

    at: int
    said: Yes | None = None


class Claim(Struct, frozen=True):
    """What an attempt found. `state` is FREE where the claim is now its own; `taken_over` says that an earlier attempt
    may have leased a number and not said so. There is a `ping` unless it is UNKNOWN or was SPENT unseen, a `sale` if
    SOLD; `asked` holds what is not settled with live buyers, by id."""

    state: State
    ping: Ping | None = None
    sale: Sale | None = None
    taken_over: bool = False
    asked: dict[int, Asked] = {}


class Route(Struct, frozen=True):
    """Where a call to (number, caller id) goes: the ping's buyer, dialled at `number`, until `held_until`."""

    ping_id: bytes
    buyer_id: int
    number: str
    sold: bool
    held_until: int


class Pings:
    def __init__(self, dynamo: Dynamo) -> None:
        self.dynamo = dynamo
        self.table = dynamo.settings.pings_table

    def open(self, ping: Ping, caller: bytes) -> None:
        """One write stores the ping with every bid. `caller` is the keyed hash, b"" without one."""
        self.dynamo.call(
            self.dynamo.client.put_item,
            TableName=self.table,
            Item={
                "ping_id": {"B": ping.id},
                "ping": {"B": _pack(ping)},
                **_opened(ping, caller),
            },
        )

    def claim(self, ping_id: bytes, attempt: bytes, now: int) -> Claim:
        """Take a live, unsold ping for one attempt, and read it in the same call."""
        return self._claim(
            ping_id,
            attempt,
            now,
            update=f"SET {CLAIM_IT}",
            condition=f"{PING_IS_LIVE} AND {PING_IS_UNSOLD} AND {NOBODY_WORKS_ON_IT}",
        )

    def open_and_claim(self, ping: Ping, caller: bytes, attempt: bytes, now: int) -> Claim:
        """Store a ping that is claimed from the start, or store it anew over an earlier attempt that sold nothing."""
        opened = {"ping": {"B": _pack(ping)}, **_opened(ping, caller)}
        return self._claim(
            ping.id,
            attempt,
            now,
            update=f"SET {', '.join(f'#{name} = :{name}' for name in opened)}, {CLAIM_IT}",
            condition=f"{PING_IS_UNSOLD} AND {NOBODY_WORKS_ON_IT}",
            values={f":{name}": value for name, value in opened.items()},
            names={f"#{name}": name for name in opened},
        )

    def _claim(
        self,
        ping_id: bytes,
        attempt: bytes,
        now: int,
        update: str,
        condition: str,
        values: Item | None = None,
        names: Mapping[str, str] | None = None,
    ) -> Claim:
        named: dict[str, Any] = {"ExpressionAttributeNames": names} if names else {}
        try:
            answer = self.dynamo.call(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key={"ping_id": {"B": ping_id}},
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeValues={
                    ":attempt": {"B": attempt},
                    ":nobody": {"B": b""},
                    ":now": {"N": str(now)},
                    ":abandoned": {"N": str(now - CLAIM_SECONDS)},
                    **(values or {}),
                },
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **named,
            )
        except ConditionFailed as met:
            if met.item and _bytes(met.item, "claim") == attempt and "sale" not in met.item:
                return _found(met.item, State.FREE)  # our own first try went through and its answer was lost
            return seen(met.item, now)
        return _found(answer["Attributes"], State.FREE)

    def read(self, ping_id: bytes, now: int) -> Claim:
        """What a claim would find, without claiming."""
        return seen(self._item(ping_id), now)

    def item(self, ping_id: bytes) -> Item | None:
        """Everything that is stored of a ping; what stands under another kind of key is none."""
        item = self._item(ping_id)
        return item if item and "ping" in item else None

    def of_caller(self, caller: bytes, start: Start | None, limit: int) -> tuple[list[Start], bool]:
        """The times and ids of the pings of a caller, by its keyed hash, the last first; and whether there are more."""
        after = {"caller": {"B": caller}, "at": _n(start[0]), "ping_id": {"B": start[1]}} if start else None
        items, more = self._queried(
            "by_caller",
            after,
            limit,
            KeyConditionExpression="caller = :caller",
            ExpressionAttributeValues={":caller": {"B": caller}},
        )
        return [(_int(item, "at"), item["ping_id"]["B"]) for item in items], more

    def sold_to(
        self, buyer_id: int, since: int, before: int, start: Start | None, limit: int
    ) -> tuple[list[Item], bool]:
        """What the log shows of the sales to a buyer from `since` to before `before`, the last first; and whether there
        are more. A sale is there some time after it was recorded, usually at once."""
        after = {"buyer": _n(buyer_id), "sold_at": _n(start[0]), "ping_id": {"B": start[1]}} if start else None
        return self._queried(
            "by_buyer",
            after,
            limit,
            KeyConditionExpression="buyer = :buyer AND sold_at BETWEEN :since AND :last",
            ExpressionAttributeValues={":buyer": _n(buyer_id), ":since": _n(since), ":last": _n(before - 1)},
        )

    def shown(self, ping_ids: Sequence[bytes]) -> list[Item]:
        """What the log shows of up to a hundred pings, in their order, as it is now."""
        if not ping_ids:
            return []
        names = {f"#{name}": name for name in ("ping_id", "at", "expires_at", "buyer", "sold_at", *ROW)}
        answer = self.dynamo.call(
            self.dynamo.client.batch_get_item,
            RequestItems={
                self.table: {
                    "Keys": [{"ping_id": {"B": ping_id}} for ping_id in ping_ids],
                    "ProjectionExpression": ", ".join(names),
                    "ExpressionAttributeNames": names,
                }
            },
        )
        if answer.get("UnprocessedKeys"):
            raise TemporarilyUnavailable
        found: dict[bytes, Item] = {item["ping_id"]["B"]: item for item in answer["Responses"][self.table]}
        return [found[ping_id] for ping_id in ping_ids if ping_id in found]

    def _queried(
        self, index: str, after: Mapping[str, Any] | None, limit: int, **request: Any
    ) -> tuple[list[Item], bool]:
        query: Callable[..., Any] = self.dynamo.client.query
        answer = self.dynamo.call(
            query,
            TableName=self.table,
            IndexName=index,
            ScanIndexForward=False,
            Limit=limit,
            **({"ExclusiveStartKey": after} if after else {}),
            **request,
        )
        return answer["Items"], "LastEvaluatedKey" in answer

    def last(self, count: int, now: int) -> list[Ping]:
        """The last PINGs that were stored and whose leads are kept, the newest first, without those to sandboxes. It
        reads the whole table, and keeps `count`."""
        newest: list[tuple[int, bytes, Ping]] = []
        request: dict[str, Any] = {"FilterExpression": "attribute_exists(ping)"}
        while True:
            answer = self.dynamo.call(self.dynamo.client.scan, TableName=self.table, **request)
            found = (_unpack(_bytes(item, "ping"), Ping) for item in answer["Items"])
            shown = (ping for ping in found if ping.lead_until > now and not sandbox.is_of(ping.endpoint))
            newest = nlargest(count, [*newest, *((ping.created_at, ping.id, ping) for ping in shown)])
            if "LastEvaluatedKey" not in answer:
                return [ping for _, _, ping in newest]
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def ask(self, ping_id: bytes, attempt: bytes, asked: Mapping[int, Asked]) -> None:
        """Write down that a live buyer is being asked, before it is. Raises `TemporarilyUnavailable` if the claim is
        not the attempt's any more."""
        try:
            self.dynamo.call(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key={"ping_id": {"B": ping_id}},
                UpdateExpression="SET asked = :asked",
                ConditionExpression=THE_ATTEMPT_IS_MINE,
                ExpressionAttributeValues={":asked": {"B": _packed(asked)}, ":attempt": {"B": attempt}},
            )
        except ConditionFailed:
            raise TemporarilyUnavailable from None

    def unsettled(self, now: int) -> Iterator[tuple[Ping, Claim]]:
        """Every ping of which a live buyer may have agreed to a sale that is not recorded, unless an attempt is at it.
        It reads the whole table."""
        request: dict[str, Any] = {"FilterExpression": "attribute_exists(asked)"}
        while True:
            answer = self.dynamo.call(self.dynamo.client.scan, TableName=self.table, **request)
            for item in answer["Items"]:
                claim = _found(item, State.SPENT) if "spent" in item else seen(item, now)
                if claim.state is not State.CLAIMED and claim.ping:
                    yield claim.ping, claim
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def settle(self, ping_id: bytes, asked: Mapping[int, Asked], rest: Mapping[int, Asked]) -> bool:
        """Put `rest` in the place of `asked`; False if that is not what stands there any more."""
        try:
            self.dynamo.call(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key={"ping_id": {"B": ping_id}},
                UpdateExpression="SET asked = :rest" if rest else "REMOVE asked",
                ConditionExpression="asked = :asked",
                ExpressionAttributeValues={
                    ":asked": {"B": _packed(asked)},
                    **({":rest": {"B": _packed(rest)}} if rest else {}),
                },
            )
        except ConditionFailed:
            return False
        return True

    def release(self, ping_id: bytes, attempt: bytes, claim: Claim, refused: str = "", now: int = 0) -> None:
        """Give an unsold ping back, with what is not settled with live buyers, and with which status its POST was
        `refused`. What was taken over stays marked, for whoever takes it next must look again for the lease of the
        attempt that died."""
        over = ["asked = :asked"] if claim.asked else []
        over += ["refused = :refused", "refused_at = :now"] if refused else []
        gone = [] if claim.asked else ["asked"]
        if claim.taken_over:
            over.append("claimed_at = :long_ago")
        else:
            gone += ["claim", "claimed_at", "previous"]
        try:
            self.dynamo.call(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key={"ping_id": {"B": ping_id}},
                UpdateExpression=_update(over, gone),
                ConditionExpression=THE_ATTEMPT_IS_MINE,
                ExpressionAttributeValues={
                    ":attempt": {"B": attempt},
                    **({":long_ago": {"N": "0"}} if claim.taken_over else {}),
                    **({":refused": {"S": refused}, ":now": _n(now)} if refused else {}),
                    **({":asked": {"B": _packed(claim.asked)}} if claim.asked else {}),
                },
            )
        except (ConditionFailed, TemporarilyUnavailable):
            return  # not ours any more, or out of reach: then the claim lapses by itself

    def record(
        self, ping: Ping, sale: Sale, caller: bytes = b"", asked: Mapping[int, Asked] = MappingProxyType({})
    ) -> None:
        """Write the sale and its answer; `asked` is what is not settled with other live buyers. `caller` is the keyed
        hash of a caller that the POST brought: the PING's own is forgotten, so that a ping has only one to be found by.
        Raises `TemporarilyUnavailable` if another attempt has taken over."""
        written = {"sale": {"B": _pack(sale)}, "delete_at": _n(sale.kept_until)}
        if asked:
            written["asked"] = {"B": _packed(asked)}
        if caller:
            written["caller"] = {"B": caller}
            if ping.lead.caller:
                written["ping"] = {"B": _pack(replace(ping, lead=ping.lead.without("caller_id")))}
        if not sandbox.is_of(ping.endpoint):
            written |= _sold(ping, sale)
        gone = ["claim", "claimed_at", "previous", *([] if asked else ["asked"])]
        try:
            self.dynamo.call(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key={"ping_id": {"B": ping.id}},
                UpdateExpression=_update([f"#{name} = :{name}" for name in written], gone),
                ConditionExpression=f"{THE_ATTEMPT_IS_MINE} AND {PING_IS_UNSOLD}",
                ExpressionAttributeNames={f"#{name}": name for name in written},
                ExpressionAttributeValues={
                    ":attempt": {"B": sale.attempt},
                    **{f":{name}": value for name, value in written.items()},
                },
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ConditionFailed as met:
            recorded = _found(met.item or {}, State.SOLD).sale
            if recorded is None or recorded.attempt != sale.attempt:
                raise TemporarilyUnavailable from None

    def forget(self, ping_id: bytes, now: int) -> State:
        """Remove what is personal of a ping: its lead, what its decision knew of the caller, and of a sale what the
        POST brought and the answer. One that is not sold never will be. SOLD or SPENT if that is done, CLAIMED if
        somebody is selling it just now and nothing was changed, UNKNOWN if there is none."""
        while True:
            item = self.item(ping_id)
            if item is None:
                return State.UNKNOWN
            if seen(item, now).state is State.CLAIMED:
                return State.CLAIMED
            found = _found(item, State.SOLD)
            if found.ping is None:
                return State.UNKNOWN
            bare = replace(found.ping, lead=Lead(), facts=Facts(), lead_until=0)
            over = ["ping = :ping"]
            values: dict[str, Any] = {":ping": {"B": _pack(bare)}}
            if found.sale:
                over.append("sale = :sale")
                values[":sale"] = {"B": _pack(replace(found.sale, posted=Lead(), answer=b""))}
                values[":was"] = item["sale"]
                condition = "sale = :was"
            else:
                over.append("spent = :true")
                values |= {":true": {"BOOL": True}, ":abandoned": _n(now - CLAIM_SECONDS)}
                condition = f"attribute_exists(ping_id) AND attribute_not_exists(sale) AND {NOBODY_WORKS_ON_IT}"
            try:
                self.dynamo.call(
                    self.dynamo.client.update_item,
                    TableName=self.table,
                    Key={"ping_id": {"B": ping_id}},
                    UpdateExpression=_update(over, ["caller"]),
                    ConditionExpression=condition,
                    ExpressionAttributeValues=values,
                )
            except ConditionFailed:
                continue  # it was sold, claimed or deleted meanwhile
            return State.SOLD if found.sale else State.SPENT

    def remove_route(self, key: bytes, ping_id: bytes) -> None:
        """Take away where a call goes, if it is this ping's route."""
        with suppress(ConditionFailed):
            self.dynamo.call(
                self.dynamo.client.delete_item,
                TableName=self.table,
                Key={"ping_id": {"B": key}},
                ConditionExpression="#of = :of",
                ExpressionAttributeNames={"#of": "of"},
                ExpressionAttributeValues={":of": {"B": ping_id}},
            )

    def sold_in(self, day: int, shard: int, since: int, until: int) -> Iterator[bytes]:
        """The ids of the pings of one shard of the log that came on the UTC day that begins at `day`, from `since` to
        `until`, and were sold."""
        after: Item | None = None
        query: Callable[..., Any] = self.dynamo.client.query
        while True:
            answer = self.dynamo.call(
                query,
                TableName=self.table,
                IndexName="by_log",
                KeyConditionExpression="#log = :log AND #at BETWEEN :since AND :until",
                ExpressionAttributeNames={"#log": "log", "#at": "at"},
                ExpressionAttributeValues={
                    ":log": {"S": log_partition(day, "sold", shard)},
                    ":since": _n(since),
                    ":until": _n(until),
                },
                **({"ExclusiveStartKey": after} if after else {}),
            )
            yield from (item["ping_id"]["B"] for item in answer["Items"])
            if not (after := answer.get("LastEvaluatedKey")):
                return

    def spend(self, ping_id: bytes, now: int) -> bool:
        """Make sure that a ping can never be sold; False while somebody works on it or if it is sold already."""
        try:
            self.dynamo.call(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key={"ping_id": {"B": ping_id}},
                UpdateExpression="SET spent = :true, delete_at = if_not_exists(delete_at, :delete_at)",
                ConditionExpression=f"attribute_not_exists(sale) AND {NOBODY_WORKS_ON_IT}",
                ExpressionAttributeValues={
                    ":true": {"BOOL": True},
                    ":delete_at": {"N": str(now + MARK_SECONDS)},
                    ":abandoned": {"N": str(now - CLAIM_SECONDS)},
                },
            )
        except ConditionFailed:
            return False
        return True

    def first_attempt(self, key: bytes, ping_id: bytes, held_until: int, now: int, instead_of: bytes = b"") -> bytes:
        """The ping under which this lead is being sold: `ping_id` if nobody was earlier, or only it or `instead_of`;
        then the key is kept until `held_until`."""
        try:
            self.dynamo.call(
                self.dynamo.client.put_item,
                TableName=self.table,
                Item={
                    "ping_id": {"B": key},
                    "first": {"B": ping_id},
                    "held_until": {"N": str(held_until)},
                    "delete_at": {"N": str(held_until + MARK_SECONDS)},
                },
                ConditionExpression=f"{KEY_IS_FREE} OR #first IN (:first, :instead_of)",
                ExpressionAttributeNames={"#first": "first"},
                ExpressionAttributeValues={
                    ":now": {"N": str(now)},
                    ":first": {"B": ping_id},
                    ":instead_of": {"B": instead_of},
                },
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ConditionFailed as met:
            return _bytes(met.item or {}, "first")
        return ping_id

    def earlier_attempt(self, key: bytes, now: int) -> bytes | None:
        """The ping that `first_attempt` would find."""
        item = self._item(key)
        return _bytes(item, "first") if item and _int(item, "held_until") > now else None

    def leave_route(self, key: bytes, route: Route, now: int) -> int:
        """Point a call at a buyer. 0 if that is done; else until when another ping's live sale has the route, which is
        never overwritten."""
        try:
            self.dynamo.call(
                self.dynamo.client.put_item,
                TableName=self.table,
                Item={
                    "ping_id": {"B": key},
                    "route": {"B": _pack(route)},
                    "of": {"B": route.ping_id},
                    "sold": {"BOOL": route.sold},
                    "held_until": {"N": str(route.held_until)},
                    "delete_at": {"N": str(route.held_until + MARK_SECONDS)},
                },
                ConditionExpression=f"{NO_LIVE_SALE_HAS_THE_ROUTE} OR #of = :of",
                ExpressionAttributeNames={"#of": "of"},
                ExpressionAttributeValues={
                    ":now": {"N": str(now)},
                    ":false": {"BOOL": False},
                    ":of": {"B": route.ping_id},
                },
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ConditionFailed as met:
            return _int(met.item or {}, "held_until")
        return 0

    def route(self, key: bytes, now: int) -> Route | None:
        """The live route of a call, if there is one."""
        item = self._item(key)
        return _unpack(_bytes(item, "route"), Route) if item and _int(item, "held_until") > now else None

    def _item(self, key: bytes) -> Item | None:
        answer = self.dynamo.call(
            self.dynamo.client.get_item, TableName=self.table, Key={"ping_id": {"B": key}}, ConsistentRead=True
        )
        return answer.get("Item")


def seen(item: Item | None, now: int) -> Claim:
    """The state of a ping that could not be claimed, or was only read."""
    if item is None:
        return Claim(State.UNKNOWN)
    if "spent" in item:
        return _found(item, State.SPENT)
    if "sale" in item:
        return _found(item, State.SOLD)
    if "claim" in item and _int(item, "claimed_at") > now - CLAIM_SECONDS:
        return _found(item, State.CLAIMED)
    return _found(item, State.EXPIRED if _int(item, "expires_at") <= now else State.FREE)


def _found(item: Item, state: State) -> Claim:
    return Claim(
        state,
        ping=_unpack(_bytes(item, "ping"), Ping) if "ping" in item else None,
        sale=_unpack(_bytes(item, "sale"), Sale) if "sale" in item else None,
        taken_over=_bytes(item, "previous") != b"",
        asked=msgspec.msgpack.decode(_bytes(item, "asked"), type=dict[int, Asked]) if "asked" in item else {},
    )


def _opened(ping: Ping, caller: bytes) -> dict[str, Any]:
    """What stands beside the packed ping while it is not sold."""
    item: dict[str, Any] = {
        "expires_at": _n(ping.expires_at),
        "delete_at": _n(ping.lead_until),
        "at": _n(ping.created_at),
        **({"caller": {"B": caller}} if caller else {}),
    }
    if sandbox.is_of(ping.endpoint):
        return item
    cents, payout_cents = (ping.bids[0].cents, ping.bids[0].payout_cents) if ping.bids else (0, 0)
    return item | {
        "log": {"S": log_partition(ping.created_at, "open", ping.id[0] % LOG_SHARDS)},
        "endpoint": {"S": ping.endpoint},
        **_sender(ping.user, ping.lead),
        "bids": _n(len(ping.bids)),
        "cents": _n(cents),
        "payout": _n(payout_cents),
    }


def _sold(ping: Ping, sale: Sale) -> dict[str, Any]:
    """What a sale changes in that."""
    return {
        "log": {"S": log_partition(ping.created_at, "sold", ping.id[0] % LOG_SHARDS)},
        "buyer": _n(sale.buyer_id),
        "sold_at": _n(sale.sold_at),
        "cents": _n(sale.cents),
        "payout": _n(sale.payout_cents),
        **({"counted": _n(sale.bid_cents)} if sale.bid_cents != sale.cents else {}),
        **_sender(sale.user, Lead(ping.lead | sale.posted)),
    }


def _sender(user: str, lead: Lead) -> dict[str, Any]:
    named = {"user": user, "source": lead.source}
    return {name: {"S": value} for name, value in named.items() if value}


def log_partition(at: int, state: LogState, shard: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y%m%d}#{state}#{shard}"


def _update(over: list[str], gone: list[str]) -> str:
    written = f"SET {', '.join(over)} " if over else ""
    return written + (f"REMOVE {', '.join(gone)}" if gone else "")


def _bytes(item: Item, name: str) -> bytes:
    value: bytes = item[name]["B"] if name in item else b""
    return value


def _int(item: Item, name: str) -> int:
    return int(item[name]["N"])


def _n(number: int) -> dict[str, Any]:
    return {"N": str(number)}


def _packed(asked: Mapping[int, Asked]) -> bytes:
    return msgspec.msgpack.encode(dict(asked))


def _pack(value: Struct) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(value))


def _unpack(packed: bytes, kind: type[T]) -> T:
    return msgspec.msgpack.decode(zlib.decompress(packed), type=kind, dec_hook=_lead)


def _lead(kind: type, value: Any) -> Any:
    return kind(value) if kind is Lead else value
