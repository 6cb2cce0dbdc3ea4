"""Receivers of postbacks as an operator writes them: the templates and conditions are those of live buyers."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, model_validator
from pydantic import Field as Limited

from shared.configuration.live_buyers import HOST, SENDABLE, header_name
from shared.configuration.rules import FilterText
from shared.configuration.shapes import Label, Name, Part, SecretName
from shared.domain import filters, live_bids, receivers, templates

WEBHOOK = "webhook-"
"""How the headers begin that the signature is in."""
MAX_RECEIVERS = 200


def _template(text: str) -> str:
    receivers.check_template(text)
    return text


def _url(text: str) -> str:
    receivers.check_template(text)
    if not HOST.match(receivers.spell_out(text)):
        raise ValueError("must be a URL like https://tracker.example/postback, or begin with a {secret.…} and a slash")
    return text


def _body(value: Any) -> Any:
    """Texts, numbers and truth values, mappings and lists of such."""
    if isinstance(value, Mapping):
        return {str(name): _body(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_body(part) for part in value]
    if not isinstance(value, SENDABLE):
        raise ValueError("must hold texts, numbers, and mappings or lists of them")
    if isinstance(value, str):
        receivers.check_template(value)
    return value


def _header(name: str) -> str:
    if name.lower().startswith(WEBHOOK):
        raise ValueError(f"must be the name of a header, and not of one that signs: {WEBHOOK}…")
    return header_name(name)


Text = Annotated[str, Limited(max_length=1000), AfterValidator(_template)]
Url = Annotated[str, Limited(max_length=2000), AfterValidator(_url)]
Body = Annotated[dict[str, Any], AfterValidator(_body)]
Headers = dict[Annotated[str, AfterValidator(_header)], Text]


class Receiver(Part):
    """Who is told of what happens, at which address. Without `secret` a key of this stack signs; the previous secret
    signs, too, while it is changed."""

    name: Name
    to: receivers.To = "operator"
    user: str | None = None
    traffic_sources: tuple[Label, ...] = ()
    buyer: Annotated[int, Limited(ge=1, le=2**31 - 1)] | None = None
    events: Annotated[tuple[receivers.EventType, ...], Limited(min_length=1)]
    url: Url
    method: live_bids.Method = "POST"
    format: Literal["json", "form", "query"] | None = None
    headers: Headers = Limited(default={})
    body: Body = Limited(default={})
    when: tuple[FilterText, ...] = ()
    secret: SecretName | None = None
    previous_secret: SecretName | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "Receiver":
        if self.method == "GET" and self.format not in (None, "query"):
            raise ValueError("must have `format: query` or none, as its method is GET")
        if self.previous_secret and not self.secret:
            raise ValueError("must have `previous_secret` only with `secret`")
        return self

    def faults(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """What a receiver of its kind must not have, or has to, and where."""
        needs = {"publisher": "user", "buyer": "buyer"}.get(self.to)
        for key in ("user", "buyer"):
            if key == needs and getattr(self, key) is None:
                yield (key,), f"is missing: `to: {self.to}` needs it"
            elif key != needs and getattr(self, key) is not None:
                yield (key,), f"must be taken out: `to: {self.to}` has no use for it"
        if self.traffic_sources and self.to != "publisher":
            yield ("traffic_sources",), f"must be taken out: `to: {self.to}` has no use for it"
        sent: dict[tuple[str | int, ...], Any] = {("url",): self.url}
        sent |= {("headers", name): text for name, text in self.headers.items()}
        sent |= {("body", name): part for name, part in self.body.items()}
        for path, template in sent.items():
            for name in receivers.hidden_in(self.to, template):
                yield path, f"must not have {{{name}}}: {receivers.reason_hidden(self.to)}"
        for place, text in enumerate(self.when):
            if fault := receivers.fault_of_condition(self.to, filters.read(text)):
                yield ("when", place), fault

    def names_secrets(self) -> bool:
        """Whether it says where secrets are, which only an operator may."""
        sent = receivers.spell_out([self.url, self.headers, self.body])
        return bool(self.secret or templates.secret_names(sent))
