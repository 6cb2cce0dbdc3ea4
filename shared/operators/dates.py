"""Days as people write them."""

import re
from datetime import UTC, datetime

from shared.domain.models import DAY
from shared.domain.objections import NotValid


def start_of_day(text: str, now: int, named: str = "day") -> int:
    """When the UTC day begins that is written like 2026-11-25; today's without one. Raises `NotValid`."""
    if not text:
        return now // DAY * DAY
    try:
        if not (text.isascii() and re.fullmatch(r"(19[7-9]|[2-9]\d\d)\d-\d\d-\d\d", text)):
            raise ValueError
        return int(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise NotValid({named: ["must be a day like 2026-11-25"]}) from None
