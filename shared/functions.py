"""The functions as one table: what the stack deploys, what the local run starts, and which requests lead where."""

from dataclasses import dataclass
from typing import Literal

Bundle = Literal["publishers", "telephony", "operators"]
"""Whose functions run in it. It is fetched at every cold start: publishers' weighs a fifth of operators', and telephony
has beside it only what checks the signatures of a provider."""
Traffic = Literal["verbs", "operators", "elsewhere"]
"""What a stage has a throttle for."""

WEBHOOKS = "/api/v1/inbound_webhooks"
DASHBOARD = "/dashboard"
CALLS = "/calls"
RESERVED = 10
"""The most processes of a function that somebody outside can call, and that does not sell."""
DISK_MB = 512
"""What every function has."""
OFFICE_SECONDS = 29
"""Applying a configuration takes seconds; API Gateway waits for thirty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Requests to what is `below` the prefix, to the prefix `itself`, or both. The longest prefix counts."""

    prefix: str
    traffic: Traffic
    itself: bool = False
    below: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """At most so many `processes` of a function there are if the stage reserves: it cannot take those of PING and POST.
    What happens in a function that is not `counted` is no business: it may not be in the metrics that alarms go by. One
    with `every_minutes` is called by the clock. `least_memory_mb` is what it needs whatever the stage says; of one with
    a larger disk than `DISK_MB` Lambda takes no snapshots."""

    name: str
    bundle: Bundle = "publishers"
    # A claim on a ping may be taken over after 11 seconds; the function that made it must be dead by then.
    timeout_seconds: int = 9
    processes: int = 0
    least_memory_mb: int = 0
    disk_mb: int = DISK_MB
    counted: bool = True
    every_minutes: int = 0
    routes: tuple[Route, ...] = ()

    @property
    def module(self) -> str:
        return f"functions.{self.name}.handler"

    @property
    def handler(self) -> str:
        """As Lambda is told it."""
        return f"{self.module}.lambda_handler"


FUNCTIONS = {
    function.name: function
    for function in (
        Function(name="ping", routes=(Route(prefix=f"{WEBHOOKS}/ping", traffic="verbs"),)),
        Function(name="post", routes=(Route(prefix=f"{WEBHOOKS}/post", traffic="verbs"),)),
        Function(
            name="full",
            routes=(
                Route(prefix=f"{WEBHOOKS}/full", traffic="verbs"),
                Route(prefix=WEBHOOKS, traffic="elsewhere"),
            ),
        ),
        # The provider waits fifteen seconds, and a caller hears nothing meanwhile.
        Function(name="call", bundle="telephony", timeout_seconds=5, routes=(Route(prefix=CALLS, traffic="verbs"),)),
        Function(
            name="sandbox",
            processes=RESERVED,
            counted=False,
            routes=(Route(prefix="/sandbox", traffic="elsewhere"),),
        ),
        Function(
            name="instructions",
            processes=RESERVED,
            counted=False,
            routes=(
                Route(prefix="/posting_instructions", traffic="elsewhere"),
                Route(prefix="/", traffic="elsewhere", itself=True, below=False),
            ),
        ),
        Function(
            name="api",
            bundle="operators",
            timeout_seconds=OFFICE_SECONDS,
            processes=RESERVED,
            # Reports: 384 MB are DuckDB's, and 450 MB of files are kept, beside what it spills.
            least_memory_mb=1024,
            disk_mb=1024,
            routes=(Route(prefix="/api/v1", traffic="operators"),),
        ),
        Function(
            name="dashboard",
            bundle="operators",
            timeout_seconds=OFFICE_SECONDS,
            processes=RESERVED,
            # Reports: 384 MB are DuckDB's, and 450 MB of files are kept, beside what it spills.
            least_memory_mb=1024,
            disk_mb=1024,
            routes=(Route(prefix=DASHBOARD, traffic="operators", itself=True),),
        ),
        # The repair asks DuckDB, which has 384 MB, a day at a time; files are kept as reports keep them.
        Function(
            name="hourly",
            bundle="operators",
            timeout_seconds=15 * 60,
            least_memory_mb=1024,
            disk_mb=1024,
            every_minutes=60,
        ),
        Function(name="journal", bundle="operators", timeout_seconds=60),
        Function(
            name="minute",
            bundle="operators",
            timeout_seconds=15 * 60,
            processes=1,  # two runs do each other no harm, but the same work
            # A busy day's file has 500 MB: it is read whole, beside DuckDB's 256 MB, and its hours lie on the disk too.
            least_memory_mb=1769,
            disk_mb=4096,
            every_minutes=1,
        ),
    )
}
FALLBACK = "full"
"""The function of all paths without a route; their traffic is `elsewhere`."""
