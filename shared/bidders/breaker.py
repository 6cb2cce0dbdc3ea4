"""The circuit breaker: a buyer's system that keeps failing is left alone for a while, then tried by one call."""

from dataclasses import dataclass

FAILURES = 5
"""In a row, after which a buyer is skipped."""
FIRST_SECONDS = 10.0
LONGEST_SECONDS = 120.0
"""How long it is skipped: each time that it fails when it is tried again, twice as long."""


@dataclass(slots=True)
class _Fault:
    failures: int = 0
    seconds: float = FIRST_SECONDS
    until: float = 0
    reason: str = ""


class Breaker:
    """The faults of one process's buyers. Times are seconds of any clock that only goes forward.

    Posts, which are `final`, have a row of their own: of a buyer that bids well and fails whenever it is to buy, the
    bids would end each row. Either row keeps it from being asked anything.
    """

    def __init__(self) -> None:
        self._faults: dict[tuple[int, bool], _Fault] = {}

    def skips(self, buyer_id: int, now: float) -> str:
        """Why the buyer is not asked now; empty if it is."""
        for final in (False, True):
            fault = self._faults.get((buyer_id, final))
            if fault and fault.until > now:
                of = " of posts" if final else ""
                times = f"{fault.failures} failures{of} in a row, the last: {fault.reason}"
                return f"skipped for {fault.until - now:.0f} s more after {times}"
        return ""

    def worked(self, buyer_id: int, final: bool) -> None:
        self._faults.pop((buyer_id, final), None)

    def failed(self, buyer_id: int, final: bool, reason: str, now: float) -> None:
        fault = self._faults.setdefault((buyer_id, final), _Fault())
        fault.failures += 1
        fault.reason = reason
        if fault.failures >= FAILURES:
            fault.until = now + fault.seconds
            fault.seconds = min(2 * fault.seconds, LONGEST_SECONDS)
