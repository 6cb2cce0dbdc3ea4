"""Who may buy which call, and for how much: the rules of the configuration as an operator writes them, and what
requests read of them."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, model_validator
from pydantic import Field as Limited

from shared.configuration.shapes import (
    DAY,
    Date,
    Hundredths,
    Keys,
    Money,
    Name,
    Number,
    Part,
    Sentence,
    Sip,
    VanityUri,
    Zone,
)
from shared.domain import caps, filters, models, schedule
from shared.domain.caps import Cap

HOUR = 3600
MAX_WINDOW_DAYS = 366
PERIODS: tuple[caps.Period, ...] = ("hour", "day", "month", "total")
WHOLE = 10_000
"""Basis points of the whole bid."""


def _filter(text: str) -> str:
    filters.read(text)
    return text


def _short_filter(written: object) -> object:
    """What YAML makes of `- states: TX, FL` without quotes."""
    if isinstance(written, dict) and len(written) == 1:
        [(name, listed)] = written.items()
        return f"{name}: {', '.join(map(str, listed)) if isinstance(listed, list) else listed}"
    return written


def _rows(texts: tuple[str, ...]) -> tuple[str, ...]:
    schedule.read_rows(texts)
    return texts


def _days(text: str) -> str:
    schedule.read_days(text)
    return text


FilterText = Annotated[str, BeforeValidator(_short_filter), AfterValidator(_filter)]
Days = Annotated[str, AfterValidator(_days)]
Rows = Annotated[tuple[str, ...], AfterValidator(_rows)]
Count = Annotated[int, Limited(ge=0, le=1_000_000_000)]
PerMinute = Annotated[int, Limited(ge=1, le=1_000_000)]


class Schedule(Part):
    """Opening hours on the buyer's clock; a date in `closed_on` or `open_on` has no others than these."""

    zone: Zone | None = None
    open: Mapping[Days, Rows]
    closed_on: tuple[Date, ...] = ()
    open_on: Mapping[Date, Rows] = {}

    @model_validator(mode="after")
    def _dates_are_said_once(self) -> "Schedule":
        if twice := sorted({*self.closed_on} & {*self.open_on}):
            raise ValueError(f"must have {twice[0]} in closed_on or in open_on, not in both")
        return self

    def compile(self) -> schedule.Schedule:
        dates = {date: schedule.read_rows(rows) for date, rows in self.open_on.items()}
        return schedule.Schedule(schedule.read_week(self.open), dates | dict.fromkeys(self.closed_on, ()))


class Duplicates(Part):
    """For how long after a sale the same caller is not sold again."""

    window_days: Annotated[int, Limited(ge=1, le=MAX_WINDOW_DAYS)] | None = None
    window_hours: Annotated[int, Limited(ge=1, le=MAX_WINDOW_DAYS * 24)] | None = None

    @model_validator(mode="after")
    def _one_window(self) -> "Duplicates":
        if (self.window_days is None) == (self.window_hours is None):
            raise ValueError("must have window_days or window_hours, like {window_days: 30}")
        return self

    @property
    def seconds(self) -> int:
        return (self.window_days or 0) * DAY + (self.window_hours or 0) * HOUR


class Sales(Part):
    hour: Count | None = None
    day: Count | None = None
    month: Count | None = None
    total: Count | None = None


class Revenue(Part):
    hour: Money | None = None
    day: Money | None = None
    month: Money | None = None
    total: Money | None = None


class Calls(Sales):
    """Calls that are dialed, connected or converted."""


class Counted(Part):
    sales: Sales = Sales()
    revenue: Revenue = Revenue()
    attempts: Calls = Calls()
    connected: Calls = Calls()
    converted: Calls = Calls()
    concurrent: Count | None = None

    def limits(self, endpoint: str) -> Iterator[Cap]:
        amounts: tuple[tuple[caps.Kind, Sales | Revenue], ...] = (
            ("sales", self.sales),
            ("revenue", self.revenue),
            ("attempts", self.attempts),
            ("connected", self.connected),
            ("converted", self.converted),
        )
        for kind, part in amounts:
            for period in PERIODS:
                if (limit := getattr(part, period)) is not None:
                    yield Cap(kind, limit, period, endpoint)
        if self.concurrent is not None:
            yield Cap("concurrent", self.concurrent, endpoint=endpoint)


class Caps(Counted):
    """Of the buyer, and in `by_endpoint` of what it buys at single endpoints."""

    by_endpoint: Mapping[VanityUri, Counted] = {}

    def compile(self) -> tuple[Cap, ...]:
        here = [cap for endpoint, counted in self.by_endpoint.items() for cap in counted.limits(endpoint)]
        return (*self.limits(""), *here)


class Pays(Part):
    """What a buyer pays for."""

    on: Literal["sale", "answered", "duration"]
    after_seconds: Annotated[int, Limited(ge=1, le=DAY)] | None = None

    @model_validator(mode="after")
    def _has_its_seconds(self) -> "Pays":
        _check_seconds(self.on, self.after_seconds)
        return self

    def compile(self) -> models.Pays:
        return models.Pays(self.on, self.after_seconds or 0)


class Earns(Part):
    """What a publisher is paid for."""

    on: Literal["same", "connected", "duration"] = "same"
    after_seconds: Annotated[int, Limited(ge=1, le=DAY)] | None = None

    @model_validator(mode="after")
    def _has_its_seconds(self) -> "Earns":
        _check_seconds(self.on, self.after_seconds)
        return self

    def compile(self) -> models.Earns:
        return models.Earns(self.on, self.after_seconds or 0)


def _check_seconds(on: str, after_seconds: int | None) -> None:
    if (on == "duration") != (after_seconds is not None):
        raise ValueError("must have `after_seconds` with `on: duration`, and only there")


class Dial(Part):
    """How a buyer is dialed when a call comes for it."""

    timeout_seconds: Annotated[int, Limited(ge=5, le=120)] = 25
    max_call_seconds: Annotated[int, Limited(ge=60, le=14_400)] = 3600
    say: Sentence = ""
    press: Keys | None = None
    record: bool = False
    sip: Sip | None = None

    def compile(self) -> models.DialRules:
        return models.DialRules(**self.model_dump() | {"press": self.press or "", "sip": self.sip or ""})


class TakesCalls(Part):
    """How an endpoint takes the calls of its numbers, which come through a provider."""

    provider: Name
    late_calls: Literal["sell", "unpaid", "reject"] = "sell"
    repeat_calls: Literal["connect", "reject"] = "connect"
    unannounced: Literal["sell", "reject"] = "sell"
    anonymous: Literal["accept", "reject"] = "accept"
    caller_must_match: bool = False
    fallback: Literal["as_posted", "try_all"] = "as_posted"
    last_resort: Number | None = None
    say: Sentence = ""
    max_ring_seconds: Annotated[int, Limited(ge=5, le=600)] = 120

    def compile(self) -> models.CallRules:
        return models.CallRules(**self.model_dump() | {"last_resort": self.last_resort or ""})


class Margin(Part):
    """What is kept of a bid: dollars or a share. The publisher is told and paid the rest."""

    fixed: Hundredths | None = None
    percent: Hundredths | None = None
    allow_negative: bool = False

    @model_validator(mode="after")
    def _one_margin(self) -> "Margin":
        if (self.fixed is None) == (self.percent is None):
            raise ValueError("must have fixed or percent, like {percent: 20} or {fixed: 5.00}")
        if (self.percent or 0) > WHOLE:
            raise ValueError("must be at most 100 percent")
        if ((self.fixed or 0) < 0 or (self.percent or 0) < 0) and not self.allow_negative:
            raise ValueError("pays publishers more than the buyer bids; say `allow_negative: true` if that is meant")
        return self

    def compile(self) -> models.Margin:
        return models.Margin(self.fixed or 0, self.percent or 0)


class Rates(Part):
    """Requests a minute; a FULL is a ping and a post."""

    pings: PerMinute | None = None
    posts: PerMinute | None = None


class Limits(Part):
    """For each user, for each traffic source of a user, and for each source address that sends without a token.
    `endpoint`, an older name, holds for each user and for each such address."""

    endpoint: Rates = Rates()
    user: Rates = Rates()
    traffic_source: Rates = Rates()
    source_address: Rates = Rates()

    def compile(self) -> tuple[models.Limit, ...]:
        scopes: tuple[tuple[models.LimitOf, Rates], ...] = (
            ("endpoint", self.endpoint),
            ("user", self.user),
            ("traffic_source", self.traffic_source),
            ("source_address", self.source_address),
        )
        return tuple(
            models.Limit(of, rates.pings or 0, rates.posts or 0) for of, rates in scopes if rates.pings or rates.posts
        )
