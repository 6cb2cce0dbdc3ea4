"""Live buyers as an operator writes them, and the exchanges that they are compiled to."""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from msgspec.structs import replace
from pydantic import AfterValidator, BeforeValidator, model_validator
from pydantic import Field as Limited

from shared.configuration.dialects import DIALECTS
from shared.configuration.shapes import FieldName, Part
from shared.domain import live_bids, patterns, templates

PLACE = re.compile(r"\$(\.[A-Za-z_][A-Za-z0-9_-]*|\[[0-9]{1,4}\]|\['[^'\\]+'\])+")
HOST = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+([/?]|$)|\{secret\.[A-Za-z0-9_.-]+\}([/?]|$)")
"""No lead may choose the host: it is written, or a secret."""
OURS = {"host", "content-length", "transfer-encoding", "connection", "idempotency-key"}
SENDABLE = (str, int, float, bool)


def _template(text: str) -> str:
    templates.check(text)
    return text


def _url(text: str) -> str:
    templates.check(text)
    if not HOST.match(text):
        raise ValueError("must be a URL like https://buyer.example/ping, or begin with a {secret.…} and a slash")
    return text


def _fields(value: Any) -> Any:
    """Texts, numbers and truth values, mappings and lists of such."""
    if isinstance(value, Mapping):
        return {str(name): _fields(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_fields(part) for part in value]
    if not isinstance(value, SENDABLE):
        raise ValueError("must hold texts, numbers, and mappings or lists of them")
    if isinstance(value, str):
        templates.check(value)
    return value


def _header(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", name) or name.lower() in OURS:
        raise ValueError("must be the name of a header, and not of one that is ours: " + ", ".join(sorted(OURS)))
    return name


def _place(text: str) -> str:
    if text.startswith("/"):
        if len(text) < 3 or not text.endswith("/"):
            raise ValueError("must be a pattern in slashes, like /bid=([0-9.]+)/")
        patterns.pattern(text[1:-1])
    elif text.startswith("$") and not PLACE.fullmatch(text):
        raise ValueError("must be a JSONPath to one value, like $.buyers[0].bid")
    return text


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _said(value: Any) -> Any:
    values = value if isinstance(value, list | tuple) else [value]
    return [str(said).strip().casefold() for said in values]


Text = Annotated[str, Limited(max_length=1000), AfterValidator(_template)]
Url = Annotated[str, Limited(max_length=2000), AfterValidator(_url)]
Fields = Annotated[dict[str, Any], AfterValidator(_fields)]
Headers = dict[Annotated[str, AfterValidator(_header)], Text]
Place = Annotated[str, Limited(min_length=1, max_length=500), AfterValidator(_place)]
Places = Annotated[tuple[Place, ...], BeforeValidator(_one_or_more)]


class Accepted(Part):
    """A place in the answer, and the values of which it must have one for a yes."""

    at: Place
    says: Annotated[tuple[str, ...], BeforeValidator(_said), Limited(min_length=1)]


class Exchange(Part):
    """Of `custom`: what is sent, and where the answer says what."""

    method: live_bids.Method = "POST"
    format: live_bids.Format = "json"
    fields: Fields = Limited(default={})
    answer: live_bids.AnswerFormat = "json"
    accepted: tuple[Accepted, ...] = ()
    bid: Places = ()
    reference: Places = ()
    number: Places = ()
    sip: Places = ()
    conversion_seconds: Places = ()
    expires_in_seconds: Places = ()
    expires_at: Places = ()
    reason: Places = ()

    @model_validator(mode="after")
    def _sound(self) -> "Exchange":
        if self.method == "GET" and self.format != "query":
            raise ValueError("must have `format: query`, as its method is GET")
        right = {"json": "$.bid", "form": "bid", "text": "/bid=([0-9.]+)/"}[self.answer]
        for place in (
            *(place for name in live_bids.FOUND for place in getattr(self, name)),
            *(a.at for a in self.accepted),
        ):
            kind = {"$": "json", "/": "text"}.get(place[0], "form")
            if kind != self.answer:
                raise ValueError(f"must have places like {right}, as `answer` is {self.answer}; {place} is none")
        return self

    def compile(self) -> live_bids.Exchange:
        return live_bids.Exchange(
            url="",
            method=self.method,
            format=self.format,
            fields=self.fields,
            answer=self.answer,
            accepted=tuple((accepted.at, accepted.says) for accepted in self.accepted),
            found={name: places for name in live_bids.FOUND if (places := getattr(self, name))},
        )


class LiveBuyerConfig(Part):
    """A buyer that bids over HTTP. `send` are the lead values that it gets, by its names for them; `parameters` are
    sent beside them; what is `on_post_only` is kept back on ping."""

    dialect: Literal["ringpost", "trackdrive", "ringba", "retreaver", "leadspedia", "custom"]
    ping_url: Url
    post_url: Url | None = None
    timeout_ms: Annotated[int, Limited(ge=50, le=3500)] = 1000
    send: dict[str, FieldName] | None = None
    on_post_only: tuple[FieldName, ...] = ()
    caller_on_ping: Literal["plain", "hashed", "area_code", "absent"] = "plain"
    parameters: Fields = Limited(default={})
    headers: Headers = Limited(default={})
    ping: Exchange | None = None
    post: Exchange | None = None

    @model_validator(mode="after")
    def _whole(self) -> "LiveBuyerConfig":
        known = DIALECTS[self.dialect]
        if self.dialect == "custom":
            if self.ping is None or not self.ping.bid:
                raise ValueError("must have `ping` with `bid`, the place of the bid: `dialect: custom` needs it")
            if (self.post is None) != (self.post_url is None):
                raise ValueError("must have both `post` and `post_url`, or neither where the bid is the sale")
            if self.post and not self.post.accepted:
                raise ValueError("must have `accepted` in `post`: [{at: $.success, says: true}]")
        elif self.ping or self.post:
            raise ValueError(f"must have `ping` and `post` only with `dialect: custom`; {self.dialect} knows its own")
        elif self.post_url and known.post is None:
            raise ValueError(f"must not have `post_url`: a bid of {self.dialect} is the sale")
        elif self.dialect == "leadspedia" and not self.post_url:
            raise ValueError("must have `post_url`: leadspedia is told of the sale")
        if shown := sorted(self._hidden & templates.lead_names([self.ping_url, *self.headers.values()])):
            raise ValueError(f"must not have {{lead.{shown[0]}}} in `ping_url` or `headers`: it is kept back on ping")
        return self

    @property
    def _hidden(self) -> set[str]:
        return {*self.on_post_only, *(["caller_id"] if self.caller_on_ping == "absent" else [])}

    def compile(self, contact_fields: Iterable[str], max_bid_cents: int) -> live_bids.LiveBuyer:
        """`contact_fields` are the names of the offer's: what is sent where nothing else is said."""
        known = DIALECTS[self.dialect]
        ping, post = known.ping, known.post
        if self.ping:
            ping, post = self.ping.compile(), self.post.compile() if self.post else None
        lead: dict[str, live_bids.Template] = dict(known.lead)
        if self.send is not None:
            lead = {theirs: f"{{lead.{ours}}}" for theirs, ours in self.send.items()}
        elif not lead and not self.ping:
            lead = {name: f"{{lead.{name}}}" for name in contact_fields}
        return live_bids.LiveBuyer(
            ping=self._on_ping(replace(ping, url=self.ping_url), lead),
            post=self._exchange(replace(post, url=self.post_url), lead) if post and self.post_url else None,
            timeout_ms=self.timeout_ms,
            max_bid_cents=max_bid_cents,
        )

    def _exchange(self, exchange: live_bids.Exchange, lead: Mapping[str, live_bids.Template]) -> live_bids.Exchange:
        return replace(exchange, fields={**exchange.fields, **self.parameters, **lead}, headers=self.headers)

    def _on_ping(self, exchange: live_bids.Exchange, lead: Mapping[str, live_bids.Template]) -> live_bids.Exchange:
        whole = self._exchange(exchange, lead)
        fields = {
            name: part for name, part in whole.fields.items() if self._hidden.isdisjoint(templates.lead_names(part))
        }
        form = {"hashed": "hashed", "area_code": "area"}.get(self.caller_on_ping)
        if form is None:
            return replace(whole, fields=fields)
        return replace(
            whole,
            url=_in_form(whole.url, form),
            fields=_in_form(fields, form),
            headers=_in_form(whole.headers, form),
        )


def _in_form(template: live_bids.Template, form: str) -> Any:
    """With the caller in this form wherever it stands."""
    if isinstance(template, Mapping):
        return {name: _in_form(part, form) for name, part in template.items()}
    if isinstance(template, list | tuple):
        return [_in_form(part, form) for part in template]
    if isinstance(template, str):
        return re.sub(r"\{lead\.caller_id(:[a-z]+)?\}", f"{{lead.caller_id:{form}}}", template)
    return template
