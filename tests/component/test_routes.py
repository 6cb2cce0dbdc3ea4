"""Every route by every role and none: who is let in, and with which token, session and form.

A route that is added needs a line here, or a test fails. The prefix of a function needs one in
tests/infra/test_template.py."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from functions.api.operations import OPERATIONS, _description
from functions.dashboard.views import VIEWS
from functions.instructions import guide_pages
from shared.domain.models import Role, Scope
from shared.office import dashboard as edge
from shared.office.dashboard import View
from shared.office.rest import ROOT
from shared.office.visitors import VisitedOffice
from shared.publishers import web_pages
from shared.publishers.requests import VERBS
from tests.build import CALLER, REQUEST_ID, Publisher, Stage, an_event
from tests.component.test_signing import Browser
from tests.component.test_wire_sandbox import sandbox
from tests.configurations import a_ring_pool, an_endpoint
from tests.office import Operator, opened, records

ANYBODY: tuple[Role, ...] = ()
EVERYBODY: tuple[Role, ...] = ("operator", "viewer", "publisher")
READERS: tuple[Role, ...] = ("operator", "viewer")
OPERATORS: tuple[Role, ...] = ("operator",)

# What each route is for, said here once more: a mistake in one of the two tables shows.

API = {
    "GET /openapi.json": ANYBODY,
    "GET /users": EVERYBODY,
    "POST /users": OPERATORS,
    "GET /users/{name}": EVERYBODY,
    "PUT /users/{name}": OPERATORS,
    "PATCH /users/{name}": OPERATORS,
    "DELETE /users/{name}": OPERATORS,
    "GET /providers": READERS,
    "POST /providers": OPERATORS,
    "GET /providers/{name}": READERS,
    "PUT /providers/{name}": OPERATORS,
    "PATCH /providers/{name}": OPERATORS,
    "DELETE /providers/{name}": OPERATORS,
    "GET /ring_pools": READERS,
    "POST /ring_pools": OPERATORS,
    "GET /ring_pools/{name}": READERS,
    "PUT /ring_pools/{name}": OPERATORS,
    "PATCH /ring_pools/{name}": OPERATORS,
    "DELETE /ring_pools/{name}": OPERATORS,
    "GET /offers": READERS,
    "POST /offers": OPERATORS,
    "GET /offers/{name}": READERS,
    "PUT /offers/{name}": OPERATORS,
    "PATCH /offers/{name}": OPERATORS,
    "DELETE /offers/{name}": OPERATORS,
    "GET /endpoints": READERS,
    "POST /endpoints": OPERATORS,
    "GET /endpoints/{vanity_uri}": READERS,
    "PUT /endpoints/{vanity_uri}": OPERATORS,
    "PATCH /endpoints/{vanity_uri}": OPERATORS,
    "DELETE /endpoints/{vanity_uri}": OPERATORS,
    "GET /buyers": READERS,
    "POST /buyers": OPERATORS,
    "GET /buyers/{id}": READERS,
    "PUT /buyers/{id}": OPERATORS,
    "PATCH /buyers/{id}": OPERATORS,
    "DELETE /buyers/{id}": OPERATORS,
    "POST /buyers/{id}/pause": OPERATORS,
    "POST /buyers/{id}/resume": OPERATORS,
    "GET /users/{name}/tokens": EVERYBODY,
    "POST /users/{name}/tokens": OPERATORS,
    "DELETE /users/{name}/tokens/{token_id}": OPERATORS,
    "GET /ring_pools/{name}/numbers": READERS,
    "GET /ring_pools/{name}/use": READERS,
    "GET /account": READERS,
    "PUT /account": OPERATORS,
    "GET /suppression_lists": READERS,
    "POST /suppression_lists/lookup": READERS,
    "POST /suppression_lists/{name}/add": OPERATORS,
    "POST /suppression_lists/{name}/remove": OPERATORS,
    "GET /changes": READERS,
    "GET /changes/{version}": READERS,
    "POST /changes/{version}/undo": OPERATORS,
    "GET /pings": EVERYBODY,
    "GET /pings/{ping_id}": EVERYBODY,
    "GET /sales": EVERYBODY,
    "GET /calls": EVERYBODY,
    "GET /calls/{call_id}": EVERYBODY,
    "POST /callers/lookup": EVERYBODY,
    "POST /callers/erase": OPERATORS,
    "GET /day": EVERYBODY,
    "GET /sources": EVERYBODY,
    "GET /reports": EVERYBODY,
    "GET /reports/buyer": READERS,
    "GET /reports/refused": EVERYBODY,
    "GET /configuration": READERS,
    "PUT /configuration": OPERATORS,
    "POST /configuration/difference": READERS,
    "GET /configuration/warnings": READERS,
}

DASHBOARD = {
    "GET /sign_in": ANYBODY,
    "POST /sign_in": ANYBODY,
    "GET /signed_in": ANYBODY,
    "POST /sign_out": EVERYBODY,
    "GET /signed_out": ANYBODY,
    "GET ": EVERYBODY,
    "GET /caps": READERS,
    "GET /log": EVERYBODY,
    "POST /log": EVERYBODY,
    "GET /pings/{ping_id}": EVERYBODY,
    "POST /pings/{ping_id}": OPERATORS,
    "GET /calls": EVERYBODY,
    "GET /calls/{call_id}": EVERYBODY,
    "GET /sources": EVERYBODY,
    "GET /reports": EVERYBODY,
    "GET /reports/buyer": READERS,
    "GET /reports/questions": EVERYBODY,
    "GET /reports/refused": EVERYBODY,
    "GET /erasing": OPERATORS,
    "POST /erasing": OPERATORS,
    "POST /erasing/confirmed": OPERATORS,
    "GET /offers": READERS,
    "POST /offers": OPERATORS,
    "GET /offers/{name}": READERS,
    "POST /offers/{name}": OPERATORS,
    "POST /offers/{name}/delete": OPERATORS,
    "GET /buyers": READERS,
    "POST /buyers": OPERATORS,
    "GET /buyers/{name}": READERS,
    "POST /buyers/{name}": OPERATORS,
    "POST /buyers/{name}/delete": OPERATORS,
    "GET /endpoints": READERS,
    "POST /endpoints": OPERATORS,
    "GET /endpoints/{name}": READERS,
    "POST /endpoints/{name}": OPERATORS,
    "POST /endpoints/{name}/delete": OPERATORS,
    "GET /ring_pools": READERS,
    "POST /ring_pools": OPERATORS,
    "GET /ring_pools/{name}": READERS,
    "POST /ring_pools/{name}": OPERATORS,
    "POST /ring_pools/{name}/delete": OPERATORS,
    "GET /providers": READERS,
    "POST /providers": OPERATORS,
    "GET /providers/{name}": READERS,
    "POST /providers/{name}": OPERATORS,
    "POST /providers/{name}/delete": OPERATORS,
    "GET /users": EVERYBODY,
    "POST /users": OPERATORS,
    "GET /users/{name}": EVERYBODY,
    "POST /users/{name}": OPERATORS,
    "POST /users/{name}/delete": OPERATORS,
    "POST /buyers/{name}/pause": OPERATORS,
    "POST /users/{name}/tokens": OPERATORS,
    "POST /users/{name}/tokens/{token_id}/revoke": OPERATORS,
    "GET /suppression_lists": READERS,
    "POST /suppression_lists": OPERATORS,
    "POST /suppression_lists/lookup": READERS,
    "GET /changes": READERS,
    "GET /changes/{version}": READERS,
    "POST /changes/{version}/undo": OPERATORS,
    "GET /configuration": READERS,
    "POST /configuration": OPERATORS,
    "POST /configuration/account": OPERATORS,
    "GET /configuration/export": READERS,
    "POST /configuration/difference": READERS,
}

USERS: dict[Role, str] = {"operator": "olga", "viewer": "vera", "publisher": "acme-media"}
BEFORE = "of 0.1.0"
"""In the place of a scope: a token as that version stored it."""
NAMES = {"name": "acme-media", "version": "999", "id": "1", "vanity_uri": "my_endpoint"}
"""Names for paths: a publisher is let in to itself. What is changed there says no version, and so changes nothing."""


def path_of(template: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: NAMES.get(found[1], "none"), template)


@pytest.fixture
def market(stage: Stage) -> Stage:
    endpoints = [
        an_endpoint(),
        an_endpoint(vanity_uri="closed", require_auth_token=True, instructions="token"),
    ]
    opened(stage, endpoints=endpoints, ring_pools=[a_ring_pool(numbers=["+18005550100-+18005550149"])])
    return stage


def a_token(stage: Stage, role: Role, scope: str, expires_at: int | None = None) -> str:
    if scope == BEFORE:
        token = f"{role} {BEFORE}"
        stage.give_token(token, USERS[role])
        return token
    wanted: Scope = scope  # type: ignore[assignment]
    return records(stage).tokens.issue(USERS[role], "a test", scope=wanted, expires_at=expires_at)[1]


# The tables


def test_every_route_has_a_line() -> None:
    assert {f"{operation.method} {operation.path}": operation.roles for operation in OPERATIONS} == API
    assert {f"{view.method} {view.path}": view.roles for view in VIEWS} == DASHBOARD


def test_every_route_is_described() -> None:
    paths = _description()["paths"]
    described = {f"{method.upper()} {path.removeprefix(ROOT)}" for path, methods in paths.items() for method in methods}
    assert described == API.keys()


# The API


def asked(stage: Stage, token: str) -> dict[str, int]:
    operator = Operator(stage, token, known={})
    return {
        route: operator.ask(method, path_of(path), {} if method not in ("GET", "DELETE") else None).code
        for route in API
        for method, path in [route.split(" ")]
    }


@pytest.mark.parametrize("sent", ["", "wrong", "over"])
def test_without_a_token_the_api_describes_itself_and_no_more(market: Stage, sent: str) -> None:
    token = a_token(market, "operator", "operate", market.clock() + 1) if sent == "over" else sent
    market.clock.forward(1)
    codes = asked(market, token)
    assert codes.pop("GET /openapi.json") == 200
    assert {*codes.values()} == {401}


@pytest.mark.parametrize("scope", ["post", "read", "operate", BEFORE])
@pytest.mark.parametrize("role", USERS)
def test_a_route_of_the_api_is_for_its_roles_and_scopes_alone(market: Stage, role: Role, scope: str) -> None:
    before = records(market).versions.current().version
    codes = asked(market, a_token(market, role, scope))
    acts_as = "viewer" if (role, scope) == ("operator", "read") else role
    allowed = {route for route, roles in API.items() if not roles or (acts_as in roles and scope != "post")}
    assert {route for route, code in codes.items() if code not in (401, 403)} == allowed
    assert all(codes[route] == 403 for route in codes.keys() - allowed)
    assert max(codes.values()) < 500
    if role != "operator" or scope in ("post", "read"):
        assert records(market).versions.current().version == before


# The dashboard


def viewed(browser: Browser, view: View[VisitedOffice], csrf: str | None = None, **headers: str) -> int:
    sent: dict[str, Any] = {} if view.method == "GET" else {"form": {} if csrf is None else {"csrf": csrf}}
    answer = browser.send(view.method, path_of(edge.ROOT + view.path), headers=headers, **sent)
    is_sent_to_sign_in = answer.headers.get("Location", "").startswith(f"{edge.SIGN_IN}?to=")
    return 401 if is_sent_to_sign_in else answer.code


VIEW = pytest.mark.parametrize("view", VIEWS, ids=lambda view: f"{view.method} {view.path}")
"""As many visits as fit a minute: a test for each."""


@VIEW
def test_a_view_is_for_its_roles_and_their_own_forms_alone(market: Stage, view: View[VisitedOffice]) -> None:
    roles = DASHBOARD[f"{view.method} {view.path}"]
    over = Browser(market).signed_in("olga")
    records(market).tokens.sign_out("olga", "a test")
    of_another = Browser(market).signed_in("vera").csrf()
    nobody = Browser(market)
    nobody.cookies[edge.COOKIE] = "forged"
    for browser in (Browser(market), nobody, over):
        assert (viewed(browser, view, of_another) == 401) == bool(roles)
    for role, user in USERS.items():
        browser = Browser(market).signed_in(user)
        if roles and role not in roles:
            assert viewed(browser, view, browser.csrf()) == 403, role
            continue
        if roles and view.method == "POST":
            wrongs = (None, "", "wrong", of_another if user != "vera" else over_csrf(market))
            assert [viewed(browser, view, wrong) for wrong in wrongs] == [403] * 4, role
        right = browser.csrf() if roles else None
        assert viewed(browser, view, right) not in (401, 403, 500, 503), role


def over_csrf(stage: Stage) -> str:
    """Of a session of the operator's."""
    return Browser(stage).signed_in("olga").csrf()


@pytest.mark.parametrize(
    "view", [view for view in VIEWS if not view.roles and view.method == "POST"], ids=lambda view: view.path
)
def test_a_form_for_anybody_is_sent_by_no_other_site(market: Stage, view: View[VisitedOffice]) -> None:
    for site, code in (("cross-site", 403), ("same-site", 403), ("same-origin", 303)):
        assert viewed(Browser(market), view, **{"sec-fetch-site": site}) == code


@pytest.mark.parametrize("scope", ["post", "read", "operate", BEFORE])
def test_no_token_opens_the_dashboard(market: Stage, scope: str) -> None:
    token = a_token(market, "operator", scope)
    for view in VIEWS:
        if view.roles:
            browser = Browser(market)
            browser.cookies[edge.COOKIE] = token
            assert viewed(browser, view, Authorization=f"Token {token}") == 401


# PING, POST and FULL, their sandbox, and the posting instructions


def read_page(stage: Stage, path: str, method: str = "GET", **sent: Any) -> int:
    event = an_event(path=path, method=method, **sent)
    code: int = web_pages.serve(event, REQUEST_ID, "instructions", partial(guide_pages.answer, stage.world()))[
        "statusCode"
    ]
    return code


def live(stage: Stage, verb: str, uri: str, **sent: Any) -> Any:
    return Publisher(stage).send(verb, uri, json_body=sent)


def to_sandbox(stage: Stage, verb: str, uri: str, **sent: Any) -> Any:
    return sandbox(stage, verb, uri, **sent)


@pytest.mark.parametrize("send", [live, to_sandbox])
@pytest.mark.parametrize("scope", ["post", "read", "operate", BEFORE])
@pytest.mark.parametrize("role", USERS)
def test_leads_are_sent_by_those_who_may(market: Stage, role: Role, scope: str, send: Callable[..., Any]) -> None:
    token = a_token(market, role, scope)
    for verb in VERBS:
        for uri in ("my_endpoint", "closed"):
            may = scope != "read" and not (role == "viewer" and uri == "closed")
            answer = send(market, verb, uri, caller_id=CALLER, auth_token=token, explain="1")
            assert answer.code == (200 if may else 401), (verb, uri)
            explained = role == "operator" and scope in ("operate", BEFORE)
            assert ("explain" in answer.body) <= explained, (verb, uri)


@pytest.mark.parametrize("send", [live, to_sandbox])
@pytest.mark.parametrize("sent", ["", "wrong", "over"])
def test_without_a_token_leads_are_sent_to_open_endpoints(market: Stage, sent: str, send: Callable[..., Any]) -> None:
    token = a_token(market, "publisher", "post", market.clock() + 1) if sent == "over" else sent
    market.clock.forward(1)
    for verb in VERBS:
        assert send(market, verb, "closed", caller_id=CALLER, auth_token=token).code == 401
        open_to_it = send(market, verb, "my_endpoint", caller_id=CALLER, auth_token=token)
        assert open_to_it.code == (401 if token else 200)


@pytest.mark.parametrize("below", ["", "/openapi.json", "/instructions.md"])
def test_posting_instructions_are_public_or_for_who_may_read(market: Stage, below: str) -> None:
    public, closed = f"/posting_instructions/my_endpoint{below}", f"/posting_instructions/closed{below}"
    methods = ("GET",) if below else ("GET", "POST")
    for method in methods:
        assert read_page(market, public, method) == 200
        assert read_page(market, public, method, headers={"Authorization": "Token wrong"}) == 200
        for token in ("", "wrong"):
            assert read_page(market, closed, method, headers={"Authorization": f"Token {token}"}) == 401
        for role in USERS:
            for scope, code in (("post", 401), ("read", 200), ("operate", 200), (BEFORE, 200)):
                header = {"Authorization": f"Token {a_token(market, role, scope)}"}
                assert read_page(market, closed, method, headers=header) == code, (role, scope)


def test_the_first_page_is_for_anybody(market: Stage) -> None:
    assert read_page(market, "/", "GET") == 200
