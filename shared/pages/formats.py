"""Numbers, amounts and times as pages show them."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo


def plain(number: int) -> str:
    return f"{number:,}"


def money(cents: int) -> str:
    return f"{cents / 100:,.2f}"


def stamp(at: int, zone: str = "UTC") -> str:
    return f"{datetime.fromtimestamp(at, ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}"


def time_of_day(at: int, zone: str) -> str:
    return f"{datetime.fromtimestamp(at, ZoneInfo(zone)):%H:%M:%S}"


def date(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"


def minute(at: int) -> str:
    """A time, UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"


def minute_in(at: int, zone: str) -> str:
    """A time on the clock of the zone."""
    return f"{datetime.fromtimestamp(at, ZoneInfo(zone)):%Y-%m-%d %H:%M}"


def cell(text: object) -> str:
    """As a cell of a Markdown table."""
    return " ".join(str(text).split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
