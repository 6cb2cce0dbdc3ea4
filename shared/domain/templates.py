"""Texts with placeholders, as operators write them for live buyers:

{lead.zip}           a value of the lead; where there is none, the whole text is left out
{lead.caller_id:…}   one of FORMS: a number without its plus sign, or hashed; a JSON number or truth value
{secret.buyer_key}   from the store of secrets
{bid.reference}      the id that the buyer gave its bid
{sale.key}           the same however often one sale is asked for
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any

from shared.domain.live_bids import Ask, Template

PLACEHOLDER = re.compile(r"\{(lead|secret|bid|sale)\.([A-Za-z0-9_.-]{1,100})(?::([a-z0-9]{1,20}))?\}")
KNOWN = {"bid": {"reference"}, "sale": {"key"}}


class Unaskable(Exception):
    """There is no question to send; the message says why."""


def _number(text: str) -> object:
    return int(text) if re.fullmatch(r"-?[0-9]{1,15}", text) else float(text)


FORMS: dict[str, Callable[[str], object]] = {
    "digits": lambda number: number.removeprefix("+"),
    "national": lambda number: number.removeprefix("+1"),
    "hashed": lambda number: sha256(number.removeprefix("+").encode()).hexdigest(),
    "area": lambda number: number.removeprefix("+1")[:3],
    "number": _number,
    "boolean": lambda text: text == "true",
}


def check(text: str) -> None:
    """Raises ValueError that says what is wrong with a template."""
    rest = PLACEHOLDER.sub("", text)
    if "{" in rest or "}" in rest:
        raise ValueError("has braces that are no placeholder, like {lead.zip} or {secret.buyer_key}")
    for kind, name, form in PLACEHOLDER.findall(text):
        if form and (kind != "lead" or form not in FORMS):
            raise ValueError(f"has the form `{form}`; forms are for {{lead.…}}: {', '.join(FORMS)}")
        if kind in KNOWN and name not in KNOWN[kind]:
            raise ValueError(f"has {{{kind}.{name}}}; there is {{{kind}.{', '.join(KNOWN[kind])}}}")


def lead_names(template: Template) -> set[str]:
    """The names of the lead values that a template sends."""
    return _names("lead", template)


def secret_names(template: Template) -> set[str]:
    """The names of the secrets that a template sends."""
    return _names("secret", template)


def _names(wanted: str, template: Template) -> set[str]:
    return {name for text in _texts(template) for kind, name, _ in _placeholders(text) if kind == wanted}


def fill(template: Template, ask: Ask, quote: Callable[[str], str] = str) -> Any:
    """The text with its values, each but a secret through `quote`; of a mapping or a list what is not left out. None
    if nothing is.

    Raises `Unaskable`, as `ask.secret` does.
    """
    if isinstance(template, Mapping):
        parts = {name: fill(part, ask, quote) for name, part in template.items()}
        return {name: part for name, part in parts.items() if part is not None}
    if isinstance(template, list | tuple):
        return [part for part in (fill(part, ask, quote) for part in template) if part is not None]
    if not isinstance(template, str):
        return template
    values = {}
    for kind, name, form in _placeholders(template):
        value = _value(kind, name, form, ask)
        if value is None:
            return None
        if template == _written(kind, name, form):
            return value
        values[kind, name, form] = str(value) if kind == "secret" else quote(str(value))
    return PLACEHOLDER.sub(lambda found: values[found.groups(default="")], template)  # type: ignore[index]


def _value(kind: str, name: str, form: str, ask: Ask) -> object | None:
    if kind == "lead":
        text = ask.lead.get(name)
        try:
            return FORMS[form](text) if text is not None and form else text
        except ValueError:
            return None
    if kind == "secret":
        return ask.secret(name)
    return ask.key if kind == "sale" else ask.reference or None


def _written(kind: str, name: str, form: str) -> str:
    return f"{{{kind}.{name}{':' if form else ''}{form}}}"


@lru_cache(4096)
def _placeholders(text: str) -> tuple[tuple[str, str, str], ...]:
    return tuple(PLACEHOLDER.findall(text))


def _texts(template: Template) -> Iterator[str]:
    if isinstance(template, Mapping):
        for part in template.values():
            yield from _texts(part)
    elif isinstance(template, list | tuple):
        for part in template:
            yield from _texts(part)
    elif isinstance(template, str):
        yield template
