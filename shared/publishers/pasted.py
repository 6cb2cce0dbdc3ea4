"""A request as somebody pastes it into *Check my request*: a curl command, a URL, or the raw request.

It becomes the event that API Gateway would have made of it. Nothing is sent.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any
from urllib.parse import quote, urlsplit

from msgspec import Struct

REQUEST_LINE = re.compile(r"([A-Za-z]{1,10}) +((?:/|https?://)\S*)( +HTTP/[0-9.]+)?")
HEADER = re.compile(r"([A-Za-z0-9-]+):[ \t]*(.*)")
JSON = "application/json"

PART = re.compile(r"""[^ \t\r\n'"\\]++|'[^']*+'|"(?:[^"\\]++|\\.)*+"|\\.""", re.DOTALL)
WORD = re.compile(rf"[ \t\r\n]*+((?:{PART.pattern})*+)(?=[ \t\r\n]|\Z)", re.DOTALL)
"""A word of a shell: its parts, with quotes and without."""
CLUSTER = re.compile("-([GI]++)(.*)", re.DOTALL)
"""Flags in one word, like -GI; an option may follow them."""
DATA = ("data", "urlencoded", "json")
OPTIONS = {
    "--url": "url",
    **dict.fromkeys(("-X", "--request"), "method"),
    **dict.fromkeys(("-H", "--header"), "header"),
    **dict.fromkeys(("-u", "--user"), "user"),
    **dict.fromkeys(("-d", "--data", "--data-ascii", "--data-raw", "--data-binary"), "data"),
    "--data-urlencode": "urlencoded",
    "--json": "json",
}
"""Options of curl with a value; those of one letter may have it in the same word."""
FLAGS = {"-G": "get", "--get": "get", "-I": "head", "--head": "head"}


class Unreadable(Exception):
    """It is no request; the message says what would be one."""


class Pasted(Struct):
    """`headers` have small letters; `host` is empty where none was said."""

    method: str
    host: str
    path: str
    query: str
    headers: dict[str, str]
    body: str

    @property
    def event(self) -> dict[str, Any]:
        return {
            "rawPath": self.path,
            "rawQueryString": self.query,
            "headers": self.headers,
            "requestContext": {"http": {"method": self.method}},
            "body": self.body,
        }


def read(text: str) -> Pasted:
    """Raises `Unreadable`."""
    text = text.replace("\r\n", "\n").strip()
    first, _, rest = text.partition("\n")
    if re.match(r"(\$ *)?curl\b", text):
        return _curl(text.removeprefix("$").strip())
    if re.match(r"https?://", text) and not rest.strip():
        return _made("GET", text, {}, "")
    if match := REQUEST_LINE.fullmatch(first.strip()):
        head, _, body = rest.partition("\n\n")
        return _made(match[1].upper(), match[2], _headers(head.splitlines()), body.strip())
    raise Unreadable(
        "This is no request that can be read. Paste a curl command, a URL that begins with https://, or a raw request "
        "that begins with a line like POST /api/v1/… HTTP/1.1, then headers, an empty line and the body."
    )


class _Command(Struct):
    """A curl command by its options. `data` has each text to send, in order, with its kind of option; `others` are the
    words that are no known option."""

    values: dict[str, str]
    flags: set[str]
    headers: list[str]
    data: list[tuple[str, str]]
    others: list[str]

    def say(self, option: str, value: str | None) -> None:
        """Raises `Unreadable`."""
        if value is None:
            raise Unreadable(f"The curl command cannot be read: {option} has no value.")
        if OPTIONS[option] == "header":
            self.headers.append(value)
        elif OPTIONS[option] in DATA:
            self.data.append((OPTIONS[option], value))
        else:
            self.values[OPTIONS[option]] = value


def _command(words: Iterator[str]) -> _Command:
    """Raises `Unreadable`."""
    said = _Command({}, set(), [], [], [])
    for word in words:
        if cluster := CLUSTER.fullmatch(word):
            said.flags |= {FLAGS[f"-{letter}"] for letter in cluster[1]}
            word = f"-{cluster[2]}"
        option, equals, value = word.partition("=") if word.startswith("--") else (word[:2], "", word[2:])
        if option in FLAGS:
            said.flags.add(FLAGS[option])
        elif option not in OPTIONS:
            said.others.append(word)  # also the "-" that remains of flags
        else:
            said.say(option, value if value or equals else next(words, None))
    return said


def _words(command: str) -> Iterator[str]:
    """As a shell splits it. Raises `Unreadable`."""
    at = 0
    while at < len(command):
        found = WORD.match(command, at)
        if found is None:
            raise Unreadable("The curl command has a quote that is not closed.")
        at = found.end()
        if found[1]:
            yield PART.sub(_unquoted, found[1])


def _unquoted(part: "re.Match[str]") -> str:
    text = part[0]
    if text[0] == '"':
        return re.sub(r'\\(["\\])', r"\1", text[1:-1])
    return text[1:-1] if text[0] == "'" else text.removeprefix("\\")


def _curl(command: str) -> Pasted:
    said = _command(islice(_words(command.replace("\\\n", " ")), 1, None))
    url = said.values.get("url") or next((word for word in said.others if "/" in word), "")
    if not url:
        raise Unreadable("The curl command has no URL.")
    if any(value.startswith("@") for _, value in said.data):
        raise Unreadable("The curl command reads its data from a file. Paste the data in its place.")
    headers = _headers(said.headers)
    parts = [_urlencoded(value) if option == "urlencoded" else value for option, value in said.data]
    is_json = any(option == "json" for option, _ in said.data)
    body = "".join(parts) if is_json else "&".join(parts)
    if user := said.values.get("user"):
        headers.setdefault("authorization", "Basic " + base64.b64encode(user.encode()).decode())
    if "get" in said.flags:
        url, body = url + ("&" if "?" in url else "?") + body, ""
    if body:
        headers.setdefault("content-type", JSON if is_json else "application/x-www-form-urlencoded")
    by_default = (
        "HEAD" if "head" in said.flags else "POST" if body or (said.data and "get" not in said.flags) else "GET"
    )
    return _made((said.values.get("method") or by_default).upper(), url, headers, body)


def _urlencoded(value: str) -> str:
    name, equals, content = value.partition("=")
    return f"{name}={quote(content, safe='')}" if equals else quote(name, safe="")


def _headers(lines: list[str]) -> dict[str, str]:
    headers = {}
    for line in lines:
        match = HEADER.fullmatch(line.strip())
        if match is None:
            raise Unreadable(
                f"A header must be a line like Content-Type: application/json; this is none: {line.strip()[:80]}"
            )
        headers[match[1].lower()] = match[2].strip()
    return headers


def _made(method: str, url: str, headers: Mapping[str, str], body: str) -> Pasted:
    try:
        parts = urlsplit(url if "://" in url or url.startswith("/") else f"https://{url}")
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        raise Unreadable("The URL cannot be read.") from None
    return Pasted(method, host or headers.get("host", ""), parts.path, parts.query, dict(headers), body)
