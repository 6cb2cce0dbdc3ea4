"""What a request counts, as one line of CloudWatch's embedded metric format. Names and numbers only: nothing that a
publisher sent, and two dimensions of few values, the deployment (`service`) and the verb (`function`).
"""

import os

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit

NAMESPACE = "Ringpost"

_metrics = Metrics(namespace=NAMESPACE, service=os.environ.get("POWERTOOLS_SERVICE_NAME", "ringpost"))


def count_priced() -> None:
    """A lead was priced and is stored: the journal will hear of it."""
    _count("Priced")


def count_refusal(status: str) -> None:
    _count(f"Refused_{status}")


def record_pool_use(percent: float) -> None:
    """The share of a pool's numbers that are leased or in cooldown, in those rings that the request looked at."""
    _metrics.add_metric("PoolUse", MetricUnit.Percent, percent)


def count_exhausted_pool() -> None:
    """No number of the pool was free, whether or not the overflow number saved the sale."""
    _count("PoolExhausted")


def count_clock_skew() -> None:
    """The clock of the function was compared with DynamoDB's, and is more than two seconds off."""
    _count("ClockSkew")


def count_refused_webhook() -> None:
    """A webhook of a call had no right signature."""
    _count("WebhooksRefused")


def write_line(function: str, milliseconds: float) -> None:
    """The end of the request: writes its line."""
    _metrics.add_metric("Latency", MetricUnit.Milliseconds, milliseconds)
    _metrics.add_dimension("function", function)
    _metrics.flush_metrics()


def write_counts(function: str) -> None:
    """The end of a request whose time is not counted: writes its line, if there is something to say."""
    if _metrics.metric_set:
        _metrics.add_dimension("function", function)
        _metrics.flush_metrics()


def write_batch(
    *,
    rows: int,
    pages: int,
    set_aside: int,
    pings: int,
    unmatched: int,
    bids: int,
    sales: int,
    revenue_cents: int,
    payout_cents: int,
    calls: int,
    connected: int,
    converted: int,
    never_called: int,
) -> None:
    """What became of a batch of the stream, and what happened in it: the line of the journal function. Zeros are said,
    too: what is never said cannot be alarmed of."""
    _count("JournalBatches")
    _count("JournalRows", rows)
    _count("JournalPages", pages)
    _count("SetAside", set_aside)
    _count("Pings", pings)
    _count("Unmatched", unmatched)
    _count("Bids", bids)
    _count("Sales", sales)
    _count("RevenueCents", revenue_cents)
    _count("PayoutCents", payout_cents)
    _count("Calls", calls)
    _count("ConnectedCalls", connected)
    _count("ConvertedCalls", converted)
    _count("NeverCalled", never_called)
    _metrics.add_dimension("function", "journal")
    _metrics.flush_metrics()


def _count(name: str, count: int = 1) -> None:
    _metrics.add_metric(name, MetricUnit.Count, count)
