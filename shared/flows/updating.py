"""A buyer or an operator says of a call what it is worth.

The ping says which call of its sale is paid. An update that makes a call worth something is written together with that,
or not at all: a second call of that sale is refused. Caps count what has changed after it; the journal does it again,
should that get lost.
"""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal

from msgspec import Struct
from msgspec.structs import replace

from shared.domain import keys
from shared.domain.calls import LAST_RESORT, paid_as_sale
from shared.domain.models import DAY, Buyer
from shared.domain.objections import NotFound, NotValid, Refused
from shared.domain.updates import (
    FIELD_LETTERS,
    MOST_CENTS,
    MOST_FIELD_LETTERS,
    MOST_FIELDS,
    MOST_UPDATES,
    VALUE_LETTERS,
    Totals,
    Update,
    Worth,
    apply,
    buyer_of,
    expected_worth,
    price_of_call,
    totals_of,
)
from shared.flows.dialing import find_buyer
from shared.flows.settling import book
from shared.flows.telephony import Telephony
from shared.store.calls import StoredCall
from shared.store.packing import UnknownFormat

NOBODY = "No buyer took this call."
PAID_ELSEWHERE = "Another call of this sale is the one that is paid, or the sale is not kept any more."
NOT_YOURS_TO_TAKE_BACK = "What you owe for this call can be taken back by your operator only."
BELOW_ZERO = "More would be taken back than is owed."
TOO_MUCH = f"Nothing above {MOST_CENTS // 100:,} is booked."
TOO_MANY = f"This call has had {MOST_UPDATES} updates. It can have no more."


class Said(Struct, frozen=True, kw_only=True):
    """What was said of a call; None is what was not. `fields` are the sender's own."""

    buyer_converted: bool | None = None
    offer_converted: bool | None = None
    revenue_cents: int | None = None
    payout_cents: int | None = None
    add_revenue_cents: int = 0
    add_payout_cents: int = 0
    fields: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return "Said()"

    @property
    def of_buyer(self) -> list[str]:
        """What is said of what the buyer owes, by its public name."""
        return _there(buyer_converted=self.buyer_converted, revenue=self.revenue_cents, add_revenue=self._more[0])

    @property
    def of_publisher(self) -> list[str]:
        """What is said of what the publisher gets."""
        return _there(offer_converted=self.offer_converted, payout=self.payout_cents, add_payout=self._more[1])

    @property
    def _more(self) -> tuple[int | None, int | None]:
        return self.add_revenue_cents or None, self.add_payout_cents or None


class Teller(Struct, frozen=True):
    """Who says it. One with `buyers` speaks for these, of calls that they took; anybody else is an operator."""

    name: str
    buyers: tuple[int, ...] = ()

    @property
    def is_buyer(self) -> bool:
        return bool(self.buyers)


def update_call(
    telephony: Telephony, call_id: bytes, teller: Teller, said: Said, idempotency_key: str = ""
) -> StoredCall:
    """The call with what was said of it, once. What changes nothing is not written.

    Raises `NotFound`; `NotValid`, which names everything that is wrong; `Refused` for a call of a newer release; and
    `TemporarilyUnavailable`: it is not known then whether it was done, and saying it again does no harm.
    """
    stored = look_at(telephony, call_id, teller)
    update_id = keys.update_id(telephony.world.keys, call_id, teller.name, idempotency_key) if idempotency_key else b""
    update = _update(telephony, stored, teller, said, update_id)
    while all(each.id != update.id for each in stored.updates):
        if not idempotency_key and not _changes_anything(stored, update):
            return stored
        was, now = _worths(stored, update)
        _check(telephony, stored, teller, said, update)
        is_to_pay = now.converted > was.converted or now.earned > was.earned
        if is_to_pay:
            after = telephony.calls.add_paid_update(call_id, stored, update, now.converted)
        else:
            after = telephony.calls.add_update(call_id, stored, update)
        if after is None:
            raise _not_found()
        if is_to_pay and (after.updates, after.erased) == (stored.updates, stored.erased):
            raise NotValid({name: [PAID_ELSEWHERE] for name in (*said.of_buyer, *said.of_publisher)})
        stored = after
        if stored.erased and update.fields:
            update = replace(update, fields={})
    book_worth(telephony, call_id)
    return stored


def book_worth(telephony: Telephony, call_id: bytes) -> None:
    """Let caps count what a call is worth by now. It may be repeated, at any time. Raises `TemporarilyUnavailable`."""

    def worth_of(stored: StoredCall) -> tuple[bool, int]:
        return stored.worth.converted, stored.worth.revenue_cents

    book(telephony, call_id, worth_of)


def look_at(telephony: Telephony, call_id: bytes, teller: Teller) -> StoredCall:
    """A call that one may speak of. Raises `NotFound`, and `Refused` for one that a newer release wrote."""
    try:
        stored = telephony.calls.look(call_id)
    except UnknownFormat as unreadable:
        raise Refused(f"The stored call cannot be read. {unreadable}") from None
    if stored is None or (teller.is_buyer and buyer_of(stored.call, stored.facts) not in teller.buyers):
        raise _not_found()
    return stored


def sale_is_paid(telephony: Telephony, stored: StoredCall) -> tuple[bool, bool]:
    """Whether something is owed for the sale of a call itself, by the buyer that took it and to the publisher."""
    call, buyer_id = stored.call, buyer_of(stored.call, stored.facts)
    if not call.ping_id or not buyer_id or buyer_id != call.sold_to:
        return False, False
    return paid_as_sale(telephony.endpoint_of(call.endpoint, call.sold_version), buyer_id)


def owed(telephony: Telephony, stored: StoredCall) -> Totals:
    """What is owed for a call and for its sale, as far as the buyer has that who took the call."""
    owes, earns = sale_is_paid(telephony, stored)
    terms = Update(id=b"", at=0, by="", sale_owes=owes, sale_earns=earns)
    return totals_of(stored.call, stored.facts, stored.worth, terms)


def _update(telephony: Telephony, stored: StoredCall, teller: Teller, said: Said, update_id: bytes) -> Update:
    call = stored.call
    owes, earns = sale_is_paid(telephony, stored)
    endpoint = telephony.endpoint_of(call.endpoint, call.version) if call.endpoint else None
    return Update(
        id=update_id or telephony.world.random_bytes(8),
        at=telephony.world.now(),
        by=teller.name,
        buyer_converted=said.buyer_converted,
        offer_converted=said.offer_converted,
        revenue_cents=said.revenue_cents,
        payout_cents=said.payout_cents,
        add_revenue_cents=said.add_revenue_cents,
        add_payout_cents=said.add_payout_cents,
        fields={} if stored.erased else _kept(stored, said.fields),
        sale_owes=owes,
        sale_earns=earns,
        follows=endpoint is not None and endpoint.earns.on == "same",
    )


def _kept(stored: StoredCall, fields: Mapping[str, str]) -> dict[str, str]:
    """As many fields as have room with the call, and of each as much."""
    room = MOST_FIELD_LETTERS
    room -= sum(len(name) + len(value) for each in stored.updates for name, value in each.fields.items())
    kept = dict[str, str]()
    for name, value in fields.items():
        name, value = name[:FIELD_LETTERS], value[:VALUE_LETTERS]
        if len(kept) < MOST_FIELDS and len(name) + len(value) <= room:
            kept[name] = value
            room -= len(name) + len(value)
    return kept


def _worths(stored: StoredCall, update: Update) -> tuple[Worth, Worth]:
    """Before the update and after it, as if a call that goes on had not converted."""
    was = expected_worth(stored.call, stored.facts, stored.updates)
    return was, apply(stored.call, stored.facts, was, update)


def _changes_anything(stored: StoredCall, update: Update) -> bool:
    was, now = _worths(stored, update)
    known = {name: value for each in stored.updates for name, value in each.fields.items()}
    says_for_later = not stored.facts.settled and (
        update.buyer_converted is not None
        or update.offer_converted is not None
        or update.revenue_cents is not None
        or update.payout_cents is not None
    )
    return was != now or says_for_later or any(known.get(name) != value for name, value in update.fields.items())


def _check(telephony: Telephony, stored: StoredCall, teller: Teller, said: Said, update: Update) -> None:
    """Raises `NotValid`."""
    wrong = dict[str, list[str]]()

    def object_to(names: list[str], sentence: str) -> None:
        for name in names:
            wrong.setdefault(name, []).append(sentence)

    if len(stored.updates) >= MOST_UPDATES:
        raise NotValid({"base": [TOO_MANY]})
    amounts = [*said.of_buyer, *said.of_publisher]
    buyer_id = buyer_of(stored.call, stored.facts)
    buyer = find_buyer(telephony, stored.call, buyer_id)[1] if buyer_id != LAST_RESORT and amounts else None
    if amounts and (buyer is None or not stored.call.ping_id):
        raise NotValid({name: [NOBODY] for name in amounts})
    was, now = _worths(stored, update)
    before = totals_of(stored.call, stored.facts, was, update)
    after = totals_of(stored.call, stored.facts, now, update)
    for names, cents in ((said.of_buyer, after.revenue_cents), (said.of_publisher, after.payout_cents)):
        if cents < 0:
            object_to(names[-1:], BELOW_ZERO)
        if cents > MOST_CENTS:
            object_to(names[-1:], TOO_MUCH)
    for is_said, amount in ((said.buyer_converted, said.of_buyer[1:]), (said.offer_converted, said.of_publisher[1:])):
        cents = after.revenue_cents if amount and amount[-1].endswith("revenue") else after.payout_cents
        if is_said is False and amount and cents > 0:
            object_to(amount, "It must be 0 where the call did not convert.")
    if buyer and said.of_buyer:
        for sentence in _objections(stored, buyer, teller, (was, before), (now, after), update.at):
            object_to(said.of_buyer, sentence)
    if wrong:
        raise NotValid(wrong)


def _objections(
    stored: StoredCall,
    buyer: Buyer,
    teller: Teller,
    was: tuple[Worth, Totals],
    now: tuple[Worth, Totals],
    at: int,
) -> list[str]:
    """What the buyer's `pays` rule has against it."""
    rule, found = buyer.pay_rule, list[str]()
    (before, owed_before), (after, owed_after) = was, now
    changes = before.converted != after.converted or owed_before != owed_after
    if rule.on == "buyer_says":
        if teller.is_buyer and changes and at >= stored.call.arrived_at + rule.within_days * DAY:
            found.append(f"The {rule.within_days} days in which you can say this are over.")
        if after.converted and changes and owed_after.revenue_cents < rule.min_cents:
            found.append(f"It must be at least {_dollars(rule.min_cents)}.")
        if after.converted and changes and owed_after.revenue_cents > rule.max_cents:
            found.append(f"It must be at most {_dollars(rule.max_cents)}.")
    elif teller.is_buyer:
        # Nobody knows yet what is owed for a call that goes on: it may be what the buyer has bid.
        price = price_of_call(stored.call, stored.facts).revenue_cents
        least = owed_before.revenue_cents if stored.facts.settled else price
        owes = before.converted if stored.facts.settled else True
        if owed_after.revenue_cents < least or owes > after.converted:
            found.append(NOT_YOURS_TO_TAKE_BACK)
    return found


def _dollars(cents: int) -> str:
    return str((Decimal(cents) / 100).quantize(Decimal("0.01"), ROUND_HALF_UP))


def _there(**named: object) -> list[str]:
    return [name for name, value in named.items() if value is not None]


def _not_found() -> NotFound:
    return NotFound("There is no such call, or it is not yours.")
