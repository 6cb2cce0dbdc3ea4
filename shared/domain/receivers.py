"""Receivers of postbacks: who is told of what, and the words in which their templates ask for values.

A template has the placeholders of `TOKENS`, `{lead.…}` and `{secret.…}`. The forms that people bring from other systems
mean the same: `[call_uuid]`, `{{call_uuid}}`. A name that is none of `ALIASES` is one of the lead there: `[sub_id]`.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from msgspec import Struct

from shared.domain import filters, templates
from shared.domain.live_bids import Exchange, Template

EventType = Literal[
    "sale.made", "sale.never_called", "call.arrived", "call.connected", "call.ended", "call.converted", "call.updated",
]  # fmt: skip
EVENTS: tuple[EventType, ...] = get_args(EventType)
A_TEST = "test"
"""The event of a postback that somebody sends to see whether it comes."""
To = Literal["operator", "publisher", "buyer"]

TOKENS: templates.Vocabulary = {
    "event": ("type", "id", "at", "time", "payout", "revenue"),
    "call": ("uuid", "number", "arrival", "status", "detail", "connected", "seconds", "converted", "payout", "revenue"),
    "sale": ("uuid", "payout", "revenue"),
    "buyer": ("id", "name"),
    "publisher": ("name", "source"),
    "endpoint": ("name",),
    "lead": (),
    "secret": (),
}
FORMED = ("lead", "call", "sale", "event", "buyer")
"""Of what there are the forms of `templates.FORMS`."""
HIDDEN: Mapping[To, frozenset[str]] = {
    "operator": frozenset(),
    "publisher": frozenset({"buyer.name", "event.revenue", "call.revenue", "sale.revenue"}),
    "buyer": frozenset({"event.payout", "call.payout", "sale.payout", "publisher.name", "publisher.source"}),
}
"""What a receiver is never told: a publisher who buys and for how much, a buyer who sells and for how much."""
ALIASES = {
    "call_uuid": "call.uuid",
    "uuid": "call.uuid",
    "sale_uuid": "sale.uuid",
    "number": "call.number",
    "number_called": "call.number",
    "status": "call.status",
    "duration": "call.seconds",
    "seconds": "call.seconds",
    "answered_duration": "call.seconds",
    "converted": "call.converted",
    "buyer_converted": "call.converted",
    "payout": "event.payout",
    "revenue": "event.revenue",
    "event": "event.type",
    "event_id": "event.id",
    "timestamp": "event.time",
    "buyer": "buyer.name",
    "buyer_name": "buyer.name",
    "buyer_id": "buyer.id",
    "publisher": "publisher.name",
    "traffic_source_id": "publisher.source",
    "caller_number": "lead.caller_id",
}
"""What values are called in other systems."""
BRACKETS = re.compile(r"\[([A-Za-z_][A-Za-z0-9_.-]{0,63})\]|\{\{\s*([A-Za-z_][A-Za-z0-9_.-]{0,63})\s*\}\}")
SECRET = re.compile(r"\{secret\.([A-Za-z0-9_.-]{1,64})\}")


class Receiver(Struct, frozen=True, kw_only=True):
    """Who is told of `events`, how, and `when` only. With `sources` a publisher is told of these alone. `secrets` are
    the names of the secrets that sign; without one the stack's own key does."""

    name: str
    to: To
    events: tuple[str, ...]
    exchange: Exchange
    user: str = ""
    sources: tuple[str, ...] = ()
    buyer_id: int = 0
    when: tuple[filters.Filter, ...] = ()
    secrets: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Receiver({self.name})"


class Happening(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened, `at` which time, to a call or to a sale, which is named by its ping. It has nothing personal: who
    called, and the lead, are looked up when it is sent. `version` counts a call's updates. Amounts of the call and of
    the sale are what is owed for each by itself. A test is named by its `test`."""

    type: str
    at: int
    call: bytes = b""
    ping: bytes = b""
    version: int = 0
    test: str = ""
    endpoint: str = ""
    user: str = ""
    source: str = ""
    number: str = ""
    buyer_id: int = 0
    buyer_name: str = ""
    arrival: str = ""
    status: str = ""
    detail: str = ""
    connected: bool = False
    seconds: int = 0
    converted: bool = False
    revenue_cents: int = 0
    payout_cents: int = 0
    sale_revenue_cents: int = 0
    sale_payout_cents: int = 0

    @property
    def key(self) -> bytes:
        """The same whenever it is found again."""
        of = self.call or self.ping
        return f"{self.type} {of.hex()} {self.version} {self.test}".encode()

    def is_for(self, receiver: Receiver) -> bool:
        if self.type not in receiver.events:
            return False
        if receiver.to == "publisher":
            return self.user == receiver.user and (not receiver.sources or self.source in receiver.sources)
        return receiver.to == "operator" or 0 < self.buyer_id == receiver.buyer_id


def spell_out(template: Template) -> Any:
    """A template with the placeholders of ours in the place of those of other systems."""
    if isinstance(template, Mapping):
        return {name: spell_out(part) for name, part in template.items()}
    if isinstance(template, list | tuple):
        return [spell_out(part) for part in template]
    return BRACKETS.sub(_spelled, template) if isinstance(template, str) else template


def _spelled(found: re.Match[str]) -> str:
    name = found[1] or found[2]
    kind = name.partition(".")[0]
    if "." in name and kind in TOKENS and kind != "secret":
        return f"{{{name}}}"
    return f"{{{ALIASES.get(name, f'lead.{name}')}}}"


def check_template(text: str) -> None:
    """Raises ValueError that says what is wrong with it."""
    templates.check(spell_out(text), TOKENS, FORMED)


def hidden_in(to: To, template: Template) -> list[str]:
    """What a template asks for that this receiver is never told."""
    return sorted(HIDDEN[to] & {f"{kind}.{name}" for kind, name in templates.names(spell_out(template))})


def fault_of_condition(to: To, condition: filters.Filter) -> str:
    """What is wrong with the name of what a condition is about; empty if nothing is."""
    kind, dot, name = condition.name.partition(".")
    if not dot or kind not in TOKENS:
        return ""
    if kind in ("lead", "secret") or name not in TOKENS[kind]:
        return f"must not be about `{condition.name}`; a value of the lead is named as it is, others as in templates"
    return f"must not be about `{condition.name}`: {reason_hidden(to)}" if condition.name in HIDDEN[to] else ""


def reason_hidden(to: To) -> str:
    return {
        "publisher": "a publisher is never told a buyer's name or what it pays",
        "buyer": "a buyer is never told a publisher's name, source or payout",
        "operator": "",
    }[to]


def compile_receiver(written: Mapping[str, Any]) -> Receiver:
    """A receiver, as it is in the configuration."""
    method = written.get("method", "POST")
    exchange = Exchange(
        url=spell_out(written["url"]),
        method=method,
        format=written.get("format") or ("query" if method == "GET" else "json"),
        fields=spell_out(written.get("body", {})),
        headers=spell_out(written.get("headers", {})),
    )
    named = [SECRET.fullmatch(written[key]) for key in ("secret", "previous_secret") if written.get(key)]
    return Receiver(
        name=written["name"],
        to=written.get("to", "operator"),
        events=tuple(written["events"]),
        exchange=exchange,
        user=written.get("user") or "",
        sources=tuple(written.get("traffic_sources", ())),
        buyer_id=int(written.get("buyer") or 0),
        when=tuple(map(filters.read, written.get("when", ()))),
        secrets=tuple(found[1] for found in named if found),
    )


JSON_VALUES: Mapping[str, Callable[[str], object]] = {
    "connected": json.loads, "converted": json.loads, "id": int, "seconds": int, "payout": float, "revenue": float,
}  # fmt: skip
"""What is no text in a body of ours, by the last part of its name."""


class Values:
    """The values of one postback, by the names of placeholders and of conditions. Those that its receiver is never told
    are not there. `uuid_of` gives the uuid of a call or a sale."""

    def __init__(
        self,
        happening: Happening,
        to: To,
        message_id: str,
        lead: Mapping[str, str],
        secret: Callable[[str], str],
        uuid_of: Callable[[Literal["call", "sale"], bytes], str],
    ) -> None:
        self.lead = lead
        self.secret = secret
        found = {name: text for name, text in _values(happening, message_id, uuid_of).items() if text is not None}
        self.known = {name: text for name, text in found.items() if name not in HIDDEN[to]}

    def value(self, kind: str, name: str) -> str | None:
        """None where there is none. Raises as `secret` does."""
        if kind == "secret":
            return self.secret(name)
        return self.lead.get(name) if kind == "lead" else self.known.get(f"{kind}.{name}")

    def holds(self, conditions: tuple[filters.Filter, ...]) -> bool:
        tests = [filters.test(each) for each in conditions]
        return filters.first_failed(tests, {**self.lead, **self.known}) is None

    @property
    def document(self) -> dict[str, Any]:
        """All of it as it is sent where the receiver has no body of its own. Amounts are in dollars."""
        whole: dict[str, Any] = {}
        for name, text in self.known.items():
            kind, _, inside = name.partition(".")
            if kind != "event":
                whole.setdefault(kind, {})[inside] = JSON_VALUES.get(inside, str)(text)
        return whole | ({"lead": dict(self.lead)} if self.lead else {})


def _values(
    happening: Happening, message_id: str, uuid_of: Callable[[Literal["call", "sale"], bytes], str]
) -> dict[str, str | None]:
    is_call = happening.type.startswith("call.") or happening.type == A_TEST
    call = happening if is_call else None
    payout = happening.payout_cents if is_call else happening.sale_payout_cents
    revenue = happening.revenue_cents if is_call else happening.sale_revenue_cents
    is_sold = bool(happening.ping)
    return {
        "event.type": happening.type,
        "event.id": message_id,
        "event.at": iso_time(happening.at),
        "event.time": str(happening.at),
        "event.payout": _dollars(payout),
        "event.revenue": _dollars(revenue),
        "call.uuid": uuid_of("call", happening.call) if happening.call else None,
        "call.number": happening.number or None,
        "call.arrival": happening.arrival or None,
        "call.status": happening.status or None,
        "call.detail": happening.detail or None,
        "call.connected": _truth(happening.connected) if call else None,
        "call.seconds": str(happening.seconds) if call else None,
        "call.converted": _truth(happening.converted) if call else None,
        "call.payout": _dollars(happening.payout_cents) if call else None,
        "call.revenue": _dollars(happening.revenue_cents) if call else None,
        "sale.uuid": uuid_of("sale", happening.ping) if is_sold else None,
        "sale.payout": _dollars(happening.sale_payout_cents) if is_sold else None,
        "sale.revenue": _dollars(happening.sale_revenue_cents) if is_sold else None,
        "buyer.id": str(happening.buyer_id) if happening.buyer_id else None,
        "buyer.name": happening.buyer_name or None,
        "publisher.name": happening.user or None,
        "publisher.source": happening.source or None,
        "endpoint.name": happening.endpoint or None,
    }


def iso_time(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _dollars(cents: int) -> str:
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02}"


def _truth(value: bool) -> str:
    return "true" if value else "false"
