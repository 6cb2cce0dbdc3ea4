"""Statements have each row exactly once, whenever it comes and whenever they are closed."""

from collections.abc import Iterable, Iterator, Sequence
from random import Random
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from shared.domain.statements import KEY_BYTES, Content, Sums, month_after, party_of, read_party
from shared.journal.database import PAGE_ROWS, Database, open_rows
from shared.journal.fetching import Sources
from shared.journal.rows import Row, encode
from shared.journal.statements import Tallies, Tally, Wanted

MONTHS = 4
MONTH = 1000
"""Seconds, here."""
Step = tuple[int, set[str]]
PARTIES = ("publisher:pat", "publisher:sam", "buyer:7", "buyer:8")


class Closed(Struct, frozen=True):
    content: Content
    own: Sums
    corrections: Sums


@st.composite
def some_row(draw: st.DrawFn, n: int) -> Row:
    kind: Literal["sale", "call", "update", "arrived"] = draw(st.sampled_from(("sale", "call", "update", "arrived")))
    sold_at = draw(st.integers(0, MONTHS * MONTH - 1) | st.sampled_from((MONTH - 1, MONTH, 2 * MONTH)))
    return Row(
        event=f"e{n // 2}",
        place=n % 2,
        at=sold_at + (0 if kind == "sale" else draw(st.integers(0, 2 * MONTH))),
        kind=kind,
        sold_at=sold_at if draw(st.integers(0, 4)) else 0,
        user=draw(st.sampled_from(("", "pat", "sam"))),
        buyer=draw(st.sampled_from((0, 7, 8))),
        endpoint=draw(st.sampled_from(("loans", "roofs"))),
        offer=draw(st.sampled_from(("", "a"))),
        call=f"{n:024x}" if kind != "sale" else "",
        converted=draw(st.integers(-1, 1)) if kind != "sale" else 0,
        revenue_cents=draw(st.integers(-9_999, 9_999)),
        payout_cents=draw(st.integers(-9_999, 9_999)),
    )


ROWS = st.integers(0, 14).flatmap(lambda many: st.tuples(*(some_row(n) for n in range(many))))
STEPS = st.lists(st.tuples(st.integers(0, 5), st.sets(st.sampled_from(PARTIES), min_size=1)), max_size=5)
"""How many rows come, and whose statements are closed then."""


def tally(database: Database, month: int, closed: dict[str, list[Closed]]) -> dict[str, Tally]:
    """By the real queries, of all parties."""
    start = month * MONTH
    wanted = Wanted(
        start=start,
        end=start + MONTH,
        starts={party: start for party, some in closed.items() if some and len(some) == month},
        with_keys=True,
    )

    def keys_of(party: str, since: int) -> Iterable[bytes]:
        return [each.content.keys for n, each in enumerate(closed[party]) if (n + 1) * MONTH > since]

    tallies = Tallies(wanted, keys_of)
    tallies.add(database)
    return tallies.found


def owed(rows: Iterable[Row], party: str) -> Sums:
    """By plain Python."""
    total = Sums()
    for row in rows:
        amounts = {f"publisher:{row.user}": row.payout_cents, f"buyer:{row.buyer or ''}": row.revenue_cents}
        if row.kind in ("sale", "call", "update") and party in amounts:
            total += Sums(row.kind == "sale", row.kind == "call", row.converted, amounts[party])
    return total


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with open_rows(Sources()) as opened:
        yield opened


def bring(database: Database, rows: Sequence[Row]) -> None:
    """Let these be all rows: each comes twice."""
    lines = database.keep("pages.jsonl", encode([*rows, *rows]))
    database.read_lines(lines).create_view("page_lines", replace=True)
    database.connection.execute(PAGE_ROWS)


@settings(max_examples=12, deadline=None)
@given(rows=ROWS, order=st.randoms(use_true_random=False), steps=STEPS)
def test_each_row_is_in_exactly_one_statement(
    database: Database, rows: tuple[Row, ...], order: Random, steps: list[Step]
) -> None:
    """Rows come in any order, before and after any closing, each party's months are closed in theirs, and the sum of
    all statements, closed and open, is what is owed."""
    waiting, come = list(rows), list[Row]()
    order.shuffle(waiting)
    closed: dict[str, list[Closed]] = {party: [] for party in PARTIES}
    for many, parties in steps:
        come, waiting = come + waiting[:many], waiting[many:]
        bring(database, come)
        for month in {len(closed[party]) for party in parties}:
            found = tally(database, month, closed)
            for party in parties:
                if len(closed[party]) == month:
                    each = found.get(party, Tally())
                    closed[party].append(Closed(each.content(), each.own, each.corrections))
    bring(database, rows)
    opened = [tally(database, month, closed) for month in range(MONTHS + 3)]
    for party in PARTIES:
        still_open = [found.get(party, Tally()) for found in opened[len(closed[party]) :]]
        statements = [(each.own, each.corrections, each.content().keys) for each in still_open]
        statements += [(each.own, each.corrections, each.content.keys) for each in closed[party]]
        total = Sums()
        for own, corrections, _ in statements:
            total += own + corrections
        assert total == owed(rows, party)
        every = [keys[n : n + KEY_BYTES] for _, _, keys in statements for n in range(0, len(keys), KEY_BYTES)]
        assert len(every) == len({*every})


def test_parties_and_months_are_read_as_they_are_written() -> None:
    for text in ("publisher:acme-media", "buyer:7"):
        parts = read_party(text)
        assert parts
        assert party_of(*parts) == text
    for wrong in (
        "",
        "acme",
        "publisher:",
        "buyer:x",
        "buyer:07",
        "buyer:²",
        "buyer:" + "9" * 30,
        "seller:1",
        "publisher:" + "a" * 101,
        "publisher:\n",
    ):
        assert read_party(wrong) is None, wrong
    assert [month_after("2026-11", n) for n in (-11, 0, 1, 2, 14)] == [
        "2025-12",
        "2026-11",
        "2026-12",
        "2027-01",
        "2028-01",
    ]
