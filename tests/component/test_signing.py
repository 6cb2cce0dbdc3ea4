"""Coming to the dashboard and going: who is let in, for how long, and what a stranger's page cannot do."""

import base64
import hmac
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from joserfc.jwk import RSAKey

from functions.dashboard.views import VIEWS
from shared.domain.objections import Refused
from shared.office import dashboard as edge
from shared.office import visitors
from shared.office.cognito import Cognito
from shared.office.dashboard import Session, View
from shared.office.visitors import VisitedOffice
from shared.store.callers import Callers
from shared.store.dynamo import Dynamo
from shared.store.journal import Journal
from shared.store.tokens import CODE_SECONDS
from tests import fake_cognito
from tests.build import REQUEST_ID, InTurn, Stage, an_event
from tests.component.conftest import Command
from tests.configurations import a_user
from tests.fake_cognito import CLIENT_ID, Claims, FakeCognito
from tests.office import USERS, opened, records

CODE = "a code that was printed"
HOST = "calls.example.com"


@dataclass
class Answer:
    code: int
    headers: dict[str, str]
    text: str
    cookies: list[str]

    @property
    def location(self) -> str:
        return self.headers["Location"]


@dataclass
class Browser:
    """One event at a time. It keeps the cookies that it is given, by name."""

    stage: Stage
    cognito: Cognito | None = None
    cookies: dict[str, str] = field(default_factory=dict)
    scheme: str = "https"

    def get(self, path: str, **sent: Any) -> Answer:
        return self.send("GET", path, **sent)

    def post(self, path: str, form: dict[str, str], **sent: Any) -> Answer:
        return self.send("POST", path, form=form, **sent)

    def send(self, method: str, path: str, *, source_address: str = "192.0.2.1", **sent: Any) -> Answer:
        path, _, query = path.partition("?")
        headers = sent.pop("headers", {}) | {"x-forwarded-proto": self.scheme}
        event = an_event(method=method, path=path, query=query, headers=headers, **sent)
        event["requestContext"]["domainName"] = HOST
        event["requestContext"]["http"]["sourceIp"] = source_address
        event["cookies"] = [f"{name}={value}" for name, value in self.cookies.items()]
        dynamo = Dynamo(self.stage.client, self.stage.settings)
        found = records(self.stage)
        journal = Journal(dynamo, self.stage.keys, InTurn())
        world = VisitedOffice(
            found,
            Callers(dynamo, self.stage.keys),
            journal,
            self.stage.open_files,
            self.stage.leads_until,
            self.cognito,
        )
        elsewhere = self.cognito.url if self.cognito else ""
        said = edge.serve(event, REQUEST_ID, VIEWS, world, self.stage.keys, visitors.visitor_of, elsewhere)
        for cookie in said.get("cookies", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
            if "Max-Age=0" in cookie:
                del self.cookies[name]
        return Answer(said["statusCode"], said["headers"], said["body"], said.get("cookies", []))

    def signed_in(self, user: str) -> "Browser":
        self.cookies[edge.COOKIE] = edge.session_cookie(self.stage.keys, session_of(self.stage, user))
        return self

    def csrf(self) -> str:
        """What a form of ours would carry."""
        found = re.search(r'name="csrf" value="(\w+)"', self.get("/dashboard").text)
        assert found
        return found[1]


def session_of(stage: Stage, user: str) -> Session:
    return Session(user, records(stage).tokens.begin_session(user))


@pytest.fixture
def browser(stage: Stage) -> Browser:
    opened(stage)
    return Browser(stage)


@pytest.fixture(scope="module")
def _fake() -> Iterator[FakeCognito]:
    with fake_cognito.running() as running:
        yield running


@pytest.fixture
def fake(_fake: FakeCognito, stage: Stage) -> FakeCognito:
    _fake.user, _fake.sign, _fake.down, _fake.now = "olga", fake_cognito.signed, False, stage.clock
    _fake.ended, _fake.renewals = set(), 0
    return _fake


@pytest.fixture
def deployed(browser: Browser, fake: FakeCognito) -> Browser:
    browser.cognito = fake.client()
    return browser


def came_back(browser: Browser, fake: FakeCognito, to: str = "/dashboard") -> Answer:
    """What the visitor is told who has been to the managed login."""
    began = browser.get(f"/dashboard/sign_in?to={quote(to, safe='')}")
    assert began.code == 303
    return browser.get(way_back(fake, began))


def way_back(fake: FakeCognito, began: Answer) -> str:
    return fake.way_back(began.location).removeprefix(f"https://{HOST}")


# By a link


def test_a_printed_link_signs_in_once(browser: Browser) -> None:
    records(browser.stage).tokens.keep_code(CODE, "olga")
    assert CODE in browser.get(f"/dashboard/sign_in?code={quote(CODE)}").text
    done = browser.post("/dashboard/sign_in", {"code": CODE})
    assert (done.code, done.location) == (303, "/dashboard")
    assert "olga · operator" in browser.get("/dashboard").text
    stranger = Browser(browser.stage)
    again = stranger.post("/dashboard/sign_in", {"code": CODE})
    assert (again.location, stranger.cookies) == ("/dashboard/sign_in?wrong", {})
    assert "was used before" in stranger.get(again.location).text


def test_a_link_is_given_to_users_of_the_configuration_and_written_down(browser: Browser) -> None:
    code = records(browser.stage).tokens.give_code("vera", "somebody")
    browser.post("/dashboard/sign_in", {"code": code})
    assert "vera · viewer" in browser.get("/dashboard").text
    (given, *_), _ = records(browser.stage).versions.history(2)
    assert [(given.by, change.path, change.now) for change in given.changes] == [
        ("somebody", "users[vera] sign-in link", "given")
    ]
    with pytest.raises(Refused, match="There is no user mallory in the live configuration"):
        records(browser.stage).tokens.give_code("mallory", "somebody")


def test_a_link_that_is_over_signs_nobody_in(browser: Browser) -> None:
    records(browser.stage).tokens.keep_code(CODE, "olga")
    browser.stage.clock.forward(CODE_SECONDS)
    assert browser.post("/dashboard/sign_in", {"code": CODE}).location == "/dashboard/sign_in?wrong"


def test_a_strangers_page_cannot_sign_a_visitor_in_as_somebody_else(browser: Browser) -> None:
    records(browser.stage).tokens.keep_code(CODE, "olga")
    for site in ("cross-site", "same-site"):
        sent = browser.post("/dashboard/sign_in", {"code": CODE}, headers={"sec-fetch-site": site})
        assert (sent.code, browser.cookies) == (403, {})
    assert browser.post("/dashboard/sign_in", {"code": CODE}, headers={"sec-fetch-site": "same-origin"}).code == 303


def test_a_link_works_where_there_is_a_cognito_too(deployed: Browser) -> None:
    records(deployed.stage).tokens.keep_code(CODE, "olga")
    assert CODE in deployed.get(f"/dashboard/sign_in?code={quote(CODE)}").text
    assert deployed.post("/dashboard/sign_in", {"code": CODE}).location == "/dashboard"
    wrong = deployed.post("/dashboard/sign_in", {"code": CODE})
    assert 'href="/dashboard/sign_in"' in deployed.get(wrong.location).text


# At Cognito


def test_who_comes_back_from_cognito_is_signed_in_where_it_wanted_to_go(deployed: Browser, fake: FakeCognito) -> None:
    away = deployed.get("/dashboard?endpoint=my_endpoint&day=2026-11-25")
    assert away.code == 303
    assert dict(parse_qsl(urlsplit(away.location).query)) == {"to": "/dashboard?endpoint=my_endpoint&day=2026-11-25"}
    began = deployed.get(away.location)
    assert f"redirect_uri=https%3A%2F%2F{HOST}%2Fdashboard%2Fsigned_in&" in began.location
    back = deployed.get(way_back(fake, began))
    assert (back.code, back.location) == (303, "/dashboard?endpoint=my_endpoint&day=2026-11-25")
    assert list(deployed.cookies) == [edge.COOKIE, edge.RENEWAL]
    assert "olga · operator" in deployed.get("/dashboard").text


@pytest.mark.parametrize(
    "to",
    [
        "https://evil.example", "//evil.example", "/\\evil.example", "/dashboard.evil.example",
        "/dashboard@evil.example", "/api/v1/users", "javascript:alert(1)", "/dashboard/log\r\nX-Header: 1",
        "/dashboard/log\n", "/dashboard\\evil", "",
    ],
)  # fmt: skip
def test_nobody_is_led_out_of_the_dashboard(deployed: Browser, fake: FakeCognito, to: str) -> None:
    assert came_back(deployed, fake, to).location == "/dashboard"


def test_the_state_must_be_that_of_this_browser(deployed: Browser, fake: FakeCognito) -> None:
    mine, theirs = deployed, Browser(deployed.stage, deployed.cognito)
    to_them = way_back(fake, theirs.get("/dashboard/sign_in"))
    mine.get("/dashboard/sign_in")
    refused(mine, mine.get(to_them), "This is not the way back from a sign-in that was begun in this browser.")
    refused(mine, mine.get(re.sub("state=[^&]*", "state=", to_them)), "This is not the way back")
    mine.cookies.clear()
    refused(mine, mine.get(to_them), "This sign-in was not begun in this browser, or too long ago.")
    mine.cookies[edge.UNDER_WAY] = "forged"
    refused(mine, mine.get(to_them), "This sign-in was not begun in this browser, or too long ago.")


def test_a_sign_in_that_takes_too_long_is_over(
    deployed: Browser, fake: FakeCognito, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr("itsdangerous.timed.time.time", lambda: 1_000_000_000)
        began = deployed.get("/dashboard/sign_in")
    refused(deployed, deployed.get(way_back(fake, began)), "too long ago")


def test_a_code_is_good_once(deployed: Browser, fake: FakeCognito) -> None:
    back = way_back(fake, deployed.get("/dashboard/sign_in"))
    kept = dict(deployed.cookies)
    assert deployed.get(back).location == "/dashboard"
    again = Browser(deployed.stage, deployed.cognito, kept)
    refused(again, again.get(back), "The code of this sign-in was used before, or is over.")


def test_a_code_is_worth_nothing_without_what_the_browser_kept(deployed: Browser, fake: FakeCognito) -> None:
    stolen = way_back(fake, deployed.get("/dashboard/sign_in"))
    thief = Browser(deployed.stage, deployed.cognito)
    own = way_back(fake, thief.get("/dashboard/sign_in"))
    code = dict(parse_qsl(urlsplit(stolen).query))["code"]
    refused(thief, thief.get(re.sub("code=[^&]*", f"code={code}", own)), "The code of this sign-in was used before")


def test_what_was_not_completed_is_said(deployed: Browser) -> None:
    began = deployed.get("/dashboard/sign_in")
    state = dict(parse_qsl(urlsplit(began.location).query))["state"]
    back = f"/dashboard/signed_in?error=access_denied&error_description=%3Cscript%3E&state={state}"
    refused(deployed, deployed.get(back), "The sign-in was not completed.")


def refused(browser: Browser, answer: Answer, sentence: str) -> None:
    assert (answer.code, edge.COOKIE in browser.cookies) == (403, False)
    assert sentence in answer.text
    assert 'href="/dashboard/sign_in"' in answer.text


def otherwise(**changes: Any) -> Callable[[Claims, RSAKey], str]:
    """Signs the claims with changes; None takes one away."""

    def sign(claims: Claims, key: RSAKey) -> str:
        return fake_cognito.signed({k: v for k, v in (claims | changes).items() if v is not None}, key)

    return sign


def forged(header: dict[str, str], claims: Claims, signature: Callable[[bytes], bytes]) -> str:
    """By hand: the library does not let itself be used for it."""
    text = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims))
    return f"{text.decode()}.{base64.urlsafe_b64encode(signature(text)).decode().rstrip('=')}"


def unsigned(claims: Claims, key: RSAKey) -> str:
    return forged({"alg": "none", "kid": str(key.kid)}, claims, lambda _: b"")


def signed_with_the_public_key_as_a_secret(claims: Claims, key: RSAKey) -> str:
    secret = key.as_pem(private=False)
    return forged({"alg": "HS256", "kid": str(key.kid)}, claims, lambda text: hmac.digest(secret, text, "sha256"))


@pytest.mark.parametrize(
    "sign",
    [
        otherwise(nonce="another"),
        otherwise(nonce=None),
        otherwise(aud="another client"),
        otherwise(aud=[CLIENT_ID, "another client"]),
        otherwise(aud=None),
        otherwise(iss="https://evil.example/pool"),
        otherwise(exp=0),
        otherwise(exp=None),
        otherwise(iat=None),
        otherwise(token_use="access"),
        otherwise(token_use=None),
        otherwise(**{"cognito:username": None}),
        unsigned,
        signed_with_the_public_key_as_a_secret,
        lambda claims, _: fake_cognito.signed(claims, fake_cognito.a_key()),
        lambda claims, _: fake_cognito.signed(claims, fake_cognito.a_key("of another set")),
        lambda claims, key: fake_cognito.signed(claims, key)[:-8] + "AAAAAAAA",
        lambda *_: "no token",
        lambda *_: None,
        lambda *_: {"a": 1},
    ],
)
def test_a_token_that_is_not_cognitos_for_us_and_now_signs_nobody_in(
    deployed: Browser, fake: FakeCognito, sign: Callable[[Claims, RSAKey], Any]
) -> None:
    fake.sign = sign
    refused(deployed, came_back(deployed, fake), "What Cognito says of this sign-in is not valid.")


def test_the_keys_are_kept_and_asked_for_again_when_a_new_one_signs(deployed: Browser, fake: FakeCognito) -> None:
    before = fake.asked
    for _ in range(2):
        assert came_back(deployed, fake).location == "/dashboard"
    assert fake.asked == before + 1
    fake.key = fake_cognito.a_key("second")
    assert came_back(deployed, fake).location == "/dashboard"
    assert fake.asked == before + 2


def test_a_cognito_that_does_not_answer_is_a_sentence(deployed: Browser, fake: FakeCognito) -> None:
    fake.down = True
    answer = came_back(deployed, fake)
    assert (answer.code, "Cognito does not answer." in answer.text) == (409, True)
    nobody = Cognito("http://127.0.0.1:1", fake.issuer, CLIENT_ID, fake_cognito.SECRET)
    began = deployed.get("/dashboard/sign_in")
    back = way_back(fake, began)
    deployed.cognito = nobody
    assert deployed.get(back).code == 409


def test_who_is_no_user_of_the_configuration_is_told_so(deployed: Browser, fake: FakeCognito) -> None:
    fake.user = "mallory"
    refused(deployed, came_back(deployed, fake), "the configuration has no user of your name")


def test_nothing_comes_back_where_there_is_no_cognito(browser: Browser) -> None:
    assert browser.get("/dashboard/signed_in?code=1&state=2").code == 404


def test_who_signs_out_leaves_cognito_too(deployed: Browser, fake: FakeCognito) -> None:
    deployed.signed_in("olga")
    page = deployed.get("/dashboard")
    assert f"form-action 'self' {fake.url};" in page.headers["Content-Security-Policy"]
    out = deployed.post("/dashboard/sign_out", {"csrf": deployed.csrf()})
    assert dict(parse_qsl(urlsplit(out.location).query)) == {
        "client_id": CLIENT_ID,
        "logout_uri": f"https://{HOST}/dashboard/signed_out",
    }
    assert out.location.startswith(f"{fake.url}/logout?")
    assert deployed.cookies == {}
    assert "You are signed out" in deployed.get("/dashboard/signed_out").text


def test_who_signs_out_locally_is_shown_that_it_did(browser: Browser) -> None:
    browser.signed_in("olga")
    assert browser.post("/dashboard/sign_out", {"csrf": browser.csrf()}).location == "/dashboard/signed_out"
    assert browser.cookies == {}
    assert browser.get("/dashboard").location == "/dashboard/sign_in?to=%2Fdashboard"


# Sessions


def test_the_cookies_are_for_this_host_alone_and_no_script(deployed: Browser, fake: FakeCognito) -> None:
    began = deployed.get("/dashboard/sign_in")
    back = deployed.get(way_back(fake, began))
    attributes = [cookie.split("; ")[1:] for cookie in began.cookies + back.cookies]
    ages = ["Max-Age=600", "Max-Age=43200", "Max-Age=43200", "Max-Age=0"]
    assert attributes == [["Path=/", age, "HttpOnly", "SameSite=Lax", "Secure"] for age in ages]
    assert all(cookie.startswith("__Host-ringpost") for cookie in began.cookies + back.cookies)


def test_without_tls_the_cookie_goes_without_what_needs_it(browser: Browser) -> None:
    browser.scheme = "http"
    records(browser.stage).tokens.keep_code(CODE, "olga")
    [cookie] = browser.post("/dashboard/sign_in", {"code": CODE}).cookies
    assert cookie.startswith("ringpost=")
    assert cookie.endswith("; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax")
    assert browser.get("/dashboard").code == 200


def test_a_forged_or_old_cookie_is_nobodys(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    session = edge.session_cookie(browser.stage.keys, session_of(browser.stage, "olga"))
    with monkeypatch.context() as earlier:
        earlier.setattr("itsdangerous.timed.time.time", lambda: 1_000_000_000)
        old = edge.session_cookie(browser.stage.keys, session_of(browser.stage, "olga"))
    under_way = edge.under_way_cookie(browser.stage.keys, ["olga"])
    for cookie in (old, under_way, f"{session}x", session.replace(session[:4], "AAAA", 1), "olga", "..", "é"):
        browser.cookies[edge.COOKIE] = cookie
        answer = browser.get("/dashboard")
        assert (answer.code, answer.location) == (303, "/dashboard/sign_in?to=%2Fdashboard"), cookie
        assert edge.COOKIE not in browser.cookies


def test_a_session_ends_when_its_user_is_gone(browser: Browser) -> None:
    browser.signed_in("vera")
    assert "vera · viewer" in browser.get("/dashboard").text
    opened(browser.stage, users=[user for user in USERS if user["name"] != "vera"])
    assert browser.get("/dashboard").code == 303


def test_a_new_role_holds_at_once(browser: Browser) -> None:
    browser.signed_in("vera")
    assert 'href="/dashboard/offers"' in browser.get("/dashboard").text
    others = [user for user in USERS if user["name"] != "vera"]
    opened(browser.stage, users=[*others, a_user(name="vera", role="publisher", traffic_sources=["5"])])
    page = browser.get("/dashboard").text
    assert "vera · publisher" in page
    assert 'href="/dashboard/offers"' not in page


def test_signing_out_ends_the_sessions_of_every_browser(browser: Browser, stage: Stage) -> None:
    browser.signed_in("olga")
    another = Browser(stage).signed_in("olga")
    copy = dict(another.cookies)
    vera = Browser(stage).signed_in("vera")
    assert browser.post("/dashboard/sign_out", {"csrf": browser.csrf()}).code == 303
    assert another.get("/dashboard").location == "/dashboard/sign_in?to=%2Fdashboard"
    assert another.cookies == {}
    assert vera.get("/dashboard").code == 200
    assert another.signed_in("olga").get("/dashboard").code == 200
    assert Browser(stage, cookies=copy).get("/dashboard").code == 303


def test_a_sign_out_that_comes_twice_or_late_ends_no_later_session(browser: Browser, stage: Stage) -> None:
    generation = records(stage).tokens.begin_session("olga")
    for _ in range(2):
        records(stage).tokens.end_sessions("olga", generation)
    browser.signed_in("olga")
    records(stage).tokens.end_sessions("olga", generation)
    assert browser.get("/dashboard").code == 200
    assert records(stage).tokens.generation("olga") == generation + 1


def test_a_session_of_who_never_signed_in_is_nobodys(browser: Browser) -> None:
    for generation in (0, 1, 2):
        browser.cookies[edge.COOKIE] = edge.session_cookie(browser.stage.keys, Session("olga", generation))
        assert browser.get("/dashboard").code == 303


def test_who_gets_a_name_does_not_get_the_sessions_of_who_had_it(browser: Browser) -> None:
    browser.signed_in("vera")
    kept = dict(browser.cookies)
    opened(browser.stage, users=[user for user in USERS if user["name"] != "vera"])
    opened(browser.stage)
    assert Browser(browser.stage, cookies=kept).get("/dashboard").code == 303


def test_the_operator_ends_the_sessions_of_a_user_by_command(browser: Browser, command: Command) -> None:
    browser.signed_in("vera")
    assert command("sign-out", "nobody").exit_code == 1
    assert command("sign-out", "vera").output == "Every session of vera is over.\n"
    assert browser.get("/dashboard").code == 303
    [logged], _ = records(browser.stage).versions.history(1)
    assert logged.changes[0].path == "users[vera] sessions"


# What the provider ends


def test_cognito_is_asked_within_the_hour_and_the_form_that_is_open_still_works(
    deployed: Browser, fake: FakeCognito, stage: Stage
) -> None:
    came_back(deployed, fake)
    csrf = deployed.csrf()
    for seconds, renewals in ((visitors.ASKED_AGAIN_SECONDS - 1, 0), (1, 1), (1, 1), (visitors.ASKED_AGAIN_SECONDS, 2)):
        stage.clock.forward(seconds)
        assert deployed.get("/dashboard").code == 200
        assert fake.renewals == renewals
    assert deployed.post("/dashboard/offers", {"csrf": csrf}).code == 422
    assert deployed.post("/dashboard/sign_out", {"csrf": csrf}).code == 303
    assert deployed.cookies == {}


def test_a_session_that_cognito_has_ended_is_over_within_the_hour(
    deployed: Browser, fake: FakeCognito, stage: Stage
) -> None:
    came_back(deployed, fake)
    kept = dict(deployed.cookies)
    fake.ended = {"olga"}
    stage.clock.forward(visitors.ASKED_AGAIN_SECONDS)
    assert deployed.get("/dashboard").location == "/dashboard/sign_in?to=%2Fdashboard"
    assert deployed.cookies == {}
    for cookies in (kept, {edge.COOKIE: kept[edge.COOKIE]}):
        copy = Browser(stage, deployed.cognito, dict(cookies))
        assert copy.get("/dashboard").code == 303


def test_while_cognito_does_not_answer_a_session_stands_for_its_hour_and_no_longer(
    deployed: Browser, fake: FakeCognito, stage: Stage
) -> None:
    came_back(deployed, fake)
    fake.down = True
    stage.clock.forward(visitors.CHECKED_SECONDS - 1)
    assert deployed.get("/dashboard").code == 200
    stage.clock.forward(1)
    answer = deployed.get("/dashboard")
    assert (answer.code, "Cognito does not answer." in answer.text) == (409, True)
    fake.down = False
    assert deployed.get("/dashboard").code == 200


def test_the_renewal_of_another_user_or_of_nobody_renews_nothing(
    deployed: Browser, fake: FakeCognito, stage: Stage
) -> None:
    came_back(deployed, fake)
    olga = dict(deployed.cookies)
    fake.user = "vera"
    vera = Browser(stage, deployed.cognito)
    came_back(vera, fake)
    theirs = edge.renewal_cookie(
        stage.keys, edge.Renewal("olga", stage.clock() - 3600, next(reversed(fake.refresh_tokens)))
    )
    under_way = edge.under_way_cookie(stage.keys, ["olga", "0", "x"])
    for wrong in (vera.cookies[edge.RENEWAL], theirs, under_way, olga[edge.COOKIE], "forged", ""):
        mixed = Browser(stage, deployed.cognito, olga | {edge.RENEWAL: wrong})
        assert mixed.get("/dashboard").code == 303, wrong


def test_a_session_by_a_printed_link_asks_no_provider(deployed: Browser, fake: FakeCognito, stage: Stage) -> None:
    records(stage).tokens.keep_code(CODE, "olga")
    deployed.post("/dashboard/sign_in", {"code": CODE})
    stage.clock.forward(visitors.CHECKED_SECONDS)
    assert deployed.get("/dashboard").code == 200
    assert fake.renewals == 0


# Every view

ROLES = {"operator": "olga", "viewer": "vera", "publisher": "bolt"}


def path_of(view: View[VisitedOffice]) -> str:
    return edge.ROOT + re.sub(r"\{\w+\}", "1", view.path)


PRIVATE = pytest.mark.parametrize(
    "view", [view for view in VIEWS if view.roles], ids=lambda view: f"{view.method} {view.path}"
)


@PRIVATE
def test_no_view_is_shown_to_who_has_not_signed_in(browser: Browser, view: View[VisitedOffice]) -> None:
    answer = browser.send(view.method, path_of(view), form={})
    wanted = path_of(view) if view.method == "GET" else edge.ROOT
    assert (answer.code, answer.location) == (303, f"/dashboard/sign_in?to={quote(wanted, safe='')}")
    assert answer.headers["Cache-Control"] == "no-store"


@PRIVATE
def test_a_view_is_for_its_roles_alone(browser: Browser, view: View[VisitedOffice]) -> None:
    for role, user in ROLES.items():
        if role not in view.roles:
            browser.signed_in(user)
            answer = browser.send(view.method, path_of(view), form={"csrf": browser.csrf()})
            assert answer.code == 403, role
            assert f"you are {role}." in answer.text


@pytest.mark.parametrize(
    "view",
    [view for view in VIEWS if view.roles and view.method != "GET"],
    ids=lambda view: f"{view.method} {view.path}",
)
def test_what_changes_something_needs_a_form_of_this_very_session(
    browser: Browser, view: View[VisitedOffice], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr("itsdangerous.timed.time.time", lambda: 4_000_000_000)
        of_another_session = Browser(browser.stage).signed_in("olga").csrf()
    of_somebody_else = Browser(browser.stage).signed_in("vera").csrf()
    browser.signed_in("olga")
    before = records(browser.stage).versions.current().version
    for form in ({}, {"csrf": ""}, {"csrf": of_somebody_else}, {"csrf": of_another_session}, {"csrf": "é"}):
        answer = browser.post(path_of(view), form)
        assert (answer.code, "This form is not from your visit" in answer.text) == (403, True), form
    assert records(browser.stage).versions.current().version == before
    assert view.method == "POST"


# How often


def test_attempts_to_sign_in_are_counted_by_source_address(deployed: Browser) -> None:
    for place in range(visitors.SIGN_INS_A_MINUTE):
        if place % 2:
            assert deployed.get("/dashboard/sign_in").code == 303
        else:
            assert deployed.post("/dashboard/sign_in", {"code": "guessed"}).code == 303
    for refused in (
        deployed.get("/dashboard/sign_in"),
        deployed.get("/dashboard/signed_in?code=1"),
        deployed.post("/dashboard/sign_in", {"code": "guessed"}),
    ):
        assert (refused.code, refused.headers["Retry-After"]) == (429, "60")
        assert "There were too many requests in this minute." in refused.text
    assert deployed.get("/dashboard/sign_in", source_address="192.0.2.2").code == 303
    deployed.stage.clock.forward(60)
    assert deployed.get("/dashboard/sign_in").code == 303


def test_visits_are_counted_by_user(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitors, "VISITS_A_MINUTE", 2)
    browser.signed_in("olga")
    assert [browser.get("/dashboard").code for _ in range(3)] == [200, 200, 429]
    assert browser.signed_in("vera").get("/dashboard").code == 200


# What is written down


def test_neither_codes_nor_tokens_nor_names_of_strangers_are_logged(
    deployed: Browser, fake: FakeCognito, log: io.StringIO
) -> None:
    fake.user = "mallory"
    back = way_back(fake, deployed.get("/dashboard/sign_in"))
    deployed.get(back)
    deployed.post("/dashboard/sign_in", {"code": "guessed"})
    written = log.getvalue()
    assert written.count('"function":"dashboard"') == 3
    secrets = dict(parse_qsl(urlsplit(back).query))
    assert not [text for text in ("mallory", "guessed", "192.0.2", *secrets.values()) if text in written]


def test_no_answer_is_kept_by_anybody(browser: Browser) -> None:
    browser.signed_in("olga")
    for path in ("/dashboard", "/dashboard/sign_in", "/dashboard/nothing", "/dashboard/signed_out"):
        assert browser.get(path).headers["Cache-Control"] == "no-store"
