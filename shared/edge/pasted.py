"""A request as somebody pastes it into *Check my request*: a curl command, a URL, or the raw request.

It becomes the event that API Gateway would have made of it. Nothing is sent.
"""

import argparse
import base64
import re
import shlex
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

from msgspec import Struct

REQUEST_LINE = re.compile(r"([A-Za-z]{1,10}) +((?:/|https?://)\S*)( +HTTP/[0-9.]+)?")
HEADER = re.compile(r"([A-Za-z0-9-]+):[ \t]*(.*)")
JSON = "application/json"


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


class _Arguments(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Unreadable(f"The curl command cannot be read: {message}.")


def _parser() -> argparse.ArgumentParser:
    parser = _Arguments(prog="curl", add_help=False, allow_abbrev=False)
    parser.add_argument("address", nargs="?", default="")
    parser.add_argument("--url", dest="url", default="")
    parser.add_argument("-X", "--request", dest="method", default="")
    parser.add_argument("-H", "--header", dest="headers", action="append", default=[])
    parser.add_argument("-u", "--user", dest="user", default="")
    parser.add_argument("-G", "--get", dest="get", action="store_true")
    parser.add_argument("-I", "--head", dest="head", action="store_true")
    for names in (("-d", "--data", "--data-ascii", "--data-raw", "--data-binary"), ("--data-urlencode",), ("--json",)):
        parser.add_argument(*names, dest="data", action=_Data, default=[])
    return parser


class _Data(argparse.Action):
    """All that is sent, in order, and how it was named."""

    def __call__(
        self, _: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        namespace.data = [*namespace.data, (option, values)]


def _curl(command: str) -> Pasted:
    try:
        words = shlex.split(command.replace("\\\n", " "), comments=False)
    except ValueError:
        raise Unreadable("The curl command has a quote that is not closed.") from None
    said, others = _parser().parse_known_args(words[1:])
    url = said.url or next((word for word in [said.address, *others] if "/" in word), "")
    if not url:
        raise Unreadable("The curl command has no URL.")
    if any(value.startswith("@") for _, value in said.data):
        raise Unreadable("The curl command reads its data from a file. Paste the data in its place.")
    headers = _headers(said.headers)
    parts = [_urlencoded(value) if option == "--data-urlencode" else value for option, value in said.data]
    is_json = any(option == "--json" for option, _ in said.data)
    body = "".join(parts) if is_json else "&".join(parts)
    if said.user:
        headers.setdefault("authorization", "Basic " + base64.b64encode(said.user.encode()).decode())
    if said.get:
        url, body = url + ("&" if "?" in url else "?") + body, ""
    if body:
        headers.setdefault("content-type", JSON if is_json else "application/x-www-form-urlencoded")
    method = said.method.upper() or ("HEAD" if said.head else "POST" if body or (said.data and not said.get) else "GET")
    return _made(method, url, headers, body)


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
