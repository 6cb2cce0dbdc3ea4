"""What a release has left in its tables and files: this code goes on with it."""

import json
from pathlib import Path

import pytest

from shared import configuration
from shared.domain.models import DAY
from shared.journal.files import LATE_SECONDS
from tests import golden_world
from tests.build import Publisher, Stage
from tests.golden_values import is_part
from tests.golden_world import AT_STATIC, BY_FULL, BY_POST, LISTED, NUMBER, REPORT, WORLD, WORLDS, World, a_market
from tests.office import as_user, records

FILES: list[Path | None] = [None, *sorted(WORLDS.glob(f"*/{WORLD}"))]
FREE = "+16145550105"


@pytest.fixture(params=FILES, ids=lambda file: file.parent.name if file else "as it is now")
def made(request: pytest.FixtureRequest) -> World:
    return golden_world.read(request.param) if request.param else golden_world.make()


@pytest.fixture
def world(made: World, stage: Stage) -> World:
    """It is made before there is a stage: tables of their own are in memory, too."""
    golden_world.enter(made, stage)
    return made


def test_each_sale_is_answered_as_it_was(world: World, publisher: Publisher) -> None:
    for sent in world.sold.values():
        assert publisher.send(sent.verb, sent.uri, json_body=sent.params).text == sent.answer


def test_numbers_stay_leased_and_caps_counted(world: World, publisher: Publisher) -> None:
    numbers = {json.loads(world.sold[caller].answer)["trackdrive_number"] for caller in (BY_FULL, BY_POST)}
    sale = publisher.full(caller_id=FREE).body
    assert sale["success"]
    assert sale["trackdrive_number"] not in numbers
    assert sale["buyer_name"] == "Buyer B"
    assert publisher.full(caller_id="+16145550106").body["status"] == "no_number_available"


def test_callers_stay_listed_and_duplicates_and_tokens_are_known(world: World, publisher: Publisher) -> None:
    assert publisher.ping(caller_id=LISTED).body["status"] == "caller_number_suppressed"
    assert publisher.ping(caller_id=BY_FULL).body["status"] == "duplicate_caller"
    assert publisher.ping("secure_endpoint", caller_id=FREE).code == 401
    assert publisher.ping("secure_endpoint", caller_id=FREE, auth_token=world.token).body["success"]


@pytest.mark.usefixtures("world")
def test_a_call_to_a_static_number_finds_its_buyer(stage: Stage) -> None:
    route = stage.route(NUMBER, AT_STATIC)
    assert route
    assert route.number in {"+18005550181", "+18005550182"}


def test_a_report_says_the_same_from_pages_and_from_files(world: World, stage: Stage) -> None:
    olga = as_user(stage, "olga")
    assert world.report["total"]["sales"] == 3
    for _ in range(2):
        report = olga.get("/reports", REPORT)
        assert all(is_part(world.report[name], report[name]) for name in ("items", "total"))
        stage.clock.forward(DAY + LATE_SECONDS)
        golden_world.close_files(stage)


@pytest.mark.usefixtures("world")
def test_a_caller_is_erased(stage: Stage) -> None:
    assert (erased := stage.erase(BY_POST)).sales == erased.pings == 1
    assert stage.erase(BY_FULL).pings == 2


def test_the_configuration_is_read_and_changed(world: World, stage: Stage, publisher: Publisher) -> None:
    live = records(stage).versions.current()
    wanted = configuration.read(a_market(account={"zone": "America/New_York"}))
    assert configuration.from_records(live.parts) == configuration.read(a_market())
    assert records(stage).applying.apply(wanted, "olga")
    assert records(stage).versions.current().version > live.version
    sent = world.sold[BY_FULL]
    assert publisher.send(sent.verb, sent.uri, json_body=sent.params).text == sent.answer
