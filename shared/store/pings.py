"""Pings, their claims and sales. In the same table are `routes`, `retries` and `refused_requests`.

A ping's item holds `ping` and `sale`, packed; `expires_at`; while a POST works on it `claim`, the attempt's id, with
`claimed_at` and `previous`, the attempt that it took the claim over from; `terms`, packed, which the first claim fixes;
`asked`, the live buyers that may have agreed to a sale that is not recorded, and `asks`, how often that was written;
`released`, the last attempt that gave the claim back, whose claim must not arrive again; `refused`, the status of the
last POST that sold nothing, with `refused_at`, and `refusals`, how many did. `milliseconds` is how long the request had
taken that was the last to price, sell or refuse it; `pool_used`, how full the last refused POST saw its pool. `caller`
is the caller's keyed hash. `superseded_by` is the ping of a later sale to the same caller, which took over the route of
this one's. From `delete_at` on nothing of the item is shown; DynamoDB deletes it some time later.

All else is packed. An item of up to 1 KB is one write unit, so that each name costs: nothing is stored twice.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from enum import Enum, auto
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from shared.domain.live_bids import Yes
from shared.domain.models import Facts, Lead, Ping, Sale, Terms
from shared.domain.refusals import TemporarilyUnavailable
from shared.schema import OF_CALLER
from shared.store.dynamo import ConditionFailed, Dynamo, Item
from shared.store.items import as_bytes, as_number, as_text, bytes_of, number_of, number_or, ping_key, update_expression
from shared.store.packing import UnknownFormat, pack, unpack
from shared.store.routes import MARK_SECONDS

CLAIM_SECONDS = 11
"""When a claim may be taken over. A function is stopped after 9, and clocks show whole seconds: ten may be nine."""


PING_IS_LIVE = "attribute_exists(ping_id) AND expires_at > :now"
PING_IS_UNSOLD = "attribute_not_exists(sale) AND attribute_not_exists(spent)"
NOBODY_WORKS_ON_IT = "(attribute_not_exists(claim) OR claimed_at <= :abandoned)"
THE_ATTEMPT_IS_MINE = "claim = :attempt"

IT_IS_NOT_RELEASED = "(attribute_not_exists(released) OR released <> :attempt)"

CLAIM_IT = (
    "previous = if_not_exists(claim, :nobody), claim = :attempt, claimed_at = :now, "
    "terms = if_not_exists(terms, :terms)"
)
NOTE_THE_REFUSAL = (
    "refused = :refused, refused_at = :now, refusals = if_not_exists(refusals, :long_ago) + :one, milliseconds = :took"
)


T = TypeVar("T")


class State(Enum):
    UNKNOWN = auto()
    FREE = auto()
    CLAIMED = auto()
    SOLD = auto()
    SPENT = auto()
    EXPIRED = auto()


class Asked(Struct, frozen=True, array_like=True):
    """A live buyer was asked to take a sale at `at`: it `said` yes, or it is not known what it made of it."""

    at: int
    said: Yes | None = None


class Claim(Struct):
    """What an attempt found. `state` is FREE if the claim is its own now, since `claimed_at`. `taken_over` says that an
    earlier attempt may have leased a number and not said so. There is a `ping` unless it is UNKNOWN or was SPENT
    unseen, a `sale` if SOLD, and `terms` once it was claimed. `asked` holds what is not settled with live buyers, by
    id; `asks` says how often that was written. `connected` is the first call of the sale that its buyer answered;
    `superseded_by` the ping whose sale has taken over its route."""

    state: State
    ping: Ping | None = None
    sale: Sale | None = None
    terms: Terms | None = None
    claimed_at: int = 0
    taken_over: bool = False
    asked: dict[int, Asked] = {}
    asks: int = 0
    connected: bytes = b""
    superseded_by: bytes = b""

    def seconds_left(self, now: int) -> int:
        """Until another attempt may take the claim over."""
        return self.claimed_at + CLAIM_SECONDS - now


class Pings:
    """`elapsed` gives the seconds since the request came in that prices, sells or is refused."""

    def __init__(self, dynamo: Dynamo, elapsed: Callable[[], float] = lambda: 0.0) -> None:
        self.dynamo = dynamo
        self.table = dynamo.settings.pings_table
        self.elapsed = elapsed

    def open(self, ping: Ping, caller: bytes) -> None:
        """One write stores the ping with every bid, unless it is there: then this is a second or a late arrival.
        `caller` is the keyed hash, b"" without one."""
        with suppress(ConditionFailed):
            self.dynamo.call(
                self.dynamo.client.put_item,
                TableName=self.table,
                Item={**ping_key(ping.id), **self._opened(ping, caller)},
                ConditionExpression="attribute_not_exists(ping_id)",
            )

    def claim(self, ping_id: bytes, attempt: bytes, terms: Terms, now: int) -> Claim:
        """Take a live, unsold ping for one attempt, and read it in the same call. The `terms` hold if they are the
        first."""
        return self._claim(
            ping_id,
            attempt,
            terms,
            now,
            update=f"SET {CLAIM_IT}",
            condition=f"{PING_IS_LIVE} AND {PING_IS_UNSOLD} AND {NOBODY_WORKS_ON_IT} AND {IT_IS_NOT_RELEASED}",
        )

    def open_and_claim(self, ping: Ping, caller: bytes, attempt: bytes, terms: Terms, now: int) -> Claim:
        """Store a ping that is claimed from the start, or store it anew over an earlier attempt that sold nothing."""
        opened = self._opened(ping, caller)
        return self._claim(
            ping.id,
            attempt,
            terms,
            now,
            update=f"SET {', '.join(f'#{name} = :{name}' for name in opened)}, {CLAIM_IT}",
            condition=f"{PING_IS_UNSOLD} AND {NOBODY_WORKS_ON_IT} AND {IT_IS_NOT_RELEASED}",
            values={f":{name}": value for name, value in opened.items()},
            names={f"#{name}": name for name in opened},
        )

    def _claim(
        self,
        ping_id: bytes,
        attempt: bytes,
        terms: Terms,
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
                Key=ping_key(ping_id),
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeValues={
                    ":attempt": as_bytes(attempt),
                    ":nobody": as_bytes(b""),
                    ":now": as_number(now),
                    ":abandoned": as_number(now - CLAIM_SECONDS),
                    ":terms": as_bytes(msgspec.msgpack.encode(terms)),
                    **(values or {}),
                },
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **named,
            )
        except ConditionFailed as met:
            if met.item and bytes_of(met.item, "claim") == attempt and "sale" not in met.item:
                return _found(met.item, State.FREE)  # our own first try went through and its answer was lost
            return state_of(met.item, now)
        return _found(answer["Attributes"], State.FREE)

    def read(self, ping_id: bytes, now: int) -> Claim:
        """What a claim would find, without claiming. Raises `UnknownFormat`."""
        return state_of(self._item(ping_id), now)

    def read_all(self, ping_ids: Sequence[bytes], now: int) -> dict[bytes, Claim]:
        """What `read` finds for each id, without those that are not there or cannot be read."""
        keys = [ping_key(ping_id) for ping_id in dict.fromkeys(ping_ids)]
        items = self.dynamo.batch_get(self.table, keys, ConsistentRead=True)
        found = dict[bytes, Claim]()
        for item in items:
            with suppress(UnknownFormat):
                found[bytes_of(item, "ping_id")] = state_of(item, now)
        return found

    def item(self, ping_id: bytes) -> Item | None:
        """Everything that is stored of a ping; an item under another kind of key is none."""
        item = self._item(ping_id)
        return item if item and "ping" in item else None

    def ids_of_callers(self, hashes: Iterable[bytes]) -> Iterator[bytes]:
        """The ids of the pings of a caller, by its keyed hashes. Only the table of sandboxes has the index."""
        for hashed in hashes:
            for item in self.dynamo.items(
                self.dynamo.client.query,
                TableName=self.table,
                IndexName=OF_CALLER,
                KeyConditionExpression="caller = :caller",
                ExpressionAttributeValues={":caller": as_bytes(hashed)},
            ):
                yield bytes_of(item, "ping_id")

    def ask(self, ping_id: bytes, attempt: bytes, claim: Claim) -> None:
        """Write down which live buyers are being asked, before they are. Raises `TemporarilyUnavailable` if the claim
        is not the attempt's any more. `asks` keeps a late arrival from taking back what was written after it."""
        claim.asks += 1
        try:
            self.dynamo.call(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key=ping_key(ping_id),
                UpdateExpression="SET asked = :asked, asks = :asks",
                ConditionExpression=f"{THE_ATTEMPT_IS_MINE} AND (attribute_not_exists(asks) OR asks < :asks)",
                ExpressionAttributeValues={
                    ":asked": as_bytes(_packed(claim.asked)),
                    ":asks": as_number(claim.asks),
                    ":attempt": as_bytes(attempt),
                },
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ConditionFailed as met:
            found = met.item or {}
            if bytes_of(found, "claim") != attempt or number_of(found, "asks") != claim.asks:
                raise TemporarilyUnavailable from None

    def unsettled_of(self, ping_ids: Sequence[bytes], now: int) -> Iterator[tuple[Ping, Claim]]:
        """Those of the pings of which a live buyer may have agreed to a sale that is not recorded, unless an attempt is
        at it."""
        for claim in self.read_all(ping_ids, now).values():
            if claim.asked and claim.state is not State.CLAIMED and claim.ping:
                yield claim.ping, claim

    def settle(self, ping_id: bytes, asked: Mapping[int, Asked], rest: Mapping[int, Asked]) -> bool:
        """Put `rest` in the place of `asked`; False if that is not there any more."""
        try:
            self.dynamo.call(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key=ping_key(ping_id),
                UpdateExpression="SET asked = :rest" if rest else "REMOVE asked",
                ConditionExpression="asked = :asked",
                ExpressionAttributeValues={
                    ":asked": as_bytes(_packed(asked)),
                    **({":rest": as_bytes(_packed(rest))} if rest else {}),
                },
            )
        except ConditionFailed:
            return False
        return True

    def release(
        self,
        ping_id: bytes,
        attempt: bytes,
        claim: Claim,
        has_a_number: bool,
        refused: str = "",
        now: int = 0,
        caller: bytes = b"",
        pool_used: int | None = None,
    ) -> None:
        """Give an unsold ping back, with what is not settled with live buyers, and with which status its POST was
        `refused`, which saw its pool used by `pool_used` percent; None if it saw none. `caller` is the keyed hash of
        the caller that the POST brought, by which a ping without one is found from now on. Where this attempt
        `has_a_number`, leased or by a route, or one before it may have, the claim stays as an old one: the attempt that
        takes it over looks for that lease, under the same terms, or takes back that route if it is refused. Late, after
        the ping was erased, it brings no caller back."""
        may_have_a_number = claim.taken_over or has_a_number
        over = ["released = :attempt"]
        over += ["asked = :asked"] if claim.asked else []
        over += [NOTE_THE_REFUSAL] if refused else []
        noted = {":refused": as_text(refused), ":now": as_number(now), ":one": as_number(1), ":took": self._took()}
        over += ["caller = if_not_exists(caller, :caller)"] if caller else []
        gone = [] if claim.asked else ["asked"]
        if refused and pool_used is not None:
            over.append("pool_used = :pool_used")
            noted[":pool_used"] = as_number(pool_used)
        elif refused:
            gone.append("pool_used")
        if may_have_a_number:
            over.append("claimed_at = :long_ago")
        else:
            gone += ["claim", "claimed_at", "previous", "terms"]
        try:
            self.dynamo.call(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key=ping_key(ping_id),
                UpdateExpression=update_expression(over, gone),
                ConditionExpression=f"{THE_ATTEMPT_IS_MINE} AND claimed_at > :long_ago AND {PING_IS_UNSOLD}",
                ExpressionAttributeValues={
                    ":attempt": as_bytes(attempt),
                    ":long_ago": as_number(0),
                    **(noted if refused else {}),
                    **({":caller": as_bytes(caller)} if caller else {}),
                    **({":asked": as_bytes(_packed(claim.asked))} if claim.asked else {}),
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
        written = {"sale": as_bytes(pack(sale)), "delete_at": as_number(sale.kept_until), "milliseconds": self._took()}
        if asked:
            written["asked"] = as_bytes(_packed(asked))
        if caller:
            written["caller"] = as_bytes(caller)
            if ping.lead.caller:
                written["ping"] = as_bytes(pack(replace(ping, lead=ping.lead.without("caller_id"))))
        gone = ["claim", "claimed_at", "previous", "terms", "released", *([] if asked else ["asked"])]
        try:
            self.dynamo.call(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key=ping_key(ping.id),
                UpdateExpression=update_expression([f"#{name} = :{name}" for name in written], gone),
                ConditionExpression=f"{THE_ATTEMPT_IS_MINE} AND {PING_IS_UNSOLD}",
                ExpressionAttributeNames={f"#{name}": name for name in written},
                ExpressionAttributeValues={
                    ":attempt": as_bytes(sale.attempt),
                    **{f":{name}": value for name, value in written.items()},
                },
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ConditionFailed as met:
            recorded = _found(met.item or {}, State.SOLD).sale
            if recorded is None or recorded.attempt != sale.attempt:
                raise TemporarilyUnavailable from None

    def supersede(self, ping_id: bytes, attempt: bytes, by: bytes, now: int) -> Sale | None:
        """Mark the sale of a ping whose route the sale of another one, `by`, has taken over, if it is still the sale of
        the `attempt` that left that route and no call of it was connected. Returns the sale if it was marked now. It
        may come late or twice: the first mark stays."""
        claim = self.read(ping_id, now)
        if claim.sale is None or claim.sale.attempt != attempt or claim.superseded_by not in (b"", by):
            return None
        if claim.superseded_by:
            return claim.sale
        try:
            self.dynamo.call(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key=ping_key(ping_id),
                UpdateExpression="SET superseded_by = :by",
                ConditionExpression="attribute_exists(sale) AND attribute_not_exists(connected) "
                "AND attribute_not_exists(superseded_by)",
                ExpressionAttributeValues={":by": as_bytes(by)},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ConditionFailed as met:
            return claim.sale if met.item and bytes_of(met.item, "superseded_by") == by else None
        return claim.sale

    def forget(self, ping_id: bytes, now: int) -> State:
        """Remove what is personal of a ping: its lead, and what its decision knew of the caller. Of a sale it removes
        what the POST brought, and the answer. A ping that is not sold never will be. Returns SOLD or SPENT if that is
        done, CLAIMED if somebody is selling it just now and nothing was changed, UNKNOWN if there is none."""
        while True:
            item = self.item(ping_id)
            if item is None:
                return State.UNKNOWN
            if state_of(item, now).state is State.CLAIMED:
                return State.CLAIMED
            found = _found(item, State.SOLD)
            if found.ping is None:
                return State.UNKNOWN
            bare = replace(found.ping, lead=Lead(), facts=Facts(), rest=b"", lead_until=0)
            over = ["ping = :ping"]
            values: dict[str, Any] = {":ping": as_bytes(pack(bare))}
            if found.sale:
                over.append("sale = :sale")
                values[":sale"] = as_bytes(pack(replace(found.sale, posted=Lead(), answer=b"")))
                values[":was"] = item["sale"]
                condition = "sale = :was"
            else:
                over.append("spent = :true")
                values |= {":true": {"BOOL": True}, ":abandoned": as_number(now - CLAIM_SECONDS)}
                condition = f"attribute_exists(ping_id) AND attribute_not_exists(sale) AND {NOBODY_WORKS_ON_IT}"
            try:
                self.dynamo.call(
                    self.dynamo.client.update_item,
                    TableName=self.table,
                    Key=ping_key(ping_id),
                    UpdateExpression=update_expression(over, ["caller"]),
                    ConditionExpression=condition,
                    ExpressionAttributeValues=values,
                )
            except ConditionFailed:
                continue  # it was sold, claimed or deleted meanwhile
            return State.SOLD if found.sale else State.SPENT

    def spend(self, ping_id: bytes, now: int) -> bool:
        """Make sure that a ping can never be sold; False while somebody works on it or if it is sold already."""
        try:
            self.dynamo.call(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key=ping_key(ping_id),
                UpdateExpression="SET spent = :true, delete_at = if_not_exists(delete_at, :delete_at)",
                ConditionExpression=f"attribute_not_exists(sale) AND {NOBODY_WORKS_ON_IT}",
                ExpressionAttributeValues={
                    ":true": {"BOOL": True},
                    ":delete_at": as_number(now + MARK_SECONDS),
                    ":abandoned": as_number(now - CLAIM_SECONDS),
                },
            )
        except ConditionFailed:
            return False
        return True

    def abandon(self, ping_id: bytes, now: int) -> State:
        """Take an unsold ping from an attempt that died, so that it can record no sale, however late its writes arrive:
        not even its claim does, whose time is before `now`. What the ping is now: the next attempt looks for the
        lease of the dead one."""
        try:
            self.dynamo.call(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key=ping_key(ping_id),
                UpdateExpression="SET claim = :dead, claimed_at = :abandoned",
                ConditionExpression=f"attribute_exists(claim) AND {PING_IS_UNSOLD} AND {NOBODY_WORKS_ON_IT}",
                ExpressionAttributeValues={
                    ":dead": as_bytes(b"dead"),
                    ":abandoned": as_number(now - CLAIM_SECONDS),
                },
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ConditionFailed as met:
            return state_of(met.item, now).state
        return State.FREE

    def _opened(self, ping: Ping, caller: bytes) -> dict[str, Any]:
        return {
            "ping": as_bytes(pack(ping)),
            "milliseconds": self._took(),
            "expires_at": as_number(ping.expires_at),
            "delete_at": as_number(ping.lead_until),
            **({"caller": as_bytes(caller)} if caller else {}),
        }

    def _took(self) -> dict[str, Any]:
        return as_number(round(1000 * self.elapsed()))

    def _item(self, key: bytes) -> Item | None:
        return self.dynamo.get(self.table, ping_key(key))


def state_of(item: Item | None, now: int) -> Claim:
    """The state of a ping that could not be claimed, or was only read."""
    if item is None:
        return Claim(State.UNKNOWN)
    if "spent" in item:
        return _found(item, State.SPENT)
    if "sale" in item:
        return _found(item, State.SOLD)
    if "claim" in item and number_of(item, "claimed_at") > now - CLAIM_SECONDS:
        return _found(item, State.CLAIMED)
    return _found(item, State.EXPIRED if number_or(item, "expires_at", 0) <= now else State.FREE)


def _found(item: Item, state: State) -> Claim:
    return Claim(
        state,
        ping=unpack(bytes_of(item, "ping"), Ping) if "ping" in item else None,
        sale=unpack(bytes_of(item, "sale"), Sale) if "sale" in item else None,
        terms=msgspec.msgpack.decode(bytes_of(item, "terms"), type=Terms) if "terms" in item else None,
        claimed_at=number_or(item, "claimed_at", 0),
        taken_over=bytes_of(item, "previous") != b"",
        asked=unpack_asked(bytes_of(item, "asked")) if "asked" in item else {},
        asks=number_or(item, "asks", 0),
        connected=bytes_of(item, "connected"),
        superseded_by=bytes_of(item, "superseded_by"),
    )


def unpack_asked(packed: bytes) -> dict[int, Asked]:
    """The live buyers that an item says were asked, by id."""
    return msgspec.msgpack.decode(packed, type=dict[int, Asked])


def _packed(asked: Mapping[int, Asked]) -> bytes:
    return msgspec.msgpack.encode(dict(asked))
