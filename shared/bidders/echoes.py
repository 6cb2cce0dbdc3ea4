"""People read what a live buyer says, and a buyer may repeat whatever it was sent. `without` takes that out.

It takes out, in upper or lower case, also URL-encoded, JSON-escaped, HTML-escaped, in base64 or hexadecimal, or in full
width:

- of secrets, and of sent values that look like one, every part of `SECRET_PART` letters, the beginning and the end;
- of the lead, sent or not, each value, and the words of a short value. One or two letters, as of a state, go only where
  they are a word of their own in the same case, so that other words stay whole;
- addresses of any kind, seven digits or more however they are grouped, and four or more digits of a number of the lead;
- whatever looks like a key or a hash.

It cannot find what the buyer rewrites: a name that is spelled backwards, a number in words.
"""

import base64
import binascii
import html
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from shared.domain.live_bids import Call

LENGTH = 200
LOOKED_AT = 600
"""How many letters of a buyer's words are read: more than `LENGTH`, because some are taken out."""
SECRET_PART, LEAD_PART, NUMBER_PART = 6, 8, 4
FEW_WORDS = 4
LARGEST_LEAD = 8 * 1024
"""In letters. For a larger lead the buyer's words are not shown: to look for all of it would take too long."""
GONE = "…"
COMMON = {
    "a", "an", "and", "are", "at", "be", "by", "for", "from", "has", "have", "in", "is", "it", "no", "not", "of", "on",
    "or", "the", "this", "to", "was", "we", "with", "you",
}  # fmt: skip
"""Words that tell nothing where they are part of a longer value."""

ADDRESS = re.compile(r"\S*://\S+|[^\s@]{1,100}@[^\s@]{1,100}")
NUMBER = re.compile(r"\+?\d(?:[\W_]{0,3}\d){6,}")
WORD = re.compile(r"[^\W_]+")
DIGITS = re.compile(rf"\d{{{NUMBER_PART},}}")
SPELLED = re.compile(r"(?<![^\W_])(?:[^\W_][\W_]{1,3}){4,}[^\W_](?![^\W_])")
RUN = re.compile(r"[A-Za-z0-9+/=_-]{16,}")
KEY = re.compile(r"(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9+=]{8,}|(?=.*[a-z][A-Z])[A-Za-z0-9+=]{16,}")
ESCAPED = re.compile(r"\\+u([0-9A-Fa-f]{4})")
SECRETIVE = re.compile(r"key|token|secret|pass|pwd|auth|sig|cred", re.IGNORECASE)
PLAIN_HEADERS = {"content-type", "accept"}


def without(text: str, call: Call, lead: Mapping[str, str], secrets: Iterable[str]) -> str:
    """A buyer's words on one line, without what it was sent; empty if nothing is left that says something."""
    if sum(len(value) for value in lead.values()) > LARGEST_LEAD:
        return ""
    text = _plain(text)
    if len(text) > LOOKED_AT:
        text = text[:LOOKED_AT].rpartition(" ")[0]
    if len(text.casefold()) != len(text):
        text = text.casefold()
    taken = bytearray(len(text))
    for start, end in _found(text, call, lead, secrets):
        taken[start:end] = b"\1" * (end - start)
    letters = "".join(GONE if gone else letter for letter, gone in zip(text, taken, strict=True))
    left = re.sub(rf"{GONE}[\W_]*{GONE}|{GONE}+", GONE, letters)[:LENGTH].strip()
    return left if WORD.search(left) else ""


def _found(text: str, call: Call, lead: Mapping[str, str], secrets: Iterable[str]) -> Iterator[tuple[int, int]]:
    """The places in a text that have to go."""
    values = [plain for value in lead.values() if (plain := _plain(value))]
    sent = list(_sent(call))
    kept_secret = [*secrets, *(value for name, value in sent if _is_secret(name, value) and value not in lead.values())]
    hidden = [plain for secret in kept_secret for part in (secret, *secret.split(":")) if (plain := _plain(part))]
    yield from (match.span() for pattern in (ADDRESS, NUMBER, SPELLED) for match in pattern.finditer(text))
    yield from (run.span() for run in RUN.finditer(text) if any(map(KEY.fullmatch, re.split("[-_/]", run[0]))))
    low = text.casefold()
    yield from _parts(low, _encoded(hidden), SECRET_PART)
    yield from _parts(low, _encoded(values), LEAD_PART)
    whole = {form.casefold() for value in [*hidden, *(value for _, value in sent)] for form in (value, *_forms(value))}
    yield from _words(text, values, whole, [value.casefold() for value in hidden])
    digits = "\n".join(number for value in values if len(number := re.sub(r"\D", "", value)) > NUMBER_PART)
    yield from (match.span() for match in DIGITS.finditer(text) if match[0] in digits)


def _words(text: str, values: list[str], whole: set[str], hidden: list[str]) -> Iterator[tuple[int, int]]:
    """The words that are a value or a word of a value, or the beginning or the end of a secret."""
    short = {word for value in values if 1 < len(words := WORD.findall(value)) <= FEW_WORDS for word in words} - COMMON
    short |= {word for value in values if len(words := WORD.findall(value)) == 1 for word in words}
    short |= {form for value in values if len(value) < LEAD_PART for form in _forms(value)}
    long = {word.casefold() for word in short if len(word) > 2}
    edges = [secret for secret in hidden if len(secret) >= 2 * NUMBER_PART]
    for match in WORD.finditer(text):
        word = match[0].casefold()
        is_edge = len(word) >= NUMBER_PART and any(edge.startswith(word) or edge.endswith(word) for edge in edges)
        if match[0] in short or word in long or is_edge or (len(word) > 2 and word in whole):
            yield match.span()


def _parts(low: str, haystack: str, length: int) -> Iterator[tuple[int, int]]:
    """Every run of so many letters that is in the haystack, too."""
    for start in range(len(low) - length + 1):
        if low[start : start + length] in haystack and not low[start : start + length].isspace():
            yield start, start + length


def _encoded(values: list[str]) -> str:
    return "\n".join(form.casefold() for value in values for form in (value, *_forms(value)))


def _forms(value: str) -> Iterator[str]:
    """A value backwards, in base64, wherever in a longer text it began, and in hexadecimal."""
    raw = value.encode(errors="replace")
    yield value[::-1]
    yield raw.hex()
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")
        form = whole[(0, 2, 3)[before] :]
        yield form
        yield form.replace("+", "-").replace("/", "_")


def _sent(call: Call) -> Iterator[tuple[str, str]]:
    """The names and values that a call sends; parts of its path have no name."""
    url = urlsplit(call.url)
    yield from (("", part) for part in unquote(url.path).split("/") if _is_secret("", part))
    yield from parse_qsl(url.query, keep_blank_values=True)
    yield from ((url.netloc and "auth", part) for part in url.netloc.rpartition("@")[0].split(":") if part)
    for name, value in call.headers.items():
        if name.lower() not in PLAIN_HEADERS:
            yield f"auth {name}", value
            yield from ((f"auth {name}", part) for part in _credentials(value))
    if call.headers.get("Content-Type") == "application/json":
        yield from _leaves("", msgspec.json.decode(call.body))
    else:
        yield from parse_qsl(call.body.decode(), keep_blank_values=True)


def _credentials(header: str) -> Iterator[str]:
    """The credentials behind `Bearer`, and those that `Basic` encodes."""
    kind, _, value = header.partition(" ")
    if value:
        yield value.strip()
    if kind.lower() == "basic":
        try:
            yield from base64.b64decode(value).decode().partition(":")[::2]
        except (binascii.Error, ValueError):
            return


def _leaves(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _leaves(key, part)
    elif isinstance(value, list):
        for part in value:
            yield from _leaves(name, part)
    elif isinstance(value, str):
        yield name, value


def _is_secret(name: str, value: str) -> bool:
    """Whether a value that an operator wrote down looks like a secret: by its name, or because it is no word."""
    is_mixed = len(value) >= SECRET_PART and bool(re.search("[0-9]", value) and re.search("[A-Za-z]", value))
    return bool(SECRETIVE.search(name)) or is_mixed or (len(value) >= 16 and " " not in value)


def _plain(text: str) -> str:
    """The text on one line, without escapes, full width and invisible marks, which hide letters."""
    for _ in range(3):
        was = text
        text = ESCAPED.sub(lambda found: chr(int(found[1], 16)), text).replace("\\/", "/")
        text = unicodedata.normalize("NFKC", html.unescape(unquote(text)))
        if text == was:
            break
    visible = (letter for letter in text if unicodedata.category(letter) != "Cf")
    return " ".join("".join(letter if letter.isprintable() else " " for letter in visible).split())
