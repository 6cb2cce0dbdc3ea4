"""From what happened to a report, as deployed: the stream, the files of hours and days, and who may read and write."""

import copy
import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import count, islice
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

import pytest
import yaml

from shared.domain.calls import LOST_SECONDS, Call
from shared.domain.models import DAY
from shared.journal.pages import Pages
from shared.journal.rows import Row
from shared.journal.timetable import MINUTE, THE_TIMETABLE, Due, Timetable
from shared.settings import Settings
from shared.store.calls import Calls
from shared.store.counters import key_of, seen_of
from shared.store.dynamo import Dynamo
from shared.store.items import as_number
from shared.store.journal import raw_id
from tests.deploy.account import SECONDS, Account, Stack, Template
from tests.deploy.test_deploy import (
    CAPPED,
    Grant,
    Role,
    a_ping,
    a_sale,
    apply,
    configure,
    operated,
    with_every_rule_that_asks_the_store,
)
from tools.demo import CONFIGURATION

SALES = 4
CALLERS = (f"61455501{n:02}" for n in count())
MANIFEST = {"pk": {"S": "MANIFEST"}, "sk": {"S": "MANIFEST"}}


@pytest.fixture
def stack(account: Account, templates: dict[str, Template]) -> Iterator[Stack]:
    """Whose clock stands still: tests call the function of every minute."""
    still = copy.deepcopy(templates["dev"])
    for resource in still["Resources"].values():
        if resource["Type"] == "AWS::Events::Rule":
            resource["Properties"]["State"] = "DISABLED"
    with account.create("ringpost-dev", still) as created:
        yield created


@pytest.fixture
def demo(stack: Stack, tmp_path: Path) -> Stack:
    """With the demo's endpoints, without calls: so a sale earns."""
    document = yaml.load(CONFIGURATION.read_text(), yaml.BaseLoader)
    for endpoint in document["endpoints"]:
        endpoint.pop("calls", None)
    file = tmp_path / "without_calls.yaml"
    file.write_text(yaml.safe_dump(document))
    apply(stack, file)
    return stack


@pytest.fixture
def pages(stack: Stack) -> Iterator[Pages]:
    named = dict.fromkeys(Settings.__dataclass_fields__, "") | {
        "journal_table": stack.outputs["JournalTable"],
        "calls_table": stack.outputs["CallsTable"],
        "leases_table": stack.outputs["LeasesTable"],
    }
    dynamo = Dynamo(stack.account.emulator.client("dynamodb"), Settings(**named))
    with ThreadPoolExecutor(4) as pool:
        yield Pages(dynamo, lambda: int(time.time()), pool)


def an_operator(stack: Stack) -> str:
    return configure(stack.account, "--stage", "dev", "tokens", "issue", "demo-operator").stdout.split()[-1]


def reported(stack: Stack, token: str, days_ago: int) -> dict[str, Any]:
    """The total since then."""
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - days_ago * DAY))
    answer = operated(stack, token, "GET", f"/reports?from={day}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["total"]
    return found


def closed(stack: Stack) -> dict[str, int]:
    """What the function of every minute has done. Raises `AssertionError` if it failed."""
    [name] = [name for key, name in stack.resources("AWS::Lambda::Function").items() if "Minute" in key]
    ran = stack.account.emulator.client("lambda").invoke(FunctionName=f"{name}:live")
    said = json.loads(ran["Payload"].read())
    assert "FunctionError" not in ran, said
    return dict(said)


def test_a_sale_is_in_the_report_as_deployed(demo: Stack) -> None:
    a_sale(demo, a_ping(demo))
    token = an_operator(demo)
    give_up_at = time.monotonic() + SECONDS
    while (total := reported(demo, token, 1))["sales"] < 1 and time.monotonic() < give_up_at:
        time.sleep(0.5)
    assert (total["pings"], total["sales"], total["revenue_cents"]) == (1, 1, 2500)
    assert not any(closed(demo).values())  # nothing of the hour that is not over


def test_a_sale_that_a_later_one_supersedes_is_marked_as_deployed(demo: Stack) -> None:
    lead = {"caller_id": next(CALLERS), "traffic_source_id": "1023", "trackdrive_number": "+18005550170"}
    for state in ("TX", "FL"):
        answer = demo.send("full", "static_endpoint", state=state, **lead)
        assert answer.json()["success"], answer.text

    def superseded() -> list[bytes]:
        return [item["superseded_by"]["B"] for item in sales(demo) if "superseded_by" in item]

    give_up_at = time.monotonic() + SECONDS
    while not superseded() and time.monotonic() < give_up_at:  # by the journal's function: no calls are taken
        time.sleep(0.5)
    [later] = superseded()
    assert later in [item["ping_id"]["B"] for item in sales(demo)]
    assert reported(demo, an_operator(demo), 1)["sales"] == 2


def test_while_the_journal_is_stopped_forbidden_or_killed_sales_go_on_and_all_are_counted(demo: Stack) -> None:
    token, role = an_operator(demo), Role(demo, "journal")
    [writing] = [each for each in role.grants() if each.action == "dynamodb:PutItem"]
    for sold, (interrupted, is_silent) in enumerate(
        ((stopped(demo), True), (role.without(writing), True), (killed(demo), False))
    ):
        with interrupted:
            for caller in islice(CALLERS, SALES):
                a_sale(demo, a_ping(demo, caller), caller)
            total = reported(demo, token, 1)
            assert not is_silent or total["pings"] == total["sales"] == sold * SALES
        give_up_at = time.monotonic() + SECONDS
        while (total := reported(demo, token, 1))["sales"] < len(sales(demo)) and time.monotonic() < give_up_at:
            time.sleep(0.5)
        assert total["pings"] == total["sales"] == len(sales(demo)) == (sold + 1) * SALES
        assert total["revenue_cents"] == total["sales"] * 2500


def sales(stack: Stack) -> list[dict[str, Any]]:
    """The items of pings that are sold."""
    found = stack.account.emulator.client("dynamodb").scan(TableName=stack.outputs["PingsTable"])
    return [item for item in found["Items"] if "sale" in item]


@contextmanager
def stopped(stack: Stack) -> Iterator[None]:
    """The stream's records reach nobody."""
    aws = stack.account.emulator.client("lambda")
    mappings = [each["UUID"] for each in aws.list_event_source_mappings()["EventSourceMappings"]]
    assert mappings
    for mapping in mappings:
        aws.update_event_source_mapping(UUID=mapping, Enabled=False)
    yield
    for mapping in mappings:
        aws.update_event_source_mapping(UUID=mapping, Enabled=True)


@contextmanager
def killed(stack: Stack) -> Iterator[None]:
    """The journal function's process dies again and again, whatever it does at that moment."""
    [function] = [name for key, name in stack.resources("AWS::Lambda::Function").items() if "Journal" in key]
    killed, over = list[int](), Event()

    def kill() -> None:
        while not over.wait(0.3):
            for process in processes(function):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
                killed.append(process)

    thread = Thread(target=kill)
    thread.start()
    yield
    give_up_at = time.monotonic() + SECONDS
    while not killed and time.monotonic() < give_up_at:
        time.sleep(0.1)
    over.set()
    thread.join()
    assert killed


def processes(function: str) -> list[int]:
    """Those in which the emulator runs a function."""
    wanted, found = f"AWS_LAMBDA_FUNCTION_NAME={function}".encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if wanted in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found


def test_a_day_that_is_over_becomes_a_file_and_only_who_may_read_it_reports_it(demo: Stack, pages: Pages) -> None:
    at = int(time.time()) // DAY * DAY - 5 * DAY
    pages.write("pings", [Row(event=f"{hour}", at=at + hour * 3600, kind="ping", bids=1) for hour in range(3)])
    assert closed(demo) == {"due": 0, "hours_closed": 3, "days_closed": 1, "deleted": 0, "erased": 0, "strays": 0}
    names = [each["Key"] for each in listed(demo)]
    assert sorted(name.partition("/")[0] for name in names) == ["cubes", "days", *["hours"] * 3]
    token = an_operator(demo)
    role = Role(demo, "api")
    [reading] = [grant for grant in role.grants() if grant.action == "s3:GetObject" and "/days/" in grant.resource]
    with role.without(reading), pytest.raises(AssertionError, match="internal"):
        reported(demo, token, 5)
    assert reported(demo, token, 6)["pings"] == 3


def test_the_function_of_every_minute_with_one_grant_less_fails(demo: Stack, pages: Pages, tmp_path: Path) -> None:
    apply(demo, with_every_rule_that_asks_the_store(tmp_path / "rules.yaml", CAPPED))
    role = Role(demo, "minute")
    grants = [grant for grant in role.grants() if grant.action.startswith(("dynamodb:", "s3:")) and not _erases(grant)]
    assert len(grants) == 15
    places = count()
    assert does_all(demo, pages.dynamo, prepare(demo, pages, next(places)))
    for grant in grants:
        prepared = prepare(demo, pages, next(places))
        with role.without(grant):
            assert not does_all(demo, pages.dynamo, prepared), grant
        closed(demo)
    assert does_all(demo, pages.dynamo, prepare(demo, pages, next(places)))


def _erases(grant: Grant) -> bool:
    """What is used only while somebody is erased: also what waits for streams."""
    is_note = grant.action == "dynamodb:UpdateItem" and "TablesConfig" in grant.resource
    is_of_pings = "Pings" in grant.resource and grant.action != "dynamodb:BatchGetItem"
    is_of_probes = "TablesCalls" in grant.resource and ("Describe" in grant.action or "PutItem" in grant.action)
    return is_note or is_of_pings or is_of_probes or "TablesCallers" in grant.resource


class Prepared(NamedTuple):
    """A call that is lost, and the key of a reservation for a sale that is never called."""

    call_id: bytes
    buyer_id: int
    reserved: str


def prepare(stack: Stack, pages: Pages, place: int) -> Prepared:
    """A day to close, no manifest, so that files are looked for that are nobody's, and one of these; a call that is
    due, and a sale."""
    now, dynamo = int(time.time()), pages.dynamo
    at = now // DAY * DAY - (5 + place) * DAY
    pages.write("pings", [Row(event=f"of {at}", at=at, kind="ping")])
    dynamo.client.delete_item(TableName=stack.outputs["JournalTable"], Key=MANIFEST)
    stray = f"days/day=2020-01-01/1577836800-{5 + place}.parquet"
    stack.account.emulator.client("s3").put_object(Bucket=stack.outputs["JournalBucket"], Key=stray, Body=b"")

    call_id = os.urandom(12)
    call = Call(
        provider="local",
        account="local",
        provider_id=f"CA{place}",
        number="+18005550100",
        arrived_at=now - LOST_SECONDS,
        arrival="unannounced",
        endpoint="my_endpoint",
        version=1,
    )
    Calls(dynamo).arrive(call_id, call, None, b"", now + DAY)
    sale = stack.send("full", f"called{place:04}", caller_id=f"614555{place:04}").json()
    ping_id, _ = raw_id(sale["try_all_buyers_ping_id"])
    buyer_id = 200 + place
    [reserved] = held(dynamo, buyer_id)

    earlier = now - 5 * MINUTE
    begun = {**THE_TIMETABLE, "finished": as_number(earlier // MINUTE * MINUTE)}
    dynamo.client.put_item(TableName=stack.outputs["JournalTable"], Item=begun)
    Timetable(dynamo, lambda: earlier, set()).enter([Due("calls", call_id, earlier), Due("sales", ping_id, earlier)])
    return Prepared(call_id, buyer_id, reserved)


def held(dynamo: Dynamo, buyer_id: int) -> dict[str, bytes | int]:
    """What a buyer's reservations hold over all endpoints: an entry, or the end of a tombstone."""
    item = dynamo.get(dynamo.settings.leases_table, key_of((buyer_id, ""))) or {}
    return seen_of(item, 0).held or {}


def does_all(stack: Stack, dynamo: Dynamo, prepared: Prepared) -> bool:
    """Whether the function does not fail, settles the call, and gives back what the sale has reserved."""
    if fails(stack):
        return False
    call = Calls(dynamo).look(prepared.call_id)
    is_settled = call is not None and call.facts.settled is not None
    return is_settled and isinstance(held(dynamo, prepared.buyer_id)[prepared.reserved], int)


def fails(stack: Stack) -> bool:
    try:
        closed(stack)
    except AssertionError:
        return True
    return False


def listed(stack: Stack) -> list[dict[str, Any]]:
    found = stack.account.emulator.client("s3").list_objects_v2(Bucket=stack.outputs["JournalBucket"])
    return list(found.get("Contents", ()))
