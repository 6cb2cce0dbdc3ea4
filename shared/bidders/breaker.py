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
    """The faults of one process's buyers. Times are seconds of any clock that only goes forward."""

    def __init__(self) -> None:
        self._faults: dict[int, _Fault] = {}

    def skips(self, buyer_id: int, now: float) -> str:
        """Why the buyer is not asked now; empty if it is."""
        fault = self._faults.get(buyer_id)
        if fault is None or fault.until <= now:
            return ""
        times = f"{fault.failures} failures in a row, the last: {fault.reason}"
        return f"skipped for {fault.until - now:.0f} s more after {times}"

    def worked(self, buyer_id: int) -> None:
        self._faults.pop(buyer_id, None)

    def failed(self, buyer_id: int, reason: str, now: float) -> None:
        fault = self._faults.setdefault(buyer_id, _Fault())
        fault.failures += 1
        fault.reason = reason
        if fault.failures >= FAILURES:
            fault.until = now + fault.seconds
            fault.seconds = min(2 * fault.seconds, LONGEST_SECONDS)
