"""What is at `/`, and the posting instructions of an endpoint: the page, its Markdown and OpenAPI, and *Check my
request*."""

import difflib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from shared import flows, pages
from shared.domain import phone, sandbox_endpoint
from shared.domain.models import Endpoint, Lead
from shared.domain.refusals import (
    InvalidFields,
    MalformedRequest,
    MethodNotAllowed,
    Refusal,
    RequestTooLarge,
    UnknownEndpoint,
)
from shared.flows import World
from shared.publishers import contract, home, pasted, posting_instructions, requests
from shared.publishers.pasted import Pasted
from shared.publishers.posting_instructions import MEANINGS, Guide
from shared.publishers.requests import PATH, SANDBOX, VERBS, Request
from shared.publishers.samples import LANGUAGES
from shared.publishers.web_pages import Page

PAGE = re.compile(r"/posting_instructions/([A-Za-z0-9_.~-]{1,64})(/openapi\.json|/instructions\.md)?/?")
TAILORED = ("traffic_source_id", "trackdrive_number")
SOURCE_LENGTH = 100
NAME_LENGTH, NAMES = 64, 20
"""Of so many unknown names, up to so long, *Check my request* looks for the field that is meant: that takes long."""
SHOWN_VALUES = 200
"""Of a lead, on the page."""


class CheckResult(Struct):
    """What must be mended, what may be meant otherwise, and how the lead was read."""

    problems: list[str]
    hints: list[str]
    lead: Lead


def answer(world: World, event: Mapping[str, Any]) -> Page:
    """Raises `UnknownEndpoint`, `MethodNotAllowed`, `Unauthorized`, and what reading a request raises."""
    if event["rawPath"] == "/":
        return home.page(event, _base(event), world.compiled.dynamo.settings.demo, world.endpoint)
    method, match = event["requestContext"]["http"]["method"], PAGE.fullmatch(requests.path(event))
    if match is None:
        raise UnknownEndpoint
    if method not in ("GET", "HEAD", "POST") or (method == "POST" and match[2]):
        raise MethodNotAllowed
    endpoint = world.endpoint(match[1])
    request = requests.read(event, method, endpoint.vanity_uri)
    flows.check_reader(world, endpoint, request)
    tailored = {name: request.params[name][:SOURCE_LENGTH] for name in TAILORED if name in request.params}
    source, number = tailored.get("traffic_source_id", ""), tailored.get("trackdrive_number", "")
    guide = posting_instructions.guide(endpoint, _base(event), source, _e164(number, endpoint))
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
            shown_values=SHOWN_VALUES,
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


def check(world: World, guide: Guide, text: str) -> CheckResult:
    """What is wrong with a request to this endpoint, as it was pasted."""
    checked = CheckResult([], [], Lead())
    try:
        sent = pasted.read(text)
    except pasted.Unreadable as unreadable:
        checked.problems.append(str(unreadable))
        return checked
    endpoint, verb = guide.endpoint, _verb(guide, sent, checked)
    if requests.path(sent.event).startswith(SANDBOX):
        checked.hints.append("It goes to the sandbox, where nothing is sold.")
        endpoint, world = sandbox_endpoint.sandbox_of(endpoint), world.of_sandbox()
    try:
        request = requests.read(sent.event, sent.method, guide.endpoint.vanity_uri)
    except MalformedRequest as malformed:
        checked.problems += _reasons_of_malformed(sent, malformed)
        return checked
    except RequestTooLarge as too_large:
        checked.problems.append(_sentence_of(too_large))
        return checked
    checked.hints += _hints(guide, sent, request)
    checked.lead, found, warnings = flows.check(world, endpoint, request, verb)
    checked.hints += [sentence for sentences in warnings.values() for sentence in sentences]
    for refused in found:
        checked.problems += refused.sentences if isinstance(refused, InvalidFields) else [_sentence_of(refused)]
    return checked


def _verb(guide: Guide, sent: Pasted, checked: CheckResult) -> str:
    """What is asked for; what is wrong with method and address goes to `checked`."""
    if sent.method not in ("GET", "POST"):
        checked.problems.append(f"The method is {sent.method[:10]}. {MethodNotAllowed.sentence}")
    ours = guide.base.partition("://")[2]
    if sent.host and sent.host != ours:
        checked.problems.append(f"The host is {sent.host[:100]}; it must be {ours}.")
    match = PATH.fullmatch(requests.path(sent.event).removeprefix(SANDBOX))
    if match is None or match[1] not in VERBS:
        right = ", ".join(guide.calls[verb].path for verb in VERBS)
        checked.problems.append(f"The path is {sent.path[:100] or 'empty'}; it must be one of {right}.")
        return "ping"
    if match[2] != guide.endpoint.vanity_uri:
        checked.problems.append(
            f"The path ends in {match[2]}; that is another endpoint than {guide.endpoint.vanity_uri}, or none."
        )
    return match[1]


def _reasons_of_malformed(sent: Pasted, refused: MalformedRequest) -> list[str]:
    """Where the body breaks off, without showing what stands there."""
    if sent.body.lstrip().startswith(("{", "[")):
        try:
            msgspec.json.decode(sent.body)
        except msgspec.DecodeError as wrong:
            return [f"The body is not JSON: {wrong}."]
        except RecursionError:
            return ["The body is JSON that is nested too deep."]
        return ["The body is JSON, but it must be an object: { … }."]
    return refused.sentences


def _hints(guide: Guide, sent: Pasted, request: Request) -> Iterator[str]:
    content_type = sent.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent.body.startswith("{") and content_type != "application/json":
        yield f"The body is JSON, but Content-Type is {content_type or 'missing'}. It is read all the same."
    for name in islice(_repeated_names(sent.body), NAMES):
        yield f"{name[:NAME_LENGTH]} is there twice. The last value counts."
    names = [field.name for field in guide.endpoint.fields]
    spelled = {name.lower() for name in (*names, *requests.CONTROLS)}
    unknown = (name for name in request.params if len(name) <= NAME_LENGTH and name.lower() not in spelled)
    for name in islice(unknown, NAMES):
        if close := difflib.get_close_matches(name.lower(), names, 1):
            yield f"{name} is no field of this offer. Is {close[0]} meant?"


def _repeated_names(body: str) -> list[str]:
    """The names that a JSON object has more than once."""
    members: list[tuple[str, Any]] = []

    def keep(pairs: list[tuple[str, Any]]) -> None:
        members[:] = pairs  # the outermost object comes last

    try:
        json.loads(body, object_pairs_hook=keep, strict=False)
    except (ValueError, RecursionError):
        return []
    return [name for name, count in Counter(name for name, _ in members).items() if count > 1]


def _sentence_of(refused: Refusal) -> str:
    return " ".join(MEANINGS[type(refused)])
