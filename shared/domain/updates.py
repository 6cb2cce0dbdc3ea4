"""What is said of a call afterwards, by its buyer or an operator, and what the call is worth then.

An update is a fact like the others: it is added to the call and never changed. What a call is worth is a pure function
of how it was settled and of its updates, in their order. One that came before the call was settled waits for that.
Amounts that are said are those of the whole sale; a call is worth what of them is not owed for the sale itself.
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from shared.domain.calls import Call, Facts, connected_attempt, price_of

MOST_UPDATES = 50
MOST_CENTS = 100_000_000
"""A million dollars: nobody pays more for a call."""
MOST_FIELDS = 50
FIELD_LETTERS, VALUE_LETTERS = 64, 500
MOST_FIELD_LETTERS = 16_000
"""Of all fields of all updates of a call."""


class Update(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was said `at` a time, in seconds since the epoch, `by` a user or a buyer. None is what was not said. `id` is
    made of the Idempotency-Key, or random. `fields` are the sender's own.

    The rest is how the call was sold, which decides what an update means: something is owed for the sale itself by the
    buyer (`sale_owes`) and to the publisher (`sale_earns`), and the publisher is paid with the buyer (`follows`).
    """

    id: bytes
    at: int
    by: str
    buyer_converted: bool | None = None
    offer_converted: bool | None = None
    revenue_cents: int | None = None
    payout_cents: int | None = None
    add_revenue_cents: int = 0
    add_payout_cents: int = 0
    fields: Mapping[str, str] = {}
    sale_owes: bool = False
    sale_earns: bool = False
    follows: bool = False

    def __repr__(self) -> str:
        return f"Update({self.at})"


class Worth(Struct, frozen=True):
    """What is owed for a call beside its sale, in cents. The buyer owes where it is `converted`, the publisher gets
    where it is `earned`."""

    converted: bool = False
    earned: bool = False
    revenue_cents: int = 0
    payout_cents: int = 0


class Totals(Struct, frozen=True):
    """What is owed in all: for the call, and for its sale."""

    revenue_cents: int
    payout_cents: int


class Change(Struct, frozen=True):
    """An update with what the call was worth before it and after it."""

    update: Update
    was: Worth
    now: Worth


def worth_of(call: Call, facts: Facts, updates: Sequence[Update]) -> Worth:
    """What a call is worth; nothing before it is settled."""
    worth = settled_worth(facts)
    for change in changes_of(call, facts, updates):
        worth = change.now
    return worth


def settled_worth(facts: Facts) -> Worth:
    """As it was settled, without updates."""
    settled = facts.settled
    if settled is None:
        return Worth()
    return Worth(settled.converted, settled.payout_cents > 0, settled.revenue_cents, settled.payout_cents)


def changes_of(call: Call, facts: Facts, updates: Sequence[Update]) -> Iterator[Change]:
    """What each update changed. While a call is not settled, none changes anything."""
    worth = settled_worth(facts)
    for update in updates:
        now = apply(call, facts, worth, update) if facts.settled else worth
        yield Change(update, worth, now)
        worth = now


def expected_worth(call: Call, facts: Facts, updates: Sequence[Update]) -> Worth:
    """What a call would be worth if it were settled now, without having converted; or is worth, if it is settled."""
    worth = settled_worth(facts)
    for update in updates:
        worth = apply(call, facts, worth, update)
    return worth


def apply(call: Call, facts: Facts, worth: Worth, update: Update) -> Worth:
    """What a call is worth after one more update. A call converts for what its buyer bid, unless an amount is said;
    one that does not convert is worth nothing. An amount above zero says that it converts."""
    price = price_of_call(call, facts)
    sale = owed_for_sale(call, facts, update)
    before = totals_of(call, facts, worth, update)
    converted, revenue = _after(
        worth.converted,
        before.revenue_cents,
        update.buyer_converted,
        (price.revenue_cents, sale.revenue_cents),
        (update.revenue_cents, update.add_revenue_cents),
    )
    said = update.offer_converted
    if said is None and update.follows and converted != worth.converted:
        said = converted
    earned, payout = _after(
        worth.earned,
        before.payout_cents,
        said,
        (price.payout_cents, sale.payout_cents),
        (update.payout_cents, update.add_payout_cents),
    )
    return Worth(converted, earned, revenue - sale.revenue_cents, payout - sale.payout_cents)


def price_of_call(call: Call, facts: Facts) -> Totals:
    """What the buyer that took the call has bid, and what its publisher gets for that."""
    n = connected_attempt(call, facts)
    return Totals(*price_of(call, facts, n)) if n else Totals(0, 0)


def owed_for_sale(call: Call, facts: Facts, update: Update) -> Totals:
    """What is owed for the sale itself."""
    price = price_of_call(call, facts)
    return Totals(
        price.revenue_cents if update.sale_owes else 0,
        price.payout_cents if update.sale_earns else 0,
    )


def totals_of(call: Call, facts: Facts, worth: Worth, update: Update) -> Totals:
    """What is owed in all, by the terms of an update."""
    sale = owed_for_sale(call, facts, update)
    return Totals(worth.revenue_cents + sale.revenue_cents, worth.payout_cents + sale.payout_cents)


def buyer_of(call: Call, facts: Facts) -> int:
    """The buyer that took the call; 0 if none did."""
    if facts.settled:
        return facts.settled.buyer_id
    n = connected_attempt(call, facts)
    return facts.attempts[n].buyer_id if n else 0


def fields_of(updates: Sequence[Update]) -> dict[str, str]:
    """The senders' own fields, of each the last value."""
    return {name: value for update in updates for name, value in update.fields.items()}


def _after(
    was: bool, total: int, said: bool | None, known: tuple[int, int], amounts: tuple[int | None, int]
) -> tuple[bool, int]:
    """Whether it counts, and how much, after `said`. `known` is what is owed if it does, and if it does not."""
    (price, otherwise), (amount, more) = known, amounts
    if said is not None and said != was:
        total = price if said else otherwise
    if amount is not None:
        total = amount
    total += more
    is_amount = amount is not None or more != 0
    return (said if said is not None else was or (is_amount and total > 0)), total
