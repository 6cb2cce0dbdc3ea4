"""What a telephone call costs at the store: each of its webhooks, and what the journal's function does of it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from msgspec.structs import replace

from bench.counted import Call, Counted, round_trips
from bench.counts import CAPS, NUMBERS, SECONDS, a_lead
from bench.report import Report
from shared.domain.models import CallRules
from shared.flows import settling
from shared.journal.consumer import consume, remembering
from shared.journal.follow_up import FollowUp
from shared.journal.pages import Pages
from shared.journal.timetable import Timetable
from shared.store.calls import Calls
from shared.store.compiled import Compiled, Memory
from tests.build import BUYERS, SETTINGS, Publisher, Stage, a_pool, an_endpoint
from tests.phone import Phone
from tools import engine

WEBHOOKS = ("voice", "leg", "dial", "status")
NEW_NUMBER = "voice of a new number"
JOURNAL = "journal, all of it"
HEAD = ("", "calls", "round trips", "writes", "write units", "read units")
TALK_SECONDS = 95


def run(report: Report) -> None:
    with engine.dynoxide(None) as url, ThreadPoolExecutor(6) as io_pool:
        client = engine.client(url)
        engine.create_tables(client, SETTINGS)
        stage = Stage(client, io_pool=io_pool)
        capped = tuple(replace(buyer, caps=CAPS) for buyer in BUYERS)
        plain = an_endpoint(vanity_uri="plain", pool=a_pool(NUMBERS, no=1))
        caps = an_endpoint(vanity_uri="caps", pool=a_pool(NUMBERS, no=2), buyers=capped)
        stage.publish(*(replace(endpoint, calls=CallRules("main")) for endpoint in (plain, caps)))
        for uri, writes in (("plain", 6), ("caps", 8)):
            _a_call(stage, uri)  # so that the process knows endpoint and buyers, as one that is warm
            traces = {NEW_NUMBER: _a_call(stage, uri)["voice"], **_a_call(stage, uri, knows_number=True)}
            report.section(
                f"call-counts  {uri}", "one call of four webhooks, and the changes of it in the journal's function"
            )
            report.table(HEAD, [(name, *_numbers(trace)) for name, trace in traces.items()])
            reads = [call for call in traces["voice"] if not call.writes]
            report.goal(f"{uri}: rounds of reads of voice", round_trips(reads), 3)
            voice = traces[NEW_NUMBER]
            report.goal(f"{uri}: reads of {NEW_NUMBER}", sum(not call.writes for call in voice), 4)
            report.goal(f"{uri}: writes of {NEW_NUMBER}", sum(call.writes for call in voice), 2)
            of_webhooks = [call for name in WEBHOOKS for call in traces[name]]
            report.goal(f"{uri}: write units of four webhooks", _units(of_webhooks, writes=True), writes)


def _a_call(stage: Stage, uri: str, *, knows_number: bool = False) -> dict[str, list[Call]]:
    """Sell a caller, who then calls, talks and hangs up. What was called at the store, by webhook. A process remembers
    whose the numbers are that were called before."""
    lead = a_lead()
    sold = Publisher(stage).full(uri, **lead)
    stage.bring_stream()
    number = f"+{sold.body['trackdrive_number']}"
    if knows_number:
        stage.telephony().owners.read(number, stage.clock())
    phone = Phone(stage, number, caller=lead["caller_id"])
    of_journal = Counted(stage.client, SETTINGS)
    follow = FollowUp(
        Calls(of_journal),
        Timetable(of_journal, stage.clock, {SETTINGS.journal_table}),
        remembering(Compiled(of_journal, Memory()), {}),
        lambda stored, call_id: settling.give_back(stage.telephony_over(of_journal), call_id, stored),
    )

    def counted(act: Callable[[], object]) -> list[Call]:
        store = Counted(stage.client, SETTINGS, SECONDS)
        phone.telephony = stage.telephony_over(store)
        act()
        _bring_stream(stage, of_journal, follow)
        return store.trace

    traces = {"voice": counted(phone.rings), "leg": counted(phone.leg_answers)}
    stage.clock.forward(TALK_SECONDS)
    traces["dial"] = counted(lambda: phone.dial_ends("completed", 1, TALK_SECONDS))
    traces["status"] = counted(lambda: phone.ends(TALK_SECONDS))
    return {**traces, JOURNAL: of_journal.trace}


def _bring_stream(stage: Stage, store: Counted, follow: FollowUp) -> None:
    pages, endpoint_of = Pages(store, stage.clock, stage.io_pool), follow.endpoint_of
    while batches := [(stream, batch) for stream in stage.streams if (batch := stream.next_batch())]:
        for stream, batch in batches:
            done = consume(batch.event, pages, endpoint_of, _set_nothing_aside, follow)
            stream.note_done(batch, {"batchItemFailures": done.failed})


def _set_nothing_aside(_: object, why: str) -> None:
    raise AssertionError(why)


def _numbers(trace: list[Call]) -> tuple[int, int, int, float, float]:
    """In the order of the columns."""
    writes = sum(call.writes for call in trace)
    return len(trace), round_trips(trace), writes, _units(trace, writes=True), _units(trace, writes=False)


def _units(trace: list[Call], *, writes: bool) -> float:
    return sum(call.units for call in trace if call.writes == writes)
