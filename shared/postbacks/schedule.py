"""When a postback is tried again."""

from hashlib import sha256

MINUTE, HOUR = 60, 3600
DELAYS = (5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR)
"""Seconds after the first try, the second, …: ten tries in all, over three days."""
JITTER = 0.1
"""By how much a delay is longer at most: what failed together does not come again together."""
QUEUE_SECONDS = 15 * MINUTE
"""Longer delays than this are the timetable's: it is the longest of the queue."""
TOTAL_SECONDS = round(sum(DELAYS) * (1 + JITTER)) + HOUR
"""How long a postback is waited with for a receiver that fails or is paused."""
FULL_SECONDS = (2, 5, 15, 60, 300)
"""After which a postback comes again that found as many tries of its receiver as may run at once."""


def delay_after(message_id: str, failures: int) -> int | None:
    """Seconds after so many failed tries until the next one; None if that was the last. The same each time it is asked
    of one postback, so that what is entered twice is entered once."""
    if failures > len(DELAYS):
        return None
    seconds = DELAYS[failures - 1]
    share = int.from_bytes(sha256(f"{message_id} {failures}".encode()).digest()[:4], "big") / 2**32
    return round(seconds * (1 + JITTER * share))
