"""What a request counts, as one line of CloudWatch's embedded metric format. Names and numbers only: nothing that a
publisher sent, and two dimensions of few values, the deployment (`service`) and the verb (`function`).
"""

import os

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit

NAMESPACE = "Ringpost"

_metrics = Metrics(namespace=NAMESPACE, service=os.environ.get("POWERTOOLS_SERVICE_NAME", "ringpost"))


def pinged(bids: int) -> None:
    """A lead was priced, and so many buyers want it. No sales are said too: what is never said cannot be alarmed of."""
    _count("Pings")
    _count("Sales", 0)
    _count("Bids", bids)


def sold() -> None:
    """A sale was recorded; the same answer given again is no other sale."""
    _count("Sales")


def refused(status: str) -> None:
    _count(f"Refused_{status}")


def pool_used(percent: float) -> None:
    """The share of a pool's numbers that are leased or in cooldown, in those rings that the request looked at."""
    _metrics.add_metric("PoolUse", MetricUnit.Percent, percent)


def pool_exhausted() -> None:
    """No number of the pool was free, whether or not the overflow number saved the sale."""
    _count("PoolExhausted")


def answered(function: str, milliseconds: float) -> None:
    """The end of the request: writes its line."""
    _metrics.add_metric("Latency", MetricUnit.Milliseconds, milliseconds)
    _metrics.add_dimension("function", function)
    _metrics.flush_metrics()


def _count(name: str, count: int = 1) -> None:
    _metrics.add_metric(name, MetricUnit.Count, count)
