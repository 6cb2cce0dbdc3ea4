"""Operators who edit at the same time, on the real engines: of one resource one wins, of several nothing is lost."""

from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import pytest

from shared.domain.objections import Objection, Outdated
from shared.domain.readers import Reader
from shared.operators import changelog, resources
from shared.settings import Settings
from shared.store.dynamo import Dynamo
from shared.store.records import Records
from tests.build import KEYS, Clock, Stage
from tests.configurations import a_buyer, an_offer
from tests.office import opened
from tests.race.crowds import at_once
from tools import engine

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

STACKS = count()
CROWD = 4
ROUNDS = 3
BUYERS = range(1, CROWD + 1)


@pytest.fixture
def stage(client: "DynamoDBClient") -> Stage:
    stack = next(STACKS)
    names = Settings(
        config_table=f"operated-config{stack}",
        pings_table=f"operated-pings{stack}",
        leases_table=f"operated-leases{stack}",
        callers_table=f"operated-callers{stack}",
        journal_table=f"operated-journal{stack}",
        sandbox_pings_table=f"operated-sandbox-pings{stack}",
        sandbox_leases_table=f"operated-sandbox-leases{stack}",
        sandbox_callers_table=f"operated-sandbox-callers{stack}",
        secret="00" * 32,
    )
    engine.create_tables(client, names)
    stage = Stage(client, names, Clock())
    opened(stage, offers=[an_offer(buyers=[a_buyer(id=n) for n in BUYERS])])
    return stage


def an_operator(stage: Stage) -> Records:
    return Records(Dynamo(stage.client, stage.settings), KEYS, stage.clock)


def bids(stage: Stage) -> dict[str, str]:
    buyers = resources.list_resources(an_operator(stage), "buyers", Reader("olga", None)).items
    return {str(buyer["id"]): buyer["bid"] for buyer in buyers}


def edited(records: Records, place: int, wanted: list[str], seen: str) -> Objection | None:
    """The answer to one of several operators, each with a bid of its own for buyer 1."""
    try:
        resources.patch(records, f"operator {place}", "buyers", "1", {"bid": wanted[place]}, seen)
    except Objection as objection:
        return objection
    return None


def test_of_operators_who_edit_one_buyer_one_wins_and_the_others_are_told(stage: Stage) -> None:
    for played in range(ROUNDS):
        seen = resources.find_resource(an_operator(stage), "buyers", "1").version
        wanted = [f"{40 + CROWD * played + place}.00" for place in range(CROWD)]
        edit = partial(edited, wanted=wanted, seen=seen)
        answers = at_once([an_operator(stage) for _ in range(CROWD)], edit)
        [winner] = [place for place, objection in enumerate(answers) if objection is None]
        assert bids(stage)["1"] == wanted[winner]
        for objection in answers[:winner] + answers[winner + 1 :]:
            assert isinstance(objection, Outdated)
            assert objection.current["bid"] == wanted[winner]
        latest, _ = changelog.list_changes(an_operator(stage), limit=1)
        assert latest[0].by == f"operator {winner}"


def test_of_operators_who_edit_buyers_of_one_offer_everybody_wins(stage: Stage) -> None:
    for played in range(ROUNDS):
        seen = [resources.find_resource(an_operator(stage), "buyers", str(n)).version for n in BUYERS]

        def edit(records: Records, place: int) -> None:
            wanted = {"bid": f"{40 + played}.00"}  # noqa: B023
            resources.patch(records, f"operator {place}", "buyers", str(BUYERS[place]), wanted, seen[place])  # noqa: B023

        at_once([an_operator(stage) for _ in range(CROWD)], edit)
        assert bids(stage) == {str(n): f"{40 + played}.00" for n in BUYERS}
    entries, _ = changelog.list_changes(an_operator(stage), limit=CROWD * ROUNDS)
    changed = sorted(change.path for entry in entries for change in entry.changes)
    assert changed == sorted(f"offers[auto-insurance].buyers[{n}].bid" for n in BUYERS for _ in range(ROUNDS))
    assert all(len(entry.changes) == 1 for entry in entries)


def test_of_operators_who_make_the_same_buyer_one_does(stage: Stage) -> None:
    def make(records: Records, place: int) -> str:
        try:
            made = a_buyer(id=9, name=f"of {place}", offer="auto-insurance")
            resources.create(records, f"operator {place}", "buyers", made)
        except Objection as objection:
            return objection.status
        return "made"

    told = at_once([an_operator(stage) for _ in range(CROWD)], make)
    assert sorted(told) == ["made"] + ["name_taken"] * (CROWD - 1)
    assert resources.find_resource(an_operator(stage), "buyers", "9").content["name"] == f"of {told.index('made')}"
