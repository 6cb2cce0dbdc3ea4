"""Pages: what is answered to a browser, from the templates beside this file.

Everything that comes from outside is escaped. Style and script stand in the page itself, and its
Content-Security-Policy names them by their hashes: nothing else is applied, run or loaded. A page without a change is
not sent again (ETag).
"""

import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from msgspec import Struct

from shared.domain.refusals import InternalError, Refusal, Unauthorized
from shared.edge import answers, http, plots

FOLDER = Path(__file__).parent
HTML, JSON, MARKDOWN = "text/html; charset=utf-8", "application/json", "text/markdown; charset=utf-8"


EVERYBODY, READERS, OPERATORS = ("operator", "viewer", "publisher"), ("operator", "viewer"), ("operator",)
NAVIGATION = (
    ("", "Today", EVERYBODY),
    ("/log", "Log", EVERYBODY),
    ("/sources", "Sources", EVERYBODY),
    ("/offers", "Offers", READERS),
    ("/buyers", "Buyers", READERS),
    ("/endpoints", "Endpoints", READERS),
    ("/ring_pools", "Ring pools", READERS),
    ("/users", "Users", EVERYBODY),
    ("/suppression_lists", "Suppression", READERS),
    ("/changes", "Changes", READERS),
    ("/configuration", "Configuration", READERS),
)
"""Addresses below the dashboard's, their names, and the roles that they are for."""


class Page(Struct):
    body: str
    content_type: str = HTML
    code: int = 200


def serve(
    event: Mapping[str, Any], request_id: str, function: str, page: Callable[[Mapping[str, Any]], Page]
) -> dict[str, Any]:
    """Answer one event with its page, or with one that says why not."""
    started = time.perf_counter()
    facts: dict[str, Any] = {}
    headers = {"Cache-Control": "no-cache"}
    try:
        found, status = page(event), "success"
    except Refusal as refused:
        found, status = _refusal(refused, event["rawPath"], request_id), refused.status
        if isinstance(refused, Unauthorized):  # the browser asks for it: the token is the password
            headers["WWW-Authenticate"] = 'Basic realm="The auth_token as password", charset="UTF-8"'
        facts = http.where(refused.__cause__ or refused) if found.code >= HTTPStatus.INTERNAL_SERVER_ERROR else {}
    except Exception as bug:  # noqa: BLE001 - the last one, at the edge
        found, status = _refusal(InternalError(), event["rawPath"], request_id), InternalError.status
        facts = http.where(bug)
    http.told(request_id, function, found.code, status, round((time.perf_counter() - started) * 1000, 1), **facts)
    headers |= {
        "Content-Type": found.content_type,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    if found.content_type == HTML:
        headers["Content-Security-Policy"] = policy()
    if found.code == HTTPStatus.OK:
        headers["ETag"] = f'"{sha256(found.body.encode()).hexdigest()[:32]}"'
        if headers["ETag"] in event.get("headers", {}).get("if-none-match", ""):
            return {"statusCode": 304, "headers": headers, "body": "", "isBase64Encoded": False}
    return {"statusCode": found.code, "headers": headers, "body": found.body, "isBase64Encoded": False}


def render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(values)


@cache
def inline(name: str) -> Markup:
    """A style sheet or a script, to stand in a page."""
    return Markup((FOLDER / name).read_text())  # noqa: S704 - a file of ours


@cache
def policy(elsewhere: str = "") -> str:
    """For pages with style sheets and scripts of ours in them, and forms that are sent to where they came from, and
    from there on to `elsewhere`."""
    styles, scripts = (
        " ".join(map(_hash, sorted(path.name for path in FOLDER.glob(f"*.{of}")))) for of in ("css", "js")
    )
    forms = f"'self' {elsewhere}".strip()
    return (
        f"default-src 'none'; style-src {styles}; script-src {scripts}; connect-src 'self'; "
        f"form-action {forms}; base-uri 'none'; frame-ancestors 'none'"
    )


def _hash(name: str) -> str:
    return f"'sha256-{b64encode(sha256(inline(name).encode()).digest()).decode()}'"


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"inline": inline, "NAVIGATION": NAVIGATION}
    made.filters |= {
        "cell": _cell,
        "minute": _minute,
        "money": plots.money,
        "stamp": plots.stamp,
        "date": plots.date,
        "count": plots.plain,
    }
    return made


def _cell(text: object) -> str:
    """As a cell of a Markdown table."""
    return " ".join(str(text).split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _minute(at: int) -> str:
    """A time, UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"


def _refusal(refused: Refusal, path: str, request_id: str) -> Page:
    code = answers.HTTP_STATUS[type(refused)]
    if path.endswith(".json"):
        return Page(answers.refusal(refused, None, request_id).decode(), JSON, code)
    values = {"title": HTTPStatus(code).phrase, "sentences": refused.sentences}
    return Page(render("refusal.html", **values, request_id=request_id if code >= 500 else ""), code=code)
