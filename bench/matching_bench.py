"""What it costs to ask every buyer of an offer about one lead."""

import time
from collections.abc import Callable

from bench.report import Report
from shared.domain import caps, filters, matching, schedule
from shared.domain.models import Buyer, Endpoint, Facts, Lead
from tests.build import START, a_buyer, an_endpoint

BUYERS = 1000
REPEATS = 30
SEED = bytes(8)
FILTERS = (
    "state in [TX, FL, GA, OH, NC, SC, TN, AL]",
    "zips: 300-319, 400-499, 30340",
    "area_codes: 614, 404, 470, 678",
    "age >= 25",
    "age <= 75",
    "currently_insured == true",
    "coverage_type != none",
    "zip matches ^3",
    "email exists",
    "income >= 20000.50",
)
LEAD = Lead(
    caller_id="+16145550123",
    traffic_source_id="1023",
    state="GA",
    zip="30340",
    age="41",
    currently_insured="true",
    coverage_type="full",
    email="name@example.com",
    income="54000",
)
COUNTED = Facts(counted={n: {} for n in range(1, BUYERS + 1)})
OPEN = schedule.Schedule(schedule.read_week({"daily": ["00:00-24:00"]}))


def run(report: Report) -> None:
    repeats = report.size(REPEATS, 1)
    report.section("matching", f"one lead against {BUYERS} buyers that all pass, CPU of one core, best of {repeats}")
    empty = microseconds(
        lambda endpoint, _: [buyer for buyer in endpoint.buyers if buyer.paused], a_market([], 0), repeats
    )
    rows, ratios = [("an empty loop", f"{empty:.2f}", "1.0")], {}
    markets = {
        "buyers without rules": a_market([], 0),
        "with ten filters": a_market(list(FILTERS), 0),
        "with ten filters, no two patterns alike": a_market(list(FILTERS), 0, alike=False),
        "with ten filters, schedule and caps": a_market(list(FILTERS), 3),
    }
    for name, endpoint in markets.items():
        ratios[name] = microseconds(decide, endpoint, repeats)
        rows.append((name, f"{ratios[name]:.2f}", f"{ratios[name] / empty:.0f}"))
    report.table(("", "µs per buyer", "÷ empty loop"), rows)
    for name in ("with ten filters", "with ten filters, no two patterns alike"):
        report.goal(f"a PING of 1,000 buyers {name}: ms", ratios[name] * BUYERS / 1000, 10)


def a_market(texts: list[str], kinds_of_caps: int, alike: bool = True) -> Endpoint:
    counted = tuple(caps.Cap("sales", 1000, period) for period in ("hour", "day", "month"))[:kinds_of_caps]

    def buyer(n: int) -> Buyer:
        return a_buyer(
            id=n,
            zone="America/New_York",
            filters=tuple(filters.read(text if alike else text.replace("^3", f"^(3|{n})")) for text in texts),
            schedule=OPEN if kinds_of_caps else None,
            caps=counted,
        )

    return an_endpoint(buyers=tuple(buyer(n) for n in range(1, BUYERS + 1)))


def decide(endpoint: Endpoint, lead: Lead) -> object:
    """A PING's whole decision, with its counts at hand."""
    bids = matching.bids(endpoint, matching.passing(endpoint, lead, START), lead, START, COUNTED, SEED)
    assert len(bids) == BUYERS
    return bids


def microseconds(work: Callable[[Endpoint, Lead], object], endpoint: Endpoint, repeats: int) -> float:
    """CPU time per buyer, the best of some leads of which no two are alike."""
    took = []
    for n in range(repeats):
        lead = Lead(LEAD | {"zip": f"303{n:02}"})
        began = time.process_time()
        work(endpoint, lead)
        took.append(time.process_time() - began)
    return 1_000_000 * min(took) / BUYERS
