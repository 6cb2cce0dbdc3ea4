"""The end of a caller: its leads and the answers of its sales, its calls and their recordings' addresses, its marks and
routes, and its hash in the journal.

What happened until the erasing began goes. That is noted first; then pings are found by rows and erased. A request that
was under way then has ended after `SETTLED_SECONDS`, and probes tell when its rows are there: pings and calls are
erased again, until there is none more. A call that goes on is waited for. Then pages and files of the journal are made
without the caller, and when the old files are gone, nothing of it is left. Each step may be lost, repeated or done by
two at once: the minute function goes on with what nobody else finishes.
"""

import os
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from shared.domain.keys import Keys, caller_hash, caller_hashes, of_sandbox, read_ping_id, route_keys
from shared.domain.models import DAY, Lead, Ping
from shared.domain.objections import NotFound, Refused
from shared.journal.database import FileUnreadable
from shared.journal.fetching import Fetching
from shared.journal.searching import find_calls, find_pings
from shared.operators import log
from shared.operators.access import Office
from shared.operators.lead_days import first_kept
from shared.store.callers import Callers, mark_keys
from shared.store.calls import Calls, Personal
from shared.store.dynamo import Dynamo
from shared.store.erasures import Erased, Erasures, Unfinished
from shared.store.journal import raw_id
from shared.store.packing import UnknownFormat
from shared.store.pings import CLAIM_SECONDS, Claim, Pings, State
from shared.store.records import Records
from shared.store.refused_requests import CALLER_BYTES, RefusedRequests
from shared.store.routes import Routes

SETTLED_SECONDS = CLAIM_SECONDS + 2
"""After that every request that was under way has ended."""
DAYS_OF_TTL = 3
"""How late DynamoDB may delete what has ended."""


World = tuple[Keys, Dynamo]
"""Keys and tables."""


class Erasing:
    """Methods raise `Refused`, where a file of the journal or a ping cannot be read, and `TemporarilyUnavailable`."""

    def __init__(self, records: Records, fetching: Fetching) -> None:
        self.records = records
        self.dynamo = records.dynamo
        self.now = records.now
        self.fetching = fetching
        self.erasures = Erasures(records.dynamo)
        self.main: World = (records.keys, records.dynamo)
        self.sandbox: World = (of_sandbox(records.keys), records.dynamo.of_sandbox())

    def erase(self, caller: str, by: str) -> Unfinished:
        """Begin to erase a caller (E.164), and erase what is there. Not from a suppression list, where only a keyed
        hash of it protects it. A retry of its POST may then be told `ping_id_used`, and a call of it to a static or
        overflow number is routed no more."""
        keys, _ = self.main
        began = self.erasures.begin(
            Erased(at=self.now(), by=by, caller=caller_hash(keys, caller).hex(), pings=0, sales=0),
            caller_hashes(keys, caller),
            caller_hashes(self.sandbox[0], caller),
            mark_keys(keys, caller),
        )
        self._forget_marks(began)
        pings = self._pings_of(caller)
        calls = self._calls_of(began.callers, self._in_main(pings), self.now())
        return self._erase_all(began, pings, calls, caller)

    def erase_ping(self, text: str, by: str) -> Unfinished:
        """Begin to erase one ping, by any of its ids: its lead, its answer, its route, and who called for it. Other
        pings of its caller stay, and so do the marks of its sales. Raises `NotFound`, and `Refused` while it is being
        sold."""
        ping_id, world, claim = self._find(text)
        if claim.state is State.CLAIMED:
            raise Refused("The ping is just being sold. Try again in a minute.")
        began = self.erasures.begin(Erased(at=self.now(), by=by, caller="", pings=0, sales=0, ping=ping_id.hex()))
        return self._erase_all(began, [(world, ping_id)], self._calls_of((), [ping_id], self.now()))

    def erase_again(
        self, unfinished: Unfinished, others: Iterable[bytes], other_calls: Iterable[bytes]
    ) -> tuple[Unfinished, list[bytes], list[bytes]]:
        """Erase what requests have left that were under way, the pings `others` and `other_calls`; and the ids of all
        pings and calls of it."""
        self._forget_marks(unfinished)
        if not unfinished.callers:
            ids = [bytes.fromhex(unfinished.erased.ping)]
            pings = [(world, ids[0]) for world in (self.main, self.sandbox)]
        else:
            ids = [*{*self._found(unfinished.callers, unfinished.erased.at), *others}]
            sandbox = Pings(self.sandbox[1]).ids_of_callers(unfinished.in_sandbox)
            pings = [*((self.main, ping_id) for ping_id in ids), *((self.sandbox, ping_id) for ping_id in sandbox)]
        calls = [*{*self._calls_of(unfinished.callers, ids, unfinished.erased.at), *other_calls}]
        return self._erase_all(unfinished, pings, calls), ids, calls

    def preview(self, caller: str, by: str) -> Erased:
        """What `erase` would erase now. Nothing is changed, and nothing is recorded."""
        keys, _ = self.main
        found = self._pings_of(caller)
        read = Pings(self.dynamo).read_all([ping_id for world, ping_id in found if world is self.main], self.now())
        others = [(world, ping_id) for world, ping_id in found if world is self.sandbox or ping_id not in read]
        claims = [*read.values(), *(self._read(*each) for each in others)]
        states = [claim.state for claim in claims if claim.ping and not is_erased(claim.ping)]
        starts = [hashed[:CALLER_BYTES].hex() for hashed in caller_hashes(keys, caller)]
        calls, running = self._count_calls(self._calls_of(starts, self._in_main(found), self.now()))
        return Erased(
            at=self.now(),
            by=by,
            caller=caller_hash(keys, caller).hex(),
            pings=len(states) - states.count(State.CLAIMED),
            sales=states.count(State.SOLD),
            being_sold=states.count(State.CLAIMED),
            calls=calls,
            running=running,
            marks=Callers(self.dynamo, keys).has_marks(caller),
        )

    def preview_ping(self, text: str, by: str) -> Erased:
        """What `erase_ping` would erase now. Raises `NotFound`."""
        ping_id, _, claim = self._find(text)
        is_claimed = claim.state is State.CLAIMED
        calls, running = self._count_calls(self._calls_of((), [ping_id], self.now()))
        return Erased(
            at=self.now(),
            by=by,
            caller="",
            pings=int(not is_claimed),
            sales=int(claim.state is State.SOLD),
            being_sold=int(is_claimed),
            calls=calls,
            running=running,
            ping=ping_id.hex(),
        )

    def _forget_marks(self, unfinished: Unfinished) -> None:
        """Once: marks that came later are of what the caller did later."""
        if unfinished.marks:
            Callers(self.dynamo, self.main[0]).forget_marks(unfinished.marks)
            self.erasures.note_marks_gone(unfinished)

    def _pings_of(self, caller: str) -> list[tuple[World, bytes]]:
        """A caller's pings, under every key; those to sandboxes too."""
        (keys, _), (sandbox_keys, sandbox) = self.main, self.sandbox
        starts = [hashed[:CALLER_BYTES].hex() for hashed in caller_hashes(keys, caller)]
        try:
            found = self._found(starts, self.now())
        except FileUnreadable as unreadable:
            raise Refused(str(unreadable)) from None
        in_sandbox = Pings(sandbox).ids_of_callers(caller_hashes(sandbox_keys, caller))
        return [
            *((self.main, ping_id) for ping_id in found),
            *((self.sandbox, ping_id) for ping_id in in_sandbox),
        ]

    def _in_main(self, pings: Iterable[tuple[World, bytes]]) -> list[bytes]:
        return [ping_id for world, ping_id in pings if world is self.main]

    def _calls_of(self, callers: Sequence[str], ping_ids: Iterable[bytes], until: int) -> set[bytes]:
        """Their calls, and those that came for these pings: who announces one number may call from another."""
        start = first_kept(self.records, self.now()) - DAYS_OF_TTL * DAY
        try:
            return find_calls(self.fetching, callers, [ping_id.hex() for ping_id in ping_ids], start, until)
        except FileUnreadable as unreadable:
            raise Refused(str(unreadable)) from None

    def _count_calls(self, call_ids: Iterable[bytes]) -> tuple[int, int]:
        """Those that can be erased now, and those that are not settled."""
        found = [Calls(self.dynamo).find_personal(call_id) for call_id in call_ids]
        return found.count("kept"), found.count("running")

    def _found(self, callers: Sequence[str], until: int) -> set[bytes]:
        """By rows: a ping is kept no longer than a lead."""
        start = first_kept(self.records, self.now()) - DAYS_OF_TTL * DAY
        return find_pings(self.fetching, callers, start, until)

    def _find(self, text: str) -> tuple[bytes, World, Claim]:
        """Raises `NotFound`."""
        ping_id, is_public = raw_id(text)
        for world in (self.main, self.sandbox) if ping_id else ():
            claim = self._read(world, ping_id)
            if claim.ping and not (is_public and read_ping_id(world[0], claim.ping.endpoint, text) is None):
                return ping_id, world, claim
        raise NotFound("There is no such ping.")

    def _read(self, world: World, ping_id: bytes) -> Claim:
        """Raises `Refused`."""
        try:
            return Pings(world[1]).read(ping_id, self.now())
        except UnknownFormat:
            raise _unreadable([ping_id.hex()]) from None

    def _erase_all(
        self,
        unfinished: Unfinished,
        pings: Iterable[tuple[World, bytes]],
        call_ids: Iterable[bytes],
        caller: str = "",
    ) -> Unfinished:
        """`caller` is whose routes go; without one it is each lead's own."""
        states, unreadable = list[State](), list[str]()
        for world, ping_id in pings:
            try:
                states.append(self._erase(world, ping_id, unfinished.callers, caller))
            except UnknownFormat:
                unreadable.append(ping_id.hex())
        calls = list[Personal]()
        for call_id in call_ids:
            try:
                calls.append(Calls(self.dynamo).forget(call_id))
            except UnknownFormat:
                unreadable.append(call_id.hex())
        sales, being_sold = states.count(State.SOLD), states.count(State.CLAIMED)
        erased, count = unfinished.erased, sales + states.count(State.SPENT)
        self.erasures.count(unfinished, count, sales, calls.count("kept"))
        if unreadable:
            raise _unreadable(unreadable)
        now = replace(
            erased,
            pings=erased.pings + count,
            sales=erased.sales + sales,
            being_sold=being_sold,
            calls=erased.calls + calls.count("kept"),
            running=calls.count("running"),
        )
        return replace(unfinished, erased=now)

    def _erase(self, world: World, ping_id: bytes, callers: Sequence[str], caller: str) -> State:
        """SOLD or SPENT if it is erased now, UNKNOWN if there was nothing to erase."""
        (keys, dynamo), now = world, self.now()
        pings = Pings(dynamo)
        claim = pings.read(ping_id, now)
        if claim.ping is None:
            RefusedRequests(dynamo).forget(ping_id)
            return State.UNKNOWN
        if is_erased(claim.ping):
            return State.UNKNOWN
        lead = Lead(claim.ping.lead | (claim.sale.posted if claim.sale else {}))
        numbers = {lead.get("trackdrive_number", ""), claim.sale.number if claim.sale else ""} - {""}

        def forget_traces() -> None:
            for number in numbers:
                Routes(dynamo).remove(route_keys(keys, number, caller or lead.caller), ping_id, os.urandom(8), now)
            if lead.caller and caller_hash(keys, lead.caller)[:CALLER_BYTES].hex() in callers:
                Callers(dynamo, keys).forget_marks(mark_keys(keys, lead.caller))

        if claim.state is not State.CLAIMED:
            forget_traces()  # before the lead: if this run stops here, the next one still finds what to remove
        state = pings.forget(ping_id, now)
        if state is State.SOLD and claim.sale is None:  # it was sold meanwhile
            forget_traces()
        return state


def _unreadable(ids: Sequence[str]) -> Refused:
    """The others are erased."""
    return Refused(f"These stored pings or calls cannot be read, and are not erased: {', '.join(ids)}.")


def is_erased(ping: Ping) -> bool:
    return ping.lead_until == 0


def erase(office: Office, by: str, text: str, region: str = "US") -> Erased:
    """Begin to erase a caller everywhere; it goes on by itself. Raises `NotValid`."""
    return _erasing(office).erase(log.read_number(text, region), by).erased


def preview(office: Office, by: str, text: str, region: str = "US") -> Erased:
    """What `erase` would erase. Raises `NotValid`."""
    return _erasing(office).preview(log.read_number(text, region), by)


def erase_ping(office: Office, by: str, ping_id: str, *, dry_run: bool = False) -> Erased:
    """Erase one ping, or in a dry run only say what would be erased. Raises `NotFound` and `Refused`."""
    erasing = _erasing(office)
    return erasing.preview_ping(ping_id, by) if dry_run else erasing.erase_ping(ping_id, by).erased


def list_erasures(office: Office) -> list[Erased]:
    """Every erasing, the last first."""
    return Erasures(office.records.dynamo).all()


def _erasing(office: Office) -> Erasing:
    return Erasing(office.records, office.open_files())
