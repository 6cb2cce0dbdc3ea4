"""Texts with placeholders, as operators write them for live buyers:

{lead.zip}           a value of the lead; where there is none, the whole text is left out
{lead.caller_id:…}   one of FORMS: a number without its plus sign, or hashed; a JSON number or truth value
{secret.buyer_key}   from the store of secrets
{bid.reference}      the id that the buyer gave its bid
{sale.key}           the same however often one sale is asked for

Receivers of postbacks have a vocabulary of their own (`shared.domain.receivers`).
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any, Protocol

from shared.domain.live_bids import Template

PLACEHOLDER = re.compile(r"\{([a-z]{1,20})\.([A-Za-z0-9_.-]{1,100})(?::([a-z0-9]{1,20}))?\}")
Vocabulary = Mapping[str, Collection[str]]
"""The kinds of placeholders that there are, and the names of each; an empty one has any."""
OF_LIVE_BUYERS: Vocabulary = {"lead": (), "secret": (), "bid": ("reference",), "sale": ("key",)}


class Source(Protocol):
    """Where the values of placeholders come from."""

    def value(self, kind: str, name: str) -> str | None:
        """None where there is none. Raises `Unaskable`."""


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


def check(text: str, known: Vocabulary = OF_LIVE_BUYERS, formed: Collection[str] = ("lead",)) -> None:
    """`formed` are the kinds that have forms. Raises ValueError that says what is wrong with a template."""
    rest = PLACEHOLDER.sub(lambda found: "" if found[1] in known else found[0], text)
    if "{" in rest or "}" in rest:
        raise ValueError("has braces that are no placeholder, like {lead.zip} or {secret.buyer_key}")
    for kind, name, form in PLACEHOLDER.findall(text):
        if form and (kind not in formed or form not in FORMS):
            kinds = " and ".join(f"{{{each}.…}}" for each in formed)
            raise ValueError(f"has the form `{form}`; forms are for {kinds}: {', '.join(FORMS)}")
        if known[kind] and name not in known[kind]:
            raise ValueError(f"has {{{kind}.{name}}}; there is {{{kind}.{', '.join(known[kind])}}}")


def lead_names(template: Template) -> set[str]:
    """The names of the lead values that a template sends."""
    return _names("lead", template)


def secret_names(template: Template) -> set[str]:
    """The names of the secrets that a template sends."""
    return _names("secret", template)


def _names(wanted: str, template: Template) -> set[str]:
    return {name for text in _texts(template) for kind, name, _ in _placeholders(text) if kind == wanted}


def names(template: Template) -> set[tuple[str, str]]:
    """The kinds and names of all values that a template sends."""
    return {(kind, name) for text in _texts(template) for kind, name, _ in _placeholders(text)}


def fill(template: Template, source: Source, quote: Callable[[str], str] = str, absent: str | None = None) -> Any:
    """The text with its values, each but a secret through `quote`; of a mapping or a list what is not left out. A value
    that is not there is `absent` in its text. Without it the text is left out: None if nothing is left.

    Raises `Unaskable`, as the source does.
    """
    if isinstance(template, Mapping):
        parts = {name: fill(part, source, quote, absent) for name, part in template.items()}
        return {name: part for name, part in parts.items() if part is not None}
    if isinstance(template, list | tuple):
        return [part for part in (fill(part, source, quote, absent) for part in template) if part is not None]
    if not isinstance(template, str):
        return template
    values = {}
    for kind, name, form in _placeholders(template):
        value = _value(kind, name, form, source)
        if value is None:
            value = absent
        if value is None:
            return None
        if template == _written(kind, name, form):
            return value
        values[kind, name, form] = str(value) if kind == "secret" else quote(str(value))
    return PLACEHOLDER.sub(lambda found: values[found.groups(default="")], template)  # type: ignore[index]


def _value(kind: str, name: str, form: str, source: Source) -> object | None:
    text = source.value(kind, name)
    try:
        return FORMS[form](text) if text is not None and form else text
    except ValueError:
        return None


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
