"""The posting instructions of an endpoint: the page, its Markdown and OpenAPI, and *Check my request*."""

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from shared import flows
from shared.domain import phone, sandbox
from shared.domain.models import Endpoint, Lead
from shared.domain.refusals import (
    InvalidFields,
    MalformedRequest,
    MethodNotAllowed,
    Refusal,
    RequestTooLarge,
    UnknownEndpoint,
)
from shared.edge import contract, instructions, pages, pasted, requests
from shared.edge.instructions import MEANINGS, Guide
from shared.edge.pages import Page
from shared.edge.pasted import Pasted
from shared.edge.requests import PATH, SANDBOX, VERBS, Request
from shared.edge.samples import LANGUAGES
from shared.flows import World

PAGE = re.compile(r"/posting_instructions/([A-Za-z0-9_.~-]{1,64})(/openapi\.json|/instructions\.md)?/?")
TAILORED = ("traffic_source_id", "trackdrive_number")
SOURCE_LENGTH = 100


class Checked(Struct):
    """What must be mended, what may be meant otherwise, and how the lead was read."""

    problems: list[str]
    hints: list[str]
    lead: Lead


def answer(world: World, event: Mapping[str, Any]) -> Page:
    """Raises `UnknownEndpoint`, `MethodNotAllowed`, `Unauthorized`, and what reading a request raises."""
    method, match = event["requestContext"]["http"]["method"], PAGE.fullmatch(event["rawPath"])
    if match is None:
        raise UnknownEndpoint
    if method not in ("GET", "HEAD", "POST") or (method == "POST" and match[2]):
        raise MethodNotAllowed
    endpoint = world.endpoint(match[1])
    request = requests.read(event, method, endpoint.vanity_uri)
    flows.reader(world, endpoint, request)
    tailored = {name: request.params[name][:SOURCE_LENGTH] for name in TAILORED if name in request.params}
    source, number = tailored.get("traffic_source_id", ""), tailored.get("trackdrive_number", "")
    guide = instructions.guide(endpoint, _base(event), source, _e164(number, endpoint))
    if match[2] == "/openapi.json":
        return Page(contract.document(guide), pages.JSON)
    if match[2]:
        return Page(pages.render("posting_instructions.md", guide=guide), pages.MARKDOWN)
    text = request.params.get("request", "") if method == "POST" else ""
    return Page(
        pages.render(
            "posting_instructions.html",
            guide=guide,
            query=f"?{urlencode(tailored)}" if tailored else "",
            fields=[field for field in endpoint.fields if field.name in {row.name for row in guide.rows}],
            examples={row.name: row.example for row in guide.rows},
            pasted=text,
            checked=check(world, guide, text) if text else None,
            LANGUAGES=LANGUAGES,
        )
    )


def _base(event: Mapping[str, Any]) -> str:
    """Where the reader has come to: API Gateway's own name of it, or the operator's."""
    scheme = event.get("headers", {}).get("x-forwarded-proto", "https")
    return f"{scheme}://{event['requestContext']['domainName']}"


def _e164(number: str, endpoint: Endpoint) -> str:
    try:
        return phone.e164(number, endpoint.default_region) if number else ""
    except ValueError:
        return ""


def check(world: World, guide: Guide, text: str) -> Checked:
    """What is wrong with a request to this endpoint, as it was pasted."""
    checked = Checked([], [], Lead())
    try:
        sent = pasted.read(text)
    except pasted.Unreadable as unreadable:
        checked.problems.append(str(unreadable))
        return checked
    endpoint, verb = guide.endpoint, _verb(guide, sent, checked)
    if sent.path.startswith(SANDBOX):
        checked.hints.append("It goes to the sandbox, where nothing is sold.")
        endpoint, world = sandbox.twin(endpoint), world.twin()
    try:
        request = requests.read(sent.event, sent.method, guide.endpoint.vanity_uri)
    except MalformedRequest:
        checked.problems.append(_malformed(sent))
        return checked
    except RequestTooLarge as too_large:
        checked.problems.append(_said(too_large))
        return checked
    checked.hints += _hints(guide, sent, request)
    checked.lead, found = flows.check(world, endpoint, request, verb)
    for refused in found:
        checked.problems += refused.sentences if isinstance(refused, InvalidFields) else [_said(refused)]
    return checked


def _verb(guide: Guide, sent: Pasted, checked: Checked) -> str:
    """What is asked for; what is wrong with method and address goes to `checked`."""
    if sent.method not in ("GET", "POST"):
        checked.problems.append(f"The method is {sent.method[:10]}. {MethodNotAllowed.sentence}")
    ours = guide.base.partition("://")[2]
    if sent.host and sent.host != ours:
        checked.problems.append(f"The host is {sent.host[:100]}; it must be {ours}.")
    match = PATH.fullmatch(sent.path.removeprefix(SANDBOX))
    if match is None or match[1] not in VERBS:
        right = ", ".join(guide.calls[verb].path for verb in VERBS)
        checked.problems.append(f"The path is {sent.path[:100] or 'empty'}; it must be one of {right}.")
        return "ping"
    if match[2] != guide.endpoint.vanity_uri:
        checked.problems.append(
            f"The path ends in {match[2]}; that is another endpoint than {guide.endpoint.vanity_uri}, or none."
        )
    return match[1]


def _malformed(sent: Pasted) -> str:
    """Where the body breaks off, without showing what stands there."""
    if sent.body.lstrip().startswith(("{", "[")):
        try:
            msgspec.json.decode(sent.body)
        except msgspec.DecodeError as wrong:
            return f"The body is no JSON: {wrong}."
        return "The body is JSON, but it must be an object: { … }."
    return MalformedRequest.sentence


def _hints(guide: Guide, sent: Pasted, request: Request) -> Iterator[str]:
    content_type = sent.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent.body.startswith("{") and content_type != "application/json":
        yield f"The body is JSON, but Content-Type is {content_type or 'missing'}. It is read all the same."
    names = [field.name for field in guide.endpoint.fields]
    spelled = {name.lower() for name in (*names, *requests.CONTROLS)}
    for name in request.params:
        if name.lower() not in spelled and (close := difflib.get_close_matches(name.lower(), names, 1)):
            yield f"{name[:64]} is no field of this offer. Is {close[0]} meant?"


def _said(refused: Refusal) -> str:
    return " ".join(MEANINGS[type(refused)])
