"""What is at `/`: for a person a page that says what this is and where to go, for a program the same as JSON."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from shared import pages
from shared.domain.models import Endpoint
from shared.domain.refusals import MethodNotAllowed, UnknownEndpoint
from shared.publishers import posting_instructions
from shared.publishers.web_pages import Page

WHAT = "An open ping/post platform for inbound calls."
API = "/api/v1/openapi.json"
DASHBOARD = "/dashboard"


def page(event: Mapping[str, Any], base: str, demo: str, find: Callable[[str], Endpoint]) -> Page:
    """`demo` are the endpoints to be shown, if any: their purposes by vanity URI, as JSON. Of these, `find` gives those
    that are live. Raises `MethodNotAllowed`."""
    if event["requestContext"]["http"]["method"] not in ("GET", "HEAD"):
        raise MethodNotAllowed
    endpoints = _live(msgspec.json.decode(demo, type=dict[str, str]), find) if demo else {}
    urls = {verb: f"{base}{posting_instructions.API}/{verb}/{{vanity_uri}}" for verb in ("ping", "post", "full")}
    guide = f"{base}/posting_instructions/{{vanity_uri}}"
    if _wants_html(event.get("headers", {}).get("accept", "")):
        values = {
            "base": base,
            "urls": urls,
            "guide": guide,
            "endpoints": endpoints,
            "API": API,
            "DASHBOARD": DASHBOARD,
        }
        return Page(pages.render("home.html", what=WHAT, **values), vary="Accept")
    said = {
        "name": "Ringpost",
        "description": WHAT,
        **urls,
        "posting_instructions": guide,
        "openapi": f"{base}{API}",
        "dashboard": f"{base}{DASHBOARD}",
        **({"endpoints": endpoints} if endpoints else {}),
    }
    return Page(msgspec.json.encode(said).decode(), pages.JSON, vary="Accept")


def _live(demo: Mapping[str, str], find: Callable[[str], Endpoint]) -> dict[str, str]:
    found = {}
    for vanity_uri, purpose in demo.items():
        try:
            found[find(vanity_uri).vanity_uri] = purpose
        except UnknownEndpoint:  # the operator has put a configuration of its own in the place of the demo
            continue
    return found


def _wants_html(accept: str) -> bool:
    html, json = accept.find("text/html"), accept.find("application/json")
    return html >= 0 and not 0 <= json < html
