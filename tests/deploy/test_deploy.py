"""The stack as it is deployed, from an empty account to a sale, an update and the end; in an emulator of AWS.

The emulator takes nonsense for a template: what must be in it is tested in tests/infra.
"""

import copy
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, cycle
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import yaml
from httpx import Response

from shared.runtime import SILENT_SECONDS
from shared.store.pings import CLAIM_SECONDS
from tests.configurations import a_buyer, a_document, a_ring_pool, a_user, an_endpoint, an_offer
from tests.deploy.account import WEBHOOKS, Account, Stack, Template, functions
from tools.demo import CONFIGURATION
from tools.engine import ROOT

CALLER = "6145550123"
NUMBERS = 6
CLIENTS = 12


def configure(account: Account, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command behind `make configure`, as an operator whose AWS account this is."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RINGPOST_"))}
    return subprocess.run(
        [sys.executable, "-m", "tools.command", *arguments],
        cwd=ROOT,
        env=ours | account.emulator.environment | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def apply(stack: Stack, file: Path) -> None:
    done = configure(stack.account, "--stage", "dev", "apply", str(file), "--yes")
    assert done.returncode == 0, done.stderr
    assert "is live" in done.stdout


@pytest.fixture
def demo(stack: Stack) -> Stack:
    apply(stack, CONFIGURATION)
    return stack


def a_ping(stack: Stack, caller: str = CALLER) -> str:
    answer = stack.send("ping", caller_id=caller)
    assert answer.status_code == 200, answer.text
    found: str = answer.json()["try_all_buyers_ping_id"]
    return found


def a_sale(stack: Stack, ping_id: str, caller: str = CALLER) -> dict[str, Any]:
    answer = stack.send("post", caller_id=caller, ping_id=ping_id)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["success"], answer.text
    return found


def test_from_an_empty_account_to_a_sale(demo: Stack) -> None:
    ping = demo.send("ping", caller_id=CALLER).json()
    assert [(buyer["name"], buyer["bid"]) for buyer in ping["buyers"]] == [("Buyer A", 25.0), ("Buyer B", 20.0)]

    sent = {"caller_id": CALLER, "ping_id": ping["buyers"][0]["ping_id"]}
    post = demo.send("post", **sent)
    sale = post.json()
    assert (sale["success"], sale["buyer_name"]) == (True, "Buyer A")
    assert "18005550100" <= sale["trackdrive_number"] <= "18005550149"
    assert demo.send("post", **sent).content == post.content

    full = demo.send("full", caller_id="6145550124").json()
    assert full["success"]
    assert full["trackdrive_number"] != sale["trackdrive_number"]

    route = configure(demo.account, "--stage", "dev", "route", f"+{sale['trackdrive_number']}", CALLER)
    assert "Buyer A" in route.stdout, route.stderr


def test_static_numbers_and_tokens_work_as_deployed(demo: Stack) -> None:
    lead = {"caller_id": CALLER, "traffic_source_id": "1023", "trackdrive_number": "+18005550170"}
    ping_id = demo.send("ping", "static_endpoint", **lead).json()["try_all_buyers_ping_id"]
    sale = demo.send("post", "static_endpoint", ping_id=ping_id, **lead).json()
    assert (sale["buyer_name"], sale["trackdrive_number"]) == ("Buyer A", "18005550170")

    assert demo.send("ping", "secure_endpoint", caller_id=CALLER).status_code == 401
    issued = configure(demo.account, "--stage", "dev", "tokens", "issue", "demo-publisher")
    sent = {"caller_id": CALLER, "traffic_source_id": "1023", "auth_token": issued.stdout.split()[-1]}
    assert demo.send("ping", "secure_endpoint", **sent).json()["success"]


def test_an_operator_is_told_why_and_a_listed_caller_is_refused_as_deployed(stack: Stack, tmp_path: Path) -> None:
    apply(stack, with_every_rule_that_asks_the_store(tmp_path / "rules.yaml"))
    issued = configure(stack.account, "--stage", "dev", "tokens", "issue", "demo-operator")
    sent = {"age": "41", "explain": "1", "auth_token": issued.stdout.split()[-1]}
    explained = stack.send("ping", "rules_endpoint", **sent).json()["explain"]
    assert [failure["rule"] for failure in explained] == ["paused", "schedule", "filter", "cap"]

    assert stack.send("full", "ruled", caller_id="6145550124").json()["success"]
    assert stack.send("ping", "ruled", caller_id="6145550124").json()["status"] == "duplicate_caller"
    numbers = tmp_path / "numbers.csv"
    numbers.write_text("614-555-0125\n212*\n")
    added = configure(stack.account, "--stage", "dev", "suppression", "add", "do-not-call", str(numbers))
    assert added.returncode == 0, added.stderr
    for caller in ("6145550125", "2125550123"):
        assert stack.send("ping", "ruled", caller_id=caller).json()["status"] == "caller_number_suppressed"


def test_the_hourly_function_and_erasing_work_as_deployed(demo: Stack) -> None:
    a_sale(demo, a_ping(demo))
    [name] = [name for key, name in demo.resources("AWS::Lambda::Function").items() if "Hourly" in key]
    ran = demo.account.emulator.client("lambda").invoke(FunctionName=name)
    said = json.loads(ran["Payload"].read())
    assert "FunctionError" not in ran, said
    assert said == {"repaired": 0, "left": 0, "why": "", "freed": 0, "given": 0}
    erased = configure(demo.account, "--stage", "dev", "erase", CALLER, "--yes")
    assert erased.stdout.splitlines()[-1:] == ["Erased: the leads of 1 ping, 1 of them sold."], erased.stderr


def test_a_stage_that_cannot_be_configured_is_one_sentence(demo: Stack) -> None:
    absent = configure(demo.account, "--stage", "prod", "history")
    assert (absent.returncode, absent.stderr) == (1, "There is no stack ringpost-prod in this account and region.\n")
    stranger = configure(demo.account, "--stage", "dev", "history", AWS_ACCESS_KEY_ID="somebody")
    assert stranger.returncode == 1
    assert stranger.stderr.startswith("AWS did not say what is in the stack ringpost-dev: ")
    assert stranger.stderr.count("\n") == 1


def test_what_nobody_serves_is_answered_by_us(demo: Stack) -> None:
    for path in ("/nothing/my_endpoint", "/ping/unknown"):
        answer = demo.api.get(path)
        assert (answer.status_code, answer.json()["success"]) == (404, False)


def test_a_crowd_on_a_small_pool_gets_each_number_once(stack: Stack, tmp_path: Path) -> None:
    small = tmp_path / "small.yaml"
    small.write_text(yaml.safe_dump(a_document(ring_pools=[a_ring_pool(numbers=["+18005550100-+18005550105"])])))
    apply(stack, small)
    callers = [f"61455501{place:02}" for place in range(CLIENTS)]
    pings = [a_ping(stack, caller) for caller in callers]

    def post(sent: tuple[str, str]) -> dict[str, Any]:
        caller, ping_id = sent
        found: dict[str, Any] = stack.send("post", caller_id=caller, ping_id=ping_id).json()
        return found

    with ThreadPoolExecutor(CLIENTS) as clients:
        # Every client starts a process. Afterwards all of them run, and what follows is a race.
        warm = list(clients.map(post, [(caller, "pg_unknown") for caller in callers]))
        assert not any(answer["success"] for answer in warm)
        first = list(clients.map(post, zip(callers, pings, strict=True)))
        again = list(clients.map(post, zip(callers, pings, strict=True)))
    sold = [answer["trackdrive_number"] for answer in first if answer["success"]]
    assert sorted(sold) == [f"18005550{number}" for number in range(100, 100 + NUMBERS)]
    refused = [answer["status"] for answer in first if not answer["success"]]
    assert refused == ["no_number_available"] * (CLIENTS - NUMBERS)
    assert [answer for answer in again if answer["success"]] == [answer for answer in first if answer["success"]]


def test_an_update_keeps_numbers_sales_and_tokens(demo: Stack, templates: dict[str, Template]) -> None:
    ping_id = a_ping(demo)
    sale = a_sale(demo, ping_id)
    before = (demo.resources("AWS::DynamoDB::Table"), demo.resources("AWS::SecretsManager::Secret"))

    changed = anew(templates["dev"])
    changed["Description"] = "Another one"
    changed["Parameters"]["Memory"] = {"Type": "Number", "Default": 1024}
    for properties in functions(changed):
        properties["MemorySize"] = {"Ref": "Memory"}
    demo.account.update(demo, changed)

    aws = demo.account.emulator.client("lambda")
    for name in demo.resources("AWS::Lambda::Function").values():
        [alias] = aws.list_aliases(FunctionName=name)["Aliases"]
        served = aws.get_function_configuration(FunctionName=name, Qualifier=alias["FunctionVersion"])
        assert (alias["FunctionVersion"], served["MemorySize"]) == ("2", 1024)
    assert (demo.resources("AWS::DynamoDB::Table"), demo.resources("AWS::SecretsManager::Secret")) == before
    assert a_sale(demo, ping_id) == sale
    assert a_sale(demo, a_ping(demo))["trackdrive_number"] != sale["trackdrive_number"]
    again = configure(demo.account, "--stage", "dev", "apply", str(CONFIGURATION), "--yes")
    assert again.stdout.endswith("Nothing to change.\n")


def anew(template: Template) -> Template:
    """With other names for the versions of its functions: so the CDK has a changed function published."""
    text = json.dumps(template)
    for key, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Lambda::Version":
            text = text.replace(key, f"{key}Anew")
    found: Template = json.loads(text)
    return found


def test_of_a_destroyed_stage_only_the_secret_and_the_files_are_left(demo: Stack) -> None:
    a_sale(demo, a_ping(demo))
    demo.account.delete(demo)
    # A function that still ran has its log made again: the emulator does not ask whether it may.
    assert demo.account.left() - {"log"} == {"bucket", "secret"}


def test_a_destroyed_stage_with_protection_leaves_its_tables_and_logs_too(
    account: Account, templates: dict[str, Template]
) -> None:
    with account.create("ringpost-prod", templates["prod"]) as stack:
        account.delete(stack)
    assert account.left() == {"bucket", "log", "secret", "table", "user pool"}


@pytest.mark.parametrize(("verb", "on_tables"), [("ping", 7), ("post", 10), ("full", 10)])
def test_a_function_with_one_grant_less_fails(stack: Stack, tmp_path: Path, verb: str, on_tables: int) -> None:
    apply(stack, with_every_rule_that_asks_the_store(tmp_path / "rules.yaml", CAPPED))
    places = (f"{place:04}" for place in count())
    role = Role(stack, verb)
    cold = [grant for grant in role.grants() if grant.action.startswith("secretsmanager:")]
    warm = [grant for grant in role.grants() if grant.action.startswith("dynamodb:")]
    assert (len(cold), len(warm)) == (2, on_tables)
    [of_buyers] = [grant for grant in cold if "BuyerSecrets" in grant.resource]
    [ours] = {*cold} - {of_buyers}
    with role.without(ours):  # which is read once, at start
        assert stack.send(verb).status_code >= 500
    with role.without(of_buyers):
        assert why_the_live_buyer_does_not_bid(stack, verb) == "the store of secrets does not answer"
    dead = {} if verb == "ping" else sales_that_die(stack, role, verb, on_tables + 2)
    time.sleep(max(SILENT_SECONDS, CLAIM_SECONDS))
    assert why_the_live_buyer_does_not_bid(stack, verb) == "the secret sandbox_buyer is not set"

    def used() -> list[int]:
        place = next(places)
        return [answer.status_code for answer in every_use(stack, verb, place, dead.get(place, {}))]

    assert all(code < 500 for code in used())
    for grant in warm:
        with role.without(grant):
            assert 500 in used(), grant  # not a 503: a table that does not answer in time proves nothing
    assert all(code < 500 for code in used())


def sales_that_die(stack: Stack, role: "Role", verb: str, places: int) -> dict[str, dict[str, str]]:
    """What was sent of sales that end after the claim, by place. Sent again, it makes somebody take them over."""
    [counting] = [grant for grant in role.grants() if "UpdateItem" in grant.action and "TablesLeases" in grant.resource]
    dead = {}
    with role.without(counting):
        for place in (f"{place:04}" for place in range(places)):
            sent = {"caller_id": f"614555{place}"}
            if verb == "post":
                sent |= {"ping_id": stack.send("ping", "sharing", **sent).json()["try_all_buyers_ping_id"]}
            assert stack.send(verb, "sharing", **sent).status_code == 500
            dead[place] = sent
    return dead


FRESH = 40
"""Endpoints that are each used once: a sandbox makes its ring when it is met for the first time."""


def test_the_sandbox_and_the_instructions_with_one_grant_less_fail(stack: Stack, tmp_path: Path) -> None:
    apply(stack, with_many_endpoints(tmp_path / "many.yaml"))
    numbers = count()
    for function, use, grants in (("sandbox", of_the_sandbox, 9), ("instructions", of_the_instructions, 4)):
        role = Role(stack, function)
        warm = [grant for grant in role.grants() if grant.action.startswith("dynamodb:")]
        assert len(warm) == grants
        assert all(answer.status_code < 500 for answer in use(stack, next(numbers)))
        for grant in warm:
            with role.without(grant):
                assert any(answer.status_code == 500 for answer in use(stack, next(numbers))), grant
        assert all(answer.status_code < 500 for answer in use(stack, next(numbers)))


def with_many_endpoints(file: Path) -> Path:
    """The demo, one with limits and one where nobody buys among them, and `FRESH` more of one offer."""
    document = yaml.safe_load(with_every_rule_that_asks_the_store(file).read_text())
    document["endpoints"] += [
        an_endpoint(vanity_uri=f"fresh{number}", offer="nobody", ring_pool="demo") for number in range(FRESH)
    ]
    file.write_text(yaml.safe_dump(document))
    return file


def of_the_sandbox(stack: Stack, number: int) -> list[Response]:
    """The answers to requests that need everything that the sandbox may do."""

    def send(verb: str, endpoint: str, **params: str) -> Response:
        return stack.site.post(f"/sandbox{WEBHOOKS}/{verb}/{endpoint}", data=params)

    caller = f"614556{number:04}"
    priced = send("ping", "ruled", caller_id=caller)
    return [
        priced,
        send("post", "ruled", caller_id=caller, ping_id=priced.json().get("try_all_buyers_ping_id", "")),
        send("full", f"fresh{number}", caller_id=caller),
        send("ping", "secure_endpoint", auth_token=f"nobody's {number}"),
    ]


def of_the_instructions(stack: Stack, number: int) -> list[Response]:
    url = f"{stack.outputs['Url']}{WEBHOOKS}/post/my_endpoint?ping_id={a_ping(stack)}"
    of_sandbox = f"{stack.outputs['Url']}/sandbox{WEBHOOKS}/post/my_endpoint?ping_id={sandboxed(stack, 'ping')}"
    pages = "/posting_instructions"
    return [
        stack.site.get(f"{pages}/fresh{number}"),
        stack.site.post(f"{pages}/my_endpoint", data={"request": f"{url}&auth_token=nobodys{number}"}),
        stack.site.post(f"{pages}/my_endpoint", data={"request": url}),
        stack.site.post(f"{pages}/my_endpoint", data={"request": of_sandbox}),
    ]


def sandboxed(stack: Stack, verb: str, caller: str = CALLER) -> str:
    """The try-all id of a ping to the sandbox."""
    answer = stack.site.post(f"/sandbox{WEBHOOKS}/{verb}/my_endpoint", data={"caller_id": caller})
    assert answer.json()["success"], answer.text
    found: str = answer.json()["try_all_buyers_ping_id"]
    return found


def test_the_page_of_instructions_as_deployed(demo: Stack) -> None:
    page = demo.site.get("/posting_instructions/my_endpoint")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert f"{WEBHOOKS}/ping/my_endpoint" in page.text
    again = demo.site.get("/posting_instructions/my_endpoint", headers={"If-None-Match": page.headers["etag"]})
    assert again.status_code == 304


def test_the_operators_api_with_one_grant_less_fails(stack: Stack, tmp_path: Path) -> None:
    rules = with_every_rule_that_asks_the_store(tmp_path / "rules.yaml")
    rules.write_text(yaml.safe_dump(with_short_leases(yaml.safe_load(rules.read_text()))))
    apply(stack, rules)
    token = configure(stack.account, "--stage", "dev", "tokens", "issue", "demo-operator").stdout.split()[-1]
    places = (f"{place:04}" for place in count())
    role = Role(stack, "api")
    cold = [grant for grant in role.grants() if grant.action.startswith("secretsmanager:")]
    warm = [grant for grant in role.grants() if is_needed_at_once(grant)]
    assert (len(cold), len(warm)) == (1, 23)
    with role.without(cold[0]):
        assert operated(stack, token, "GET", "/users").status_code >= 500
    assert [answer.status_code for answer in every_edit(stack, token, next(places)) if answer.status_code >= 400] == []
    for grant in warm:
        with role.without(grant):  # no edit after the first that fails: a lock that cannot be given back stays
            assert any(answer.status_code == 500 for answer in every_edit(stack, token, next(places))), grant
    assert all(answer.status_code < 400 for answer in every_edit(stack, token, next(places)))


def is_needed_at_once(grant: "Grant") -> bool:
    """On a table; but calls are needed for erasing alone, and only once the journal has rows of them."""
    return grant.action.startswith("dynamodb:") and "TablesCalls" not in grant.resource


def with_short_leases(document: dict[str, Any]) -> dict[str, Any]:
    """For many sales, each of which takes a number and one of the sandbox's 36."""
    for pool in document["ring_pools"]:
        pool |= {"hold_seconds": 15, "cooldown_seconds": 0}
    for endpoint in document["endpoints"]:
        endpoint["ping_ttl_seconds"] = 15
    return document


def operated(
    stack: Stack, token: str, method: str, path: str, content: dict[str, Any] | None = None, version: str = ""
) -> Response:
    headers = {"Authorization": f"Token {token}", "If-Match": version}
    return stack.site.request(method, f"/api/v1{path}", json=content, headers=headers)


def every_edit(stack: Stack, token: str, place: str) -> Iterator[Response]:
    """The answers to requests that need everything that the function may do. `place` is new in every one of them."""
    issued = operated(stack, token, "POST", "/users/demo-publisher/tokens")
    yield issued
    yield operated(stack, token, "GET", "/users/demo-publisher/tokens")
    yield operated(stack, token, "DELETE", f"/users/demo-publisher/tokens/{issued.json().get('id')}")
    entries = {"entries": [f"614555{place}"]}
    for verb in ("add", "remove"):
        yield operated(stack, token, "POST", f"/suppression_lists/do-not-call/{verb}", entries)
    yield operated(stack, token, "POST", "/suppression_lists/lookup", {"number": f"614555{place}"})
    pool = a_ring_pool(name=f"pool-{place}", numbers=[f"+1877555{place}"])
    made = operated(stack, token, "POST", "/ring_pools", pool)
    yield made
    longer = {"hold_seconds": 900}
    changed = operated(stack, token, "PATCH", f"/ring_pools/{pool['name']}", longer, made.json().get("version", ""))
    yield changed
    gone = changed.json().get("version", "")
    yield operated(stack, token, "DELETE", f"/ring_pools/{pool['name']}", version=gone)
    caller = {"number": f"614555{place}"}
    sale = stack.send("full", "static_endpoint", caller_id=caller["number"], trackdrive_number="8005550170").json()
    sandboxed(stack, "full", caller["number"])
    for path in ("/pings", "/sales?buyer=1", f"/pings/{sale.get('try_all_buyers_ping_id')}", "/reports"):
        yield operated(stack, token, "GET", path)
    for verb in ("lookup", "erase"):
        yield operated(stack, token, "POST", f"/callers/{verb}", caller)


def a_link(stack: Stack, name: str = "demo-operator") -> str:
    """Where an operator signs in, once."""
    printed = configure(stack.account, "--stage", "dev", "sign-in", name)
    assert printed.stdout.startswith(f"{stack.outputs['DashboardUrl']}/sign_in?code="), printed.stderr
    return printed.stdout.strip()


def a_visitor(stack: Stack, link: str) -> tuple[Response, dict[str, str]]:
    """The answer to a visitor who follows a printed link, and the headers that its browser sends from then on. The
    emulator has no TLS, so that a browser would not send the cookie by itself."""
    answer = stack.site.post("/dashboard/sign_in", data={"code": link.partition("=")[2]})
    cookie = answer.headers.get("set-cookie", "").partition(";")[0]
    return answer, {"Cookie": cookie}


def test_a_printed_link_signs_in_to_the_dashboard_as_deployed(demo: Stack) -> None:
    link = a_link(demo)
    assert "</form>" in demo.site.get(f"/dashboard/sign_in?{link.partition('?')[2]}").text
    answer, visitor = a_visitor(demo, link)
    assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard")
    assert answer.headers["set-cookie"].endswith("; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax; Secure")
    page = demo.site.get("/dashboard", headers=visitor)
    assert "demo-operator · operator" in page.text
    assert page.headers["cache-control"] == "no-store"
    assert demo.site.get("/dashboard/nothing", headers=visitor).status_code == 404
    [csrf] = set(re.findall(r'name="csrf" value="(\w+)"', page.text))
    out = demo.site.post("/dashboard/sign_out", data={"csrf": csrf}, headers=visitor)
    assert (out.status_code, urlsplit(out.headers["location"]).path) == (303, "/logout")
    again, _ = a_visitor(demo, link)
    assert again.headers["location"] == "/dashboard/sign_in?wrong"


def test_the_managed_login_knows_the_dashboard_as_deployed(demo: Stack) -> None:
    away = demo.site.get("/dashboard")
    assert away.headers["location"] == "/dashboard/sign_in?to=%2Fdashboard"
    login = urlsplit(demo.site.get(away.headers["location"]).headers["location"])
    assert re.fullmatch(r"ringpost-dev-\w+\.auth\.us-east-1\.amazoncognito\.com", login.netloc)
    # The emulator has the pages of every managed login at its own address, and tells functions theirs without its port.
    # It refuses a client, and a way back, that the user pool does not know.
    wanted = dict(parse_qsl(login.query))
    back = urlsplit(wanted.pop("redirect_uri"))
    assert (back.hostname, back.path) == (urlsplit(demo.outputs["Url"]).hostname, "/dashboard/signed_in")
    url = f"{demo.account.emulator.url}{login.path}"
    with httpx.Client(params=wanted, trust_env=False) as browser:
        page = browser.get(url, params={"redirect_uri": f"{demo.outputs['Url']}{back.path}"})
        assert (page.status_code, 'name="password"' in page.text) == (200, True), page.text
        assert browser.get(url, params={"redirect_uri": f"{demo.outputs['Url']}/elsewhere"}).status_code == 400


def test_the_dashboard_with_one_grant_less_fails(stack: Stack, tmp_path: Path) -> None:
    rules = with_every_rule_that_asks_the_store(tmp_path / "rules.yaml")
    document = with_short_leases(yaml.safe_load(rules.read_text()))
    operators = [f"operator-{place}" for place in range(OPERATORS)]
    document["users"] += [a_user(name=name, role="operator") for name in operators]
    rules.write_text(yaml.safe_dump(document))
    apply(stack, rules)
    role = Role(stack, "dashboard")
    cold = [grant for grant in role.grants() if grant.action.startswith("secretsmanager:")]
    assert len(cold) == 3
    for secret in (secret for secret in cold if "SessionSecret" not in secret.resource):
        with role.without(secret):  # both are read once, at the first visit
            assert stack.site.get("/dashboard/sign_in").status_code >= 500
    visitors = cycle([a_visitor(stack, a_link(stack, name))[1] for name in operators])
    on_tables = [grant for grant in role.grants() if is_needed_at_once(grant)]
    [removing] = [grant for grant in on_tables if "DeleteItem" in grant.action and "TablesConfig" in grant.resource]
    warm = [grant for grant in on_tables if grant != removing]
    assert len(warm) == 22
    with role.without(removing):  # not while something is applied: a lock that cannot be given back stays
        assert stack.site.post("/dashboard/sign_in", data={"code": "nobody's"}).status_code == 500
    places = count()

    def visited() -> Iterator[int]:
        return (answer.status_code for answer in every_visit(stack, next(visitors), rules, next(places)))

    assert [*visited()] == VISITED
    for grant in warm:
        with role.without(grant):
            assert any(code == 500 for code in visited()), grant
        assert [*visited()] == VISITED, grant


OPERATORS = 4
"""Who take turns: one alone would make more visits than a minute allows."""
VISITED = [200] * 13 + [303]


def every_visit(stack: Stack, visitor: dict[str, str], rules: Path, place: int) -> Iterator[Response]:
    """The answers to visits that need everything that the function may do. `place` is new in every one of them."""
    caller = f"614555{place:04}"
    csrf = {"csrf": ""}

    def look(path: str) -> Response:
        return stack.site.get(f"/dashboard{path}", headers=visitor)

    def send(path: str, **form: str) -> Response:
        return stack.site.post(f"/dashboard{path}", data=csrf | form, headers=visitor)

    ping_id = a_ping(stack, caller)
    a_sale(stack, ping_id, caller)
    sandboxed(stack, "full", caller)
    page = look("")
    yield page
    csrf["csrf"] = re.findall(r'name="csrf" value="(\w+)"', page.text)[0]
    yield look(f"/pings/{ping_id}")
    yield look("/log")
    yield look("/log?buyer=1")
    yield look("/log?as=csv")
    yield send("/log", number=caller)
    yield look("/caps")
    yield look("/reports")
    for where in ("on", "off"):
        yield send("/suppression_lists", name="do-not-call", entries=f"614556{place:04}", where=where)
    yield send("/suppression_lists/lookup", number=f"614556{place:04}")
    yield send("/erasing/confirmed", number=caller)
    document = yaml.safe_load(rules.read_text())
    document["ring_pools"].append(a_ring_pool(name="turns", numbers=[f"+1877555{place:04}"]))
    file = yaml.safe_dump(document)
    compared = send("/configuration/difference", file=file)
    yield compared
    [seen] = re.findall(r'name="seen" value="(\d+)"', compared.text)
    yield send("/configuration", file=file, seen=seen)


def why_the_live_buyer_does_not_bid(stack: Stack, verb: str) -> str:
    issued = configure(stack.account, "--stage", "dev", "tokens", "issue", "demo-operator")
    sent = {"caller_id": CALLER, "zip": "30340", "explain": "1", "auth_token": issued.stdout.split()[-1]}
    [failure] = stack.send(verb, "live_endpoint", **sent).json()["explain"]
    assert failure["rule"] == "no_bid"
    return str(failure["seen"])


CAPPED = 25
"""Endpoints that are each used once: what is counted of a cap is remembered for some seconds."""


def with_every_rule_that_asks_the_store(file: Path, more_caps: int = 0) -> Path:
    """The demo, an endpoint at which nobody buys, one with a cap, duplicates, suppression and limits, one of shared
    numbers, and some more with a cap of their own, in a file; these twice: without calls and with them."""
    document = yaml.load(CONFIGURATION.read_text(), yaml.BaseLoader)
    document["ring_pools"].append(a_ring_pool(name="ruled", numbers=["+18885550100-+18885550199"]))
    ruled = a_buyer(id=19, caps={"sales": {"total": 100_000}})
    capped = [f"capped{place:04}" for place in range(more_caps)]
    document["offers"] += [
        an_offer(name=name, buyers=[a_buyer(id=100 + place, caps={"sales": {"total": 1}})])
        for place, name in enumerate(capped)
    ]
    document["endpoints"] += [an_endpoint(vanity_uri=name, offer=name, ring_pool="ruled") for name in capped]
    called = [f"called{place:04}" for place in range(more_caps)]
    document["offers"] += [
        an_offer(name=name, buyers=[a_buyer(id=200 + place, caps={"sales": {"total": 1}})])
        for place, name in enumerate(called)
    ]
    calls = {"provider": "local"}
    document["endpoints"] += [
        *(an_endpoint(vanity_uri=name, offer=name, ring_pool="ruled", calls=calls) for name in called),
        an_endpoint(
            vanity_uri="sharing",
            tracking="shared",
            offer="sharing",
            ring_pool=None,
            shared_numbers=["+18885550201", "+18885550202"],
            hold_seconds=1800,
            ping_ttl_seconds=1800,
            leases_per_caller=2,
            calls=calls,
        ),
    ]
    document["offers"] += [
        an_offer(name="sharing", buyers=[a_buyer(id=20, caps={"sales": {"total": 100_000}})]),
        an_offer(name="nobody", buyers=[a_buyer(id=18, paused=True)]),
        an_offer(name="ruled", buyers=[ruled], duplicates={"window_hours": 1}, suppression=["do-not-call"]),
    ]
    document["endpoints"] += [
        an_endpoint(vanity_uri="nobody", offer="nobody", ring_pool="demo"),
        an_endpoint(
            vanity_uri="ruled",
            offer="ruled",
            ring_pool="ruled",
            limits={"endpoint": {"pings": 10_000, "posts": 10_000}},
        ),
    ]
    file.write_text(yaml.safe_dump(document))
    return file


def every_use(stack: Stack, verb: str, place: str, dead: dict[str, str]) -> list[Response]:
    """The answers to requests that need everything that the function may do. `place` is new in every one of them, and
    `dead` is what was sent of a sale that is to be taken over."""
    caller = f"614555{place}"

    stack.send("full", "ruled", caller_id=caller)  # which makes the caller a duplicate
    answers = [
        stack.send(verb, f"capped{place}", caller_id=caller),
        stack.send(verb, f"called{place}", caller_id=caller),
        stack.send(verb, "sharing", **(dead or {"caller_id": caller})),
        stack.send(verb, "ruled", caller_id=caller),
        stack.send(verb, f"unknown{place}"),
        stack.send(verb, "secure_endpoint", auth_token=f"nobody's {place}"),
        stack.send(verb, "nobody", caller_id=caller),
    ]
    for _ in range(2):
        ping = {"ping_id": a_ping(stack, caller)} if verb == "post" else {}
        sent = {"caller_id": caller} | ping
        answers.append(stack.api.post(f"/{verb}/my_endpoint", data=sent, headers={"Idempotency-Key": place}))
    return answers


@dataclass(frozen=True)
class Grant:
    policy: str
    statement: int
    action: str
    resource: str


class Role:
    """What one function may do, taken away grant by grant behind CloudFormation's back."""

    def __init__(self, stack: Stack, verb: str) -> None:
        self._iam = stack.account.emulator.client("iam")
        roles = stack.resources("AWS::IAM::Role")
        [self._role] = [name for key, name in roles.items() if key.startswith(f"Functions{verb.title()}Role")]

    def grants(self) -> list[Grant]:
        return [
            Grant(policy, place, action, json.dumps(resource))
            for policy in self._iam.list_role_policies(RoleName=self._role)["PolicyNames"]
            for place, statement in enumerate(self._document(policy)["Statement"])
            for action in _listed(statement["Action"])
            for resource in _listed(statement["Resource"])
        ]

    @contextmanager
    def without(self, grant: Grant) -> Iterator[None]:
        whole = self._document(grant.policy)
        less = copy.deepcopy(whole)
        statement = less["Statement"].pop(grant.statement)
        less["Statement"] += [
            statement | {"Action": action, "Resource": resource}
            for action in _listed(statement["Action"])
            for resource in _listed(statement["Resource"])
            if (action, json.dumps(resource)) != (grant.action, grant.resource)
        ]
        self._put(grant.policy, less)
        yield
        self._put(grant.policy, whole)

    def _document(self, policy: str) -> dict[str, Any]:
        document = self._iam.get_role_policy(RoleName=self._role, PolicyName=policy)["PolicyDocument"]
        found: dict[str, Any] = json.loads(document) if isinstance(document, str) else document
        return found

    def _put(self, policy: str, document: dict[str, Any]) -> None:
        self._iam.put_role_policy(RoleName=self._role, PolicyName=policy, PolicyDocument=json.dumps(document))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
