"""What requests count, as CloudWatch reads it from the log."""

import json
from typing import Any

import pytest

from shared.publishers import metrics
from tests.build import CALLER, Publisher, Stage, a_pool, an_endpoint

OTHER = "+16145550124"


class Told:
    """The metrics of the requests since it was last asked."""

    def __init__(self, printed: pytest.CaptureFixture[str]) -> None:
        self.printed = printed

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.printed.readouterr().out.splitlines() if '"_aws"' in line]

    def values(self) -> dict[str, float]:
        """Of one request, without how long it took."""
        (line,) = self.lines()
        (told,) = line["_aws"]["CloudWatchMetrics"]
        assert told["Namespace"] == metrics.NAMESPACE
        assert [sorted(dimensions) for dimensions in told["Dimensions"]] == [["function", "service"]]
        assert set(line) == {"_aws", "function", "service"} | {metric["Name"] for metric in told["Metrics"]}
        assert line.pop("Latency")[0] >= 0
        return {name: sum(line[name]) for name in line if name not in ("_aws", "function", "service")}


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    metrics._metrics.clear_metrics()  # of tests that stop a request before it has printed them
    return Told(capsys)


def test_a_ping_is_counted_when_it_is_priced_and_a_sale_tells_of_the_pool_that_it_took_from(
    stage: Stage, publisher: Publisher, told: Told
) -> None:
    stage.publish(an_endpoint(pool=a_pool(4)))
    first = publisher.ping(caller_id=CALLER).body["try_all_buyers_ping_id"]
    second = publisher.ping(caller_id=OTHER).body["try_all_buyers_ping_id"]
    assert [line["Priced"] for line in told.lines()] == [[1.0], [1.0]]

    publisher.post(ping_id=first, caller_id=CALLER)
    assert told.values() == {"PoolUse": 0}
    publisher.post(ping_id=second, caller_id=OTHER)
    assert told.values() == {"PoolUse": 25}


@pytest.mark.parametrize("verb", ["ping", "post", "full"])
def test_what_nobody_wants_is_priced_too(stage: Stage, publisher: Publisher, told: Told, verb: str) -> None:
    stage.publish(an_endpoint(buyers=()))
    publisher.send(verb, json_body={"caller_id": CALLER})
    assert told.values() == {"Priced": 1, "Refused_no_matching_buyer": 1}


def test_the_same_answer_again_prices_nothing(stage: Stage, publisher: Publisher, told: Told) -> None:
    stage.publish(an_endpoint())
    publisher.full(caller_id=CALLER)
    assert told.values() == {"Priced": 1, "PoolUse": 0}
    publisher.full(caller_id=CALLER)
    assert told.values() == {}


@pytest.mark.parametrize("overflow", ["", "+18005550199"])
def test_an_exhausted_pool_is_counted_even_if_the_overflow_number_saves_the_sale(
    stage: Stage, publisher: Publisher, told: Told, overflow: str
) -> None:
    stage.publish(an_endpoint(pool=a_pool(1, overflow_number=overflow)))
    publisher.full(caller_id=CALLER)
    told.lines()
    outcome = {} if overflow else {"Refused_no_number_available": 1}
    for caller in ("+16145550125", "+16145550126"):  # the second one without a look: it is known
        publisher.full(caller_id=caller)
        assert told.values() == {"Priced": 1, "PoolUse": 100, "PoolExhausted": 1, **outcome}


def test_refusals_are_counted_by_status_and_nothing_that_was_sent_is_told(
    stage: Stage, publisher: Publisher, told: Told
) -> None:
    stage.publish(an_endpoint())
    publisher.post(caller_id="no number")
    assert told.values() == {"Refused_invalid_fields": 1}
    publisher.ping("another_endpoint", caller_id=CALLER)
    assert told.values() == {"Refused_unknown_endpoint": 1}
    publisher.ping(caller_id=CALLER)
    (line,) = told.lines()
    assert CALLER not in json.dumps(line)
    assert line["function"] == "ping"


def test_a_bug_is_counted_too(stage: Stage, publisher: Publisher, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.publish(an_endpoint())
    monkeypatch.setattr("shared.domain.matching.bids", None)
    publisher.ping(caller_id=CALLER)
    assert told.values() == {"Refused_internal_error": 1}


def test_a_webhook_writes_a_line_only_if_it_has_counted_something(told: Told) -> None:
    metrics.write_counts("call")
    assert told.lines() == []
    metrics.count_refused_webhook()
    metrics.write_counts("call")
    [line] = told.lines()
    assert (line["function"], line["WebhooksRefused"]) == ("call", [1.0])
