"""Pages: each row once, however often and in whatever pieces a batch is delivered; and which hours are dirty."""

import random
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.journal.pages import HOUR, PAGE_BYTES, Mark, Pages
from shared.journal.rows import Row, decode
from shared.store.dynamo import Dynamo
from shared.store.packing import UnknownFormat
from tests.build import SETTINGS, START, Counting, InTurn, Stage

SOME = 12
"""Events of a stream."""
EXAMPLES = count()
"""Each has an hour of its own."""


@pytest.fixture
def pages(stage: Stage) -> Pages:
    return Pages(Dynamo(stage.client, SETTINGS), stage.clock, InTurn())


def a_row(event: int, at: int = START, place: int = 0) -> Row:
    return Row(event=f"e{event}", at=at, kind="ping", place=place)


def read(pages: Pages, hour: int) -> list[tuple[str, int]]:
    """One of each, as readers keep them."""
    return sorted({(row.event, row.place) for row in decode(pages.lines(hour))})


def stored(stage: Stage) -> list[int]:
    """The sizes of the pages."""
    items = stage.client.scan(TableName=SETTINGS.journal_table)["Items"]
    return [len(item["lines"]["B"]) for item in items if "lines" in item]


def test_what_was_written_is_read_again_whole(pages: Pages) -> None:
    wanted = [a_row(1), Row(event="e2", place=1, at=START + 5, kind="sale", fields=("zip",), caller="00ff", buyer=2)]
    pages.write("pings", wanted)
    assert decode(pages.lines(START)) == wanted


def test_each_row_is_in_the_hour_of_its_own_time(pages: Pages) -> None:
    assert pages.write("pings", [a_row(1), a_row(2, START + HOUR), a_row(3, START + HOUR - 1)]) == 2
    assert read(pages, START) == [("e1", 0), ("e3", 0)]
    assert read(pages, START + HOUR) == [("e2", 0)]
    assert pages.lines(START + 2 * HOUR) == b""


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    deliveries=st.lists(
        st.tuples(st.integers(0, SOME - 1), st.integers(1, SOME)).map(lambda cut: (cut[0], cut[0] + cut[1])),
        max_size=6,
    ),
    order=st.randoms(use_true_random=False),
    places=st.lists(st.integers(1, 3), min_size=SOME, max_size=SOME),
)
def test_a_stream_in_whatever_pieces_and_repetitions_is_each_row_once(
    fast_stage: Stage, deliveries: list[tuple[int, int]], order: random.Random, places: list[int]
) -> None:
    pages = Pages(Dynamo(fast_stage.client, SETTINGS), fast_stage.clock, InTurn())
    hour = START + next(EXAMPLES) * HOUR
    events = [[a_row(event, hour, place=place) for place in range(places[event])] for event in range(SOME)]
    pieces = [(0, SOME), *deliveries]
    order.shuffle(pieces)
    for start, end in pieces:
        pages.write("pings", [row for event in events[start:end] for row in event])
    assert read(pages, hour) == sorted((row.event, row.place) for event in events for row in event)


def test_a_batch_that_comes_again_shorter_takes_nothing_away(stage: Stage, pages: Pages) -> None:
    whole = [a_row(event) for event in range(6)]
    for batch in (whole[:3], whole, whole[:4]):
        pages.write("pings", batch)
    assert len(read(pages, START)) == 6
    assert len(stored(stage)) == 1


def test_what_is_too_large_for_an_item_becomes_several_pages(stage: Stage, pages: Pages) -> None:
    noise = random.Random(1)
    rows = [
        Row(event=f"{event}", at=START, kind="ping", ping=noise.randbytes(2000).hex(), source=noise.randbytes(9).hex())
        for event in range(400)
    ]
    assert pages.write("pings", rows) == len(stored(stage)) > 2
    assert max(stored(stage)) <= PAGE_BYTES
    assert sorted(decode(pages.lines(START)), key=lambda row: int(row.event)) == rows


def test_partitions_are_read_at_once_and_their_answers_are_one(stage: Stage) -> None:
    dynamo = Counting(stage.client, SETTINGS)
    with ThreadPoolExecutor(16) as pool:
        pages = Pages(dynamo, stage.clock, pool)
        for event in range(40):
            pages.write("pings", [a_row(event)])
        keys = {item["pk"]["S"] for item in stage.client.scan(TableName=SETTINGS.journal_table)["Items"]}
        assert len(keys) > 10
        assert len(read(pages, START)) == 40


def test_pages_of_another_form_are_refused(stage: Stage, pages: Pages) -> None:
    pages.write("pings", [a_row(1)])
    [item] = [each for each in stage.client.scan(TableName=SETTINGS.journal_table)["Items"] if "lines" in each]
    stage.client.put_item(TableName=SETTINGS.journal_table, Item={**item, "lines": {"B": b"\x02"}})
    with pytest.raises(UnknownFormat):
        pages.lines(START)


def test_pages_and_marks_end_after_three_days(stage: Stage, pages: Pages) -> None:
    pages.write("pings", [a_row(1)])
    items = stage.client.scan(TableName=SETTINGS.journal_table)["Items"]
    assert [item["delete_at"]["N"] for item in items] == [str(START + 3 * 24 * HOUR)] * 2


def test_an_hour_is_dirty_from_its_first_page_until_its_file_is_made(pages: Pages) -> None:
    pages.write("pings", [a_row(1), a_row(2, START + HOUR)])
    assert pages.marked(START + HOUR - 1) == []
    assert pages.marked(START + HOUR) == [Mark(START, 1)]
    assert pages.marked(START + 2 * HOUR) == [Mark(START, 1), Mark(START + HOUR, 1)]
    pages.unmark(Mark(START, 1))
    assert pages.marked(START + 2 * HOUR) == [Mark(START + HOUR, 1)]


def test_an_hour_that_was_marked_again_stays_dirty_whoever_comes_late(pages: Pages) -> None:
    pages.write("pings", [a_row(1)])
    [first] = pages.marked(START + HOUR)
    pages.write("pings", [a_row(1), a_row(2)])
    pages.unmark(first)
    [second] = pages.marked(START + HOUR)
    pages.unmark(second)
    assert pages.marked(START + HOUR) == []
    pages.unmark(first)  # two closed the hour at once, and this one is slow
    assert pages.marked(START + HOUR) == []
    pages.write("pings", [a_row(3)])
    pages.unmark(second)
    assert [mark.hour for mark in pages.marked(START + HOUR)] == [START]


def test_a_batch_whose_page_was_there_marks_its_hour_all_the_same(pages: Pages) -> None:
    """It came again because the mark had failed."""
    pages.write("pings", [a_row(1)])
    pages.unmark(Mark(START, 1))
    pages.write("pings", [a_row(1)])
    assert pages.marked(START + HOUR) == [Mark(START, 2)]


def test_a_mark_that_has_ended_is_not_made_again(stage: Stage, pages: Pages) -> None:
    pages.unmark(Mark(START, 1))
    assert stage.client.scan(TableName=SETTINGS.journal_table)["Items"] == []
