"""The operators' API over moto: every resource, who may do what, and every way to be told no."""

import json
import time
from typing import Any

import pytest
import yaml
from openapi_spec_validator import validate

from functions.api.operations import OPERATIONS
from shared import configuration
from shared.configuration import Plain
from shared.domain.keys import caller_key
from shared.domain.objections import Objection
from shared.office import rest
from shared.operators import access, configuration_warnings, resources
from shared.store import versions
from shared.store.applying import LOCK_SECONDS
from tests.build import START, Publisher, Stage, an_event
from tests.configurations import a_buyer, a_document, a_provider, a_ring_pool, a_user, an_endpoint, an_offer
from tests.office import USERS, Operator, as_user, opened, records

A_BUYER = a_buyer(id=9, name="Buyer N", bid="31.00", number="+18005550199", offer="auto-insurance")

ANYBODY = "is false: anybody can take numbers of ring pool auto-us"


@pytest.fixture
def olga(stage: Stage) -> Operator:
    opened(stage)
    return as_user(stage, "olga")


def version(operator: Operator, path: str) -> str:
    found: str = operator.get(path)["version"]
    return found


# Resources


def test_what_is_listed_is_what_the_file_says(olga: Operator) -> None:
    assert olga.get("/buyers") == {
        "items": [
            a_buyer(offer="auto-insurance", version=version(olga, "/buyers/1")),
            a_buyer(
                id=2, name="Buyer B", bid="20.00", number="+18005550182", offer="auto-insurance",
                version=version(olga, "/buyers/2"),
            ),
        ],
        "next": None,
        "total": 2,
    }  # fmt: skip
    assert [user["name"] for user in olga.get("/users")["items"]] == ["acme-media", "bolt", "olga", "vera"]
    [offer] = olga.get("/offers")["items"]
    assert "buyers" not in offer
    assert olga.get("/endpoints/my_endpoint")["offer"] == "auto-insurance"
    assert olga.get("/ring_pools/auto-us/")["hold_seconds"] == 300
    assert olga.get("/account").keys() == {"version"}


def test_a_list_is_paged_filtered_and_searched(stage: Stage) -> None:
    buyers = [a_buyer(id=n, name=f"Buyer {n}", paused=n % 2 == 0) for n in (9, 10, 11, 100)]
    other = an_offer(name="legal", buyers=[a_buyer(id=7)])
    opened(stage, offers=[an_offer(buyers=buyers), other])
    olga = as_user(stage, "olga")
    first = olga.get("/buyers", "limit=2")
    assert ([buyer["id"] for buyer in first["items"]], first["next"], first["total"]) == ([7, 9], "9", 5)
    rest = olga.get("/buyers", "limit=3&after=9")
    assert ([buyer["id"] for buyer in rest["items"]], rest["next"]) == ([10, 11, 100], None)

    def ids(query: str) -> list[int]:
        return [buyer["id"] for buyer in olga.get("/buyers", query)["items"]]

    assert ids("paused=true") == [10, 100]
    assert ids("offer=legal") == [7]
    assert ids("paused=false&offer=auto-insurance") == [9, 11]
    assert ids("search=BUYER 1") == [10, 11, 100]
    assert [user["name"] for user in olga.get("/users", "role=viewer")["items"]] == ["vera"]


@pytest.mark.parametrize(
    ("query", "field"),
    [("limit=0", "limit"), ("limit=201", "limit"), ("limit=x", "limit"), ("after=x", "after"), ("role=x", "role")],
)
def test_a_query_of_no_use_is_told(olga: Operator, query: str, field: str) -> None:
    answer = olga.ask("GET", "/buyers", query=query)
    assert (answer.code, list(answer.body["errors"])) == (422, [field])


MADE = [
    ("/users", a_user(name="new"), {"role": "viewer"}),
    ("/ring_pools", a_ring_pool(name="new", numbers=["+18005550120"]), {"cooldown_seconds": 90}),
    ("/providers", a_provider(name="new"), {"previous_token": "{secret.old}"}),
    ("/offers", {"name": "new", "rank_by": "tier"}, {"rank_by": "bid"}),
    ("/endpoints", an_endpoint(vanity_uri="new", require_auth_token=True), {"bid_floor": "5.00"}),
    ("/buyers", A_BUYER, {"bid": "32.50"}),
]


@pytest.mark.parametrize(("path", "content", "change"), MADE, ids=[path for path, *_ in MADE])
def test_a_resource_is_made_read_changed_replaced_and_deleted(
    olga: Operator, stage: Stage, path: str, content: dict[str, Any], change: dict[str, Any]
) -> None:
    before = records(stage).versions.current().parts
    made = olga.ask("POST", path, content)
    assert made.code == 201, made.text
    where = made.headers["Location"].removeprefix("/api/v1")
    read = olga.ask("GET", where)
    assert read.body == made.body
    assert read.headers["ETag"] == made.headers["ETag"] == f'"{made.body["version"]}"'
    assert {**content, "version": made.body["version"]}.items() >= made.body.items()  # but what is default

    changed = olga.ask("PATCH", where, {**change, "version": made.body["version"]})
    assert changed.code == 200, changed.text
    assert olga.get(where) == changed.body
    assert {name: changed.body[name] for name in change} == change
    assert olga.ask("PUT", where, content, version=changed.body["version"]).body == made.body
    assert olga.ask("POST", path, content).body["status"] == "name_taken"

    gone = olga.ask("DELETE", where, version=made.body["version"])
    assert (gone.code, gone.text) == (204, "")
    assert olga.ask("GET", where).code == 404
    assert records(stage).versions.current().parts == before
    assert [entry.by for entry in records(stage).versions.history(4)[0]] == ["olga"] * 4


def test_publishers_are_served_by_what_was_changed(olga: Operator, publisher: Publisher, stage: Stage) -> None:
    olga.ask("PATCH", "/buyers/2", {"bid": "27.00"}, version=version(olga, "/buyers/2"))
    assert [buyer["id"] for buyer in publisher.ping().body["buyers"]] == [2, 1]
    assert olga.ask("POST", "/buyers/2/pause").body["paused"] is True
    stage.clock.forward(60)
    assert [buyer["id"] for buyer in publisher.ping().body["buyers"]] == [1]
    assert "paused" not in olga.ask("POST", "/buyers/2/resume").body
    assert olga.ask("POST", "/buyers/3/pause").code == 404


def test_a_member_is_taken_out_by_null(olga: Operator) -> None:
    sent = {"caps": {"sales": {"day": 5, "hour": 2}}, "zone": "America/New_York"}
    capped = olga.ask("PATCH", "/buyers/1", sent, version=version(olga, "/buyers/1")).body
    less = olga.ask(
        "PATCH", "/buyers/1", {"caps": {"sales": {"day": None}}, "zone": None, "version": capped["version"]}
    )
    assert (less.body["caps"], "zone" in less.body) == ({"sales": {"hour": 2}}, False)


def test_a_buyer_moves_to_another_offer(stage: Stage) -> None:
    opened(stage, offers=[an_offer(), an_offer(name="legal", buyers=[])])
    olga = as_user(stage, "olga")
    moved = olga.ask("PATCH", "/buyers/1", {"offer": "legal"}, version=version(olga, "/buyers/1"))
    assert moved.code == 200, moved.text
    assert [buyer["id"] for buyer in olga.get("/buyers", "offer=legal")["items"]] == [1]
    assert [buyer["id"] for buyer in olga.get("/buyers", "offer=auto-insurance")["items"]] == [2]


def test_the_account_is_replaced(olga: Operator) -> None:
    put = olga.ask("PUT", "/account", {"suppression": ["dnc"]}, version=version(olga, "/account"))
    assert put.body == {"suppression": ["dnc"], "version": put.body["version"]}
    assert olga.get("/account") == put.body
    assert olga.get("/suppression_lists") == {
        "items": [{"name": "dnc", "used_by": ["account"]}], "next": None, "total": 1
    }  # fmt: skip


# Versions


def test_who_saw_an_older_version_is_told_what_is_current(olga: Operator) -> None:
    seen = version(olga, "/buyers/1")
    olga.ask("PATCH", "/buyers/1", {"bid": "26.00"}, version=seen)
    for method, body in (("PATCH", {"bid": "27.00"}), ("PUT", a_buyer(offer="auto-insurance")), ("DELETE", None)):
        late = olga.ask(method, "/buyers/1", body, version=seen)
        assert (late.code, late.body["status"]) == (409, "outdated")
        assert late.body["current"] == olga.get("/buyers/1")
        assert olga.get("/buyers/1")["bid"] == "26.00"


def test_another_buyer_of_the_offer_and_the_offer_itself_are_other_resources(olga: Operator) -> None:
    of_buyer, of_offer = version(olga, "/buyers/1"), version(olga, "/offers/auto-insurance")
    olga.ask("PATCH", "/buyers/2", {"bid": "26.00"}, version=version(olga, "/buyers/2"))
    assert olga.ask("PATCH", "/offers/auto-insurance", {"margin": {"percent": 5}}, version=of_offer).code == 200
    assert olga.ask("PATCH", "/buyers/1", {"bid": "27.00"}, version=of_buyer).code == 200
    assert [buyer["bid"] for buyer in olga.get("/buyers")["items"]] == ["27.00", "26.00"]


def test_without_a_version_nothing_is_changed(olga: Operator) -> None:
    for method, body in (("PATCH", {"bid": "27.00"}), ("PUT", a_buyer(offer="auto-insurance")), ("DELETE", None)):
        answer = olga.ask(method, "/buyers/1", body)
        assert (answer.code, answer.body["status"]) == (428, "version_missing")
    assert olga.ask("DELETE", "/buyers/2", query=f"version={version(olga, '/buyers/2')}").code == 204


def test_who_finds_another_at_it_waits_and_is_told_in_the_end(
    olga: Operator, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    seen = version(olga, "/buyers/1")
    with records(stage).applying._lock("ana"):
        busy = olga.ask("PATCH", "/buyers/1", {"bid": "27.00"}, version=seen)
    assert (busy.code, busy.headers["Retry-After"], len(waits)) == (503, "5", resources.TRIES - 1)
    assert busy.body["message"].startswith("ana has been applying a configuration since 2100-01-01 00:00:00 UTC.")

    with records(stage).applying._lock("ana"):
        monkeypatch.setattr(time, "sleep", lambda _: stage.clock.forward(LOCK_SECONDS))
        assert olga.ask("PATCH", "/buyers/1", {"bid": "27.00"}, version=seen).code == 200


def test_an_edit_that_changes_nothing_is_no_version(olga: Operator, stage: Stage) -> None:
    before = records(stage).versions.current().version
    seen = version(olga, "/buyers/1")
    assert olga.ask("PATCH", "/buyers/1", {"bid": 25}, version=seen).body["version"] == seen
    assert records(stage).versions.current().version == before


# What is wrong


@pytest.mark.parametrize(
    ("path", "content", "errors"),
    [
        (
            "/buyers",
            A_BUYER | {"bid": "x", "schedule": {"zone": "America/New_York", "open": {"mon": ["9-25"]}}, "nmber": 1},
            {"bid", "schedule.open.mon", "nmber"},
        ),
        ("/buyers", {"id": 9, "offer": "auto-insurance"}, {"name", "number"}),
        ("/buyers", A_BUYER | {"max_bid": "1.00"}, {""}),
        ("/buyers", A_BUYER | {"offer": "none"}, {"offer"}),
        ("/buyers", {"name": "x"}, {"offer"}),
        ("/buyers", A_BUYER | {"filters": ["state in [TX]", "age >> 3"]}, {"filters[1]"}),
        ("/buyers", A_BUYER | {"caps": {"by_endpoint": {"none": {"sales": {"day": 1}}}}}, {"caps.by_endpoint.none"}),
        ("/offers", an_offer(name="new"), {"buyers"}),
        ("/offers", {"name": "a b", "contact_fields": [{"name": "zip", "type": "zip"}]},
         {"name", "rank_by", "contact_fields[0].type"}),
        ("/endpoints", an_endpoint(vanity_uri="new", ring_pool="none"), {"ring_pool"}),
        ("/endpoints", an_endpoint(vanity_uri="new", tracking="static"), {"static_numbers.1023"}),
        ("/ring_pools", a_ring_pool(name="new"), {"numbers[0]"}),
        ("/endpoints", an_endpoint(vanity_uri="new", calls={"provider": "none"}), {"calls.provider"}),
        ("/buyers", A_BUYER | {"pays": {"on": "duration"}, "dial": {"press": "one"}}, {"pays", "dial.press"}),
        ("/providers", a_provider(token="12345", kind="plivo"), {"token", "kind"}),
        ("/users", {}, {"name", "role"}),
        ("/users", {"name": ["x"], "role": {}}, {"name", "role"}),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_its_path(
    olga: Operator, path: str, content: dict[str, Any], errors: set[str]
) -> None:
    if path == "/endpoints" and content["tracking"] == "static":
        olga.ask("POST", path, content | {"vanity_uri": "first"})
    answer = olga.ask("POST", path, content)
    assert (answer.code, answer.body["status"], set(answer.body["errors"])) == (422, "not_valid", errors)


def test_unknown_members_are_refused_with_a_hint(olga: Operator) -> None:
    answer = olga.ask("PATCH", "/buyers/1", {"pausd": True}, version=version(olga, "/buyers/1"))
    assert answer.body["errors"] == {"pausd": ["unknown key `pausd`; did you mean `paused`?"]}


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/offers/auto-insurance", "endpoints[my_endpoint].offer"),
        ("/ring_pools/auto-us", "endpoints[my_endpoint].ring_pool"),
    ],
)
def test_what_something_else_needs_is_not_deleted(olga: Operator, path: str, error: str) -> None:
    answer = olga.ask("DELETE", path, version=version(olga, path))
    assert (answer.code, list(answer.body["errors"])) == (422, [error])


def test_a_provider_of_an_endpoint_is_not_deleted_and_what_is_odd_of_it_is_told(olga: Operator) -> None:
    made = olga.ask("POST", "/providers", a_provider(account="0123"))
    assert [each["path"] for each in made.body["warnings"]] == ["account"]
    calls = {"calls": {"provider": "main", "unannounced": "reject"}}
    taken = olga.ask("PATCH", "/endpoints/my_endpoint", calls, version=version(olga, "/endpoints/my_endpoint"))
    assert taken.body["calls"] == calls["calls"]
    answer = olga.ask("DELETE", "/providers/main", version=version(olga, "/providers/main"))
    assert (answer.code, list(answer.body["errors"])) == (422, ["endpoints[my_endpoint].calls.provider"])


def test_a_name_stays_what_it_is(olga: Operator) -> None:
    answer = olga.ask("PATCH", "/users/bolt", {"name": "bolts"}, version=version(olga, "/users/bolt"))
    assert list(answer.body["errors"]) == ["name"]
    answer = olga.ask("PATCH", "/buyers/1", {"id": 5}, version=version(olga, "/buyers/1"))
    assert list(answer.body["errors"]) == ["id"]


def test_a_number_that_is_held_elsewhere_is_told_where_it_was_written(olga: Operator) -> None:
    pool = a_ring_pool(name="new", numbers=["+18005550120"], overflow_number="+18005550121")
    olga.ask("POST", "/ring_pools", pool)
    olga.ask("DELETE", "/ring_pools/new", version=version(olga, "/ring_pools/new"))
    answer = olga.ask("POST", "/ring_pools", pool | {"name": "other"})
    assert list(answer.body["errors"]) == ["overflow_number"]
    assert answer.body["errors"]["overflow_number"][0].startswith("+18005550121 was given up by overflow of new")


@pytest.mark.parametrize(
    "body", [b"", b"x", b"[]", b"\xff", b"[" * 50, b'{"a":' * 50 + b"1" + b"}" * 50, b'{"bid": NaN}', b'{"bid": 1e999}',
             b'{"id": 99999999999999999999}', b'{"name": "\\ud800"}'],
)  # fmt: skip
def test_a_body_that_is_no_json_object_is_told(olga: Operator, body: bytes) -> None:
    answer = olga.ask("POST", "/users", body=body)
    assert (answer.code, answer.body["status"]) == (400, "malformed")


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"name": "a", "role": "viewer", "name": "b"}', "name"),
        (b'{"name": "a", "traffic_sources": [{"x": 1, "x": 1}]}', "x"),
        (b'{"\\ud800": 1, "\\ud800": 2}', "?"),
    ],
)
def test_a_name_that_is_given_twice_is_named(olga: Operator, body: bytes, name: str) -> None:
    answer = olga.ask("POST", "/users", body=body)
    assert (answer.code, answer.body["errors"]) == (422, {name: ["is given twice"]})


def test_a_parameter_that_is_given_twice_is_named(olga: Operator) -> None:
    answer = olga.ask("GET", "/reports", query="by=day&range=today&by=hour")
    assert (answer.code, answer.body["errors"]) == (422, {"by": ["is given twice"]})


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (b"a: [" + b"a," * 2001 + b"]", "it has more than 2000 values"),
        (b"ring_pools: [{numbers: ['+18005550000-+18005559999', '+18005560000']}]", "must have at most 10000 numbers"),
        (b"a: a matches (a{100}){9}\nb: b matches (b{200}){9}", "its regular expressions are too large"),
    ],
)
def test_a_viewer_compares_small_files(stage: Stage, olga: Operator, file: bytes, sentence: str) -> None:
    answer = as_user(stage, "vera").ask("POST", "/configuration/difference", body=file)
    assert answer.code == 422
    assert next(iter(answer.body["errors"].values()))[0].startswith(sentence)
    assert sentence not in olga.ask("POST", "/configuration/difference", body=file).text


def test_what_is_too_large_is_told(olga: Operator) -> None:
    large = {"name": "x" * rest.BODY_BYTES}
    assert (olga.ask("POST", "/users", large).code, olga.ask("GET", "/users", query="search=" + "x" * 9000).code) == (
        413,
        413,
    )
    assert olga.ask("PUT", "/configuration", body=b"#" * (rest.FILE_BYTES + 1), version="1").code == 413


def test_what_is_not_there_is_told(olga: Operator) -> None:
    for path in ("/sellers", "/users/nobody", "/buyers/x", "/ring_pools/none/use", "/ring_pools/none/numbers",
                 "/users/nobody/tokens", "/changes/99", "/changes/x", "/buyers/1/bid"):  # fmt: skip
        answer = olga.ask("GET", path)
        assert (answer.code, answer.body["status"]) == (404, "not_found"), path
    wrong = olga.ask("DELETE", "/buyers")
    assert (wrong.code, wrong.headers["Allow"]) == (405, "GET, POST")
    assert olga.ask("OPTIONS", "/buyers").code == 405


# Who


def test_only_a_token_in_its_header_lets_in_and_every_other_costs_the_same(olga: Operator) -> None:
    for headers in ({}, {"authorization": "Token wrong"}, {"authorization": "Bearer " + olga.token},
                    {"authorization": "Token ü"}):  # fmt: skip
        for query in ("", f"auth_token={olga.token}"):
            answer = olga.send(an_event(method="GET", path="/api/v1/users", headers=headers, query=query))
            assert (answer.code, answer.headers["WWW-Authenticate"], olga.calls) == (401, "Token", 1)
    issued = olga.get("/users/olga/tokens")["items"][0]["id"]
    assert olga.ask("DELETE", f"/users/olga/tokens/{issued}").code == 204
    assert olga.ask("GET", "/users").code == 401


@pytest.mark.usefixtures("olga")
def test_a_viewer_reads_everything_and_changes_nothing(stage: Stage) -> None:
    vera = as_user(stage, "vera")
    file = vera.ask("GET", "/configuration").text.encode()
    before = records(stage).versions.current().version
    for operation in OPERATIONS:
        path = operation.path.format_map(
            {
                "id": 1,
                "name": "vera",
                "vanity_uri": "my_endpoint",
                "token_id": 1,
                "version": 1,
                "ping_id": 1,
                "call_id": 1,
            }
        )
        answer = vera.ask(operation.method, path, {}, version="1")
        assert (answer.code == 403) == (operation.roles == access.OPERATORS), (operation.method, path)
    assert vera.ask("POST", "/configuration/difference", body=file).code == 200
    assert records(stage).versions.current().version == before


@pytest.mark.usefixtures("olga")
def test_a_publisher_sees_itself_and_its_tokens(stage: Stage) -> None:
    acme = as_user(stage, "acme-media")
    assert [user["name"] for user in acme.get("/users")["items"]] == ["acme-media"]
    assert acme.get("/users/acme-media")["traffic_sources"] == ["1023"]
    [token] = acme.get("/users/acme-media/tokens")["items"]
    assert token["user"] == "acme-media"
    allowed = {"/users", "/users/{name}", "/users/{name}/tokens", "/openapi.json"}
    for operation in OPERATIONS:
        path = operation.path.format_map(
            {
                "id": 1,
                "name": "bolt",
                "vanity_uri": "my_endpoint",
                "token_id": 1,
                "version": 1,
                "ping_id": 1,
                "call_id": 1,
            }
        )
        answer = acme.ask(operation.method, path, {}, version="1")
        listed = operation.method == "GET" and path in (
            "/users", "/openapi.json", "/day", "/sources", "/pings", "/sales", "/calls", "/reports", "/reports/refused",
        )  # fmt: skip
        codes = {"/pings/{ping_id}": 404, "/calls/{call_id}": 404, "/callers/lookup": 422}
        assert answer.code == (200 if listed else codes.get(operation.path, 403)), path
        assert operation.path in allowed or "Buyer" not in answer.text


def test_the_601st_request_of_a_minute_is_one_too_many(olga: Operator, stage: Stage) -> None:
    key = {"caller": {"B": caller_key(stage.keys, "requests", "user", "olga", str(START // 60))}}
    olga.get("/users")
    stage.client.update_item(
        TableName=stage.settings.callers_table,
        Key=key,
        UpdateExpression="SET requests = :n",
        ExpressionAttributeValues={":n": {"N": str(access.REQUESTS_A_MINUTE)}},
    )
    answer = olga.ask("GET", "/users")
    assert (answer.code, answer.headers["Retry-After"], answer.body["status"]) == (429, "60", "rate_limited")
    assert as_user(stage, "vera").ask("GET", "/users").code == 200
    stage.clock.forward(60)
    assert olga.ask("GET", "/users").code == 200


def test_a_user_that_is_deleted_is_out_and_comes_back_without_its_tokens(olga: Operator, stage: Stage) -> None:
    vera = as_user(stage, "vera")
    olga.ask("DELETE", "/users/vera", version=version(olga, "/users/vera"))
    assert vera.ask("GET", "/users").code == 401
    olga.ask("POST", "/users", USERS[3])
    assert vera.ask("GET", "/users").code == 401
    assert olga.get("/users/vera/tokens")["items"] == []


def test_the_last_operator_stays(olga: Operator, stage: Stage) -> None:
    sentence = "must have an operator, or nobody can change anything here"
    refused = olga.ask("DELETE", "/users/olga", version=version(olga, "/users/olga"))
    assert (refused.code, refused.body["errors"]) == (422, {"users": [sentence]})
    refused = olga.ask("PATCH", "/users/olga", {"role": "viewer"}, version=version(olga, "/users/olga"))
    assert (refused.code, refused.body["errors"]) == (422, {"users": [sentence]})
    olga.ask("POST", "/users", a_user(name="ben", role="operator", traffic_sources=[]))
    seen = version(olga, "/users/olga")
    assert olga.ask("DELETE", "/users/olga", version=seen, query="confirm=olga").code == 204
    ben = as_user(stage, "ben")
    file = yaml.safe_dump(a_document(users=USERS[:2])).encode()
    compared = ben.ask("POST", "/configuration/difference", body=file)
    assert compared.code == 422
    assert sentence in str(compared.body["errors"]["users"])


def an_operator(name: str) -> Plain:
    return a_user(name=name, role="operator", traffic_sources=[])


def test_an_operator_does_not_lock_itself_out_by_a_slip(olga: Operator, stage: Stage) -> None:
    olga.ask("POST", "/users", an_operator("ben"))
    seen, was = version(olga, "/users/olga"), olga.get("/users/olga")
    file = yaml.safe_dump(a_document(users=[*USERS[:2], an_operator("ben")])).encode()
    live = str(olga.ask("GET", "/configuration").headers["ETag"].strip('"'))
    slips: list[tuple[str, str, Any, dict[str, Any]]] = [
        ("DELETE", "/users/olga", None, {"version": seen}),
        ("PATCH", "/users/olga", {"role": "viewer"}, {"version": seen}),
        ("PUT", "/users/olga", {"name": "olga", "role": "publisher"}, {"version": seen}),
        ("PUT", "/configuration", None, {"version": live, "body": file}),
    ]
    for method, path, content, sent in slips:
        for typed in ("", "confirm=", "confirm=ben", "confirm=yes"):
            refused = olga.ask(method, path, content, query=typed, **sent)
            assert (refused.code, refused.body["status"], refused.body["confirm"]) == (409, "unconfirmed", "olga")
            assert "from you, olga: you can change nothing here after that." in refused.body["message"]
            assert "`confirm=olga`" in refused.body["message"]
    assert olga.get("/users/olga") == was
    compared = olga.ask("POST", "/configuration/difference", body=file).body
    assert (compared["confirm"], "from you, olga" in compared["warning"]) == ("olga", True)
    applied = olga.ask("PUT", "/configuration", query="confirm=olga", version=live, body=file)
    assert applied.code == 200
    assert as_user(stage, "ben").get("/users")["total"] == 3


def test_undoing_what_made_one_an_operator_needs_the_word_too(olga: Operator, stage: Stage) -> None:
    made = olga.ask("POST", "/users", an_operator("ben"))
    ben = as_user(stage, "ben")
    change = next(entry for entry in ben.get("/changes")["items"] if entry["changes"][0]["path"] == "users[ben]")
    refused = ben.ask("POST", f"/changes/{change['version']}/undo")
    assert (made.code, refused.code, refused.body["confirm"]) == (201, 409, "ben")
    assert olga.ask("POST", f"/changes/{change['version']}/undo").code == 200


def test_compare_counts_what_it_lists(olga: Operator) -> None:
    document = a_document(users=USERS)
    document["offers"][0]["buyers"] = [a_buyer(bid="26.00"), a_buyer(id=7, name="New"), a_buyer(id=8, name="Newer")]
    document["endpoints"] = []
    document["account"] = {"suppression": ["tcpa"]}
    compared = olga.ask("POST", "/configuration/difference", body=yaml.safe_dump(document).encode()).body
    assert compared["totals"] == {
        "removes": {"endpoints": 1, "buyers": 1},
        "adds": {"buyers": 2},
        "changes": {"buyers": 1, "account": 1},
    }
    assert (compared["confirm"], compared["warning"]) == ("", "")


def test_compare_refuses_what_apply_refuses(olga: Operator, stage: Stage) -> None:
    def answers(**overrides: Any) -> list[tuple[int, Any]]:
        file = yaml.safe_dump(a_document(users=USERS, **overrides)).encode()
        live = str(records(stage).versions.current().version)
        compared = olga.ask("POST", "/configuration/difference", body=file)
        applied = olga.ask("PUT", "/configuration", version=live, body=file)
        return [(answer.code, answer.body.get("errors", answer.body.get("message"))) for answer in (compared, applied)]

    taken = answers(ring_pools=[a_ring_pool(name="other")], endpoints=[an_endpoint(ring_pool="other")])
    assert taken[0] == taken[1]
    assert (taken[0][0], "belongs to ring pool auto-us now" in str(taken[0][1])) == (422, True)
    many = [an_endpoint(vanity_uri=f"a{n}") for n in range(98)]
    too_many = answers(endpoints=many)
    assert too_many[0] == too_many[1]
    assert too_many[0][0] == 409


# Tokens, pools, suppression


def test_a_token_is_issued_once_listed_without_its_secret_and_revoked(olga: Operator, stage: Stage) -> None:
    issued = olga.ask("POST", "/users/vera/tokens")
    assert (issued.code, issued.body["user"], issued.body["token"][:3]) == (201, "vera", "rp_")
    vera = Operator(stage, issued.body["token"])
    [token] = vera.get("/users/vera/tokens")["items"]
    assert token == {
        "id": issued.body["id"], "user": "vera", "issued_at": START, "name": "", "scope": "read", "expires_at": None,
        "used_at": START,
    }  # fmt: skip
    assert olga.ask("DELETE", f"/users/olga/tokens/{token['id']}").code == 404
    assert olga.ask("DELETE", f"/users/vera/tokens/{token['id']}").code == 204
    assert vera.ask("GET", "/users").code == 401
    revoked, made = (olga.get("/changes", "limit=2"))["items"]
    change = {"path": f"users[vera].tokens[{token['id']}]", "was": None, "is": "issued"}
    assert (made["by"], made["changes"]) == ("olga", [change])
    assert revoked["changes"] == [change | {"was": "issued", "is": None}]
    assert olga.ask("POST", f"/changes/{made['version']}/undo").body["status"] == "not_undoable"


@pytest.mark.parametrize(("user", "scope"), [("acme-media", "post"), ("vera", "read"), ("olga", "operate")])
def test_a_token_has_the_scope_of_its_users_role_unless_another_is_wanted(
    olga: Operator, user: str, scope: str
) -> None:
    assert olga.ask("POST", f"/users/{user}/tokens").body["scope"] == scope
    assert olga.ask("POST", f"/users/{user}/tokens", {}).body["scope"] == scope
    wanted = {"name": " the  landing page ", "scope": "read", "expires": "2100-01-31"}
    issued = olga.ask("POST", f"/users/{user}/tokens", wanted).body
    assert (issued["name"], issued["scope"], issued["expires_at"]) == (
        "the landing page",
        "read",
        START + 31 * 24 * 3600,
    )
    [listed] = [token for token in olga.get(f"/users/{user}/tokens")["items"] if token["id"] == issued["id"]]
    assert {name: listed[name] for name in ("name", "scope", "expires_at")} == {
        name: issued[name] for name in ("name", "scope", "expires_at")
    }
    assert "token" not in listed


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        ({"scope": "all"}, "scope"), ({"scope": 1}, "scope"), ({"name": "x" * 65}, "name"),
        ({"name": "a\u0000"}, "name"), ({"expires": "soon"}, "expires"), ({"expires": "2099-12-31"}, "expires"),
        ({"expires": "2100-02-30"}, "expires"),
        ({"expires": "2100-01-01T00:00:00Z"}, "expires"), ({"expires": 5}, "expires"), ({"end": "2100-01-31"}, ""),
        ({"expires": "\u0662100-01-31"}, "expires"), ({"expires": "9999-12-31"}, "expires"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_wanted_token_is_named(olga: Operator, wanted: dict[str, Any], path: str) -> None:
    refused = olga.ask("POST", "/users/acme-media/tokens", wanted)
    assert (refused.code, [*refused.body["errors"]]) == (422, [path])
    assert olga.get("/users/acme-media/tokens")["items"] == []


def test_a_viewer_gets_no_token_for_leads(olga: Operator) -> None:
    refused = olga.ask("POST", "/users/vera/tokens", {"scope": "post"})
    assert (refused.code, refused.body["errors"]) == (
        422,
        {"scope": ["must be read or operate: a viewer sends no leads"]},
    )


def test_a_token_ends_in_the_api_to_the_second(olga: Operator, stage: Stage) -> None:
    wanted = {"expires": "2100-01-01T00:01:00Z"}
    token = Operator(stage, olga.ask("POST", "/users/vera/tokens", wanted).body["token"])
    stage.clock.forward(59)
    assert token.ask("GET", "/offers").code == 200
    stage.clock.forward(1)
    assert token.ask("GET", "/offers").body == Operator(stage, "wrong").ask("GET", "/offers").body


def test_the_token_of_a_page_uses_up_nothing_of_its_users(
    olga: Operator, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "REQUESTS_A_MINUTE", 3)
    in_a_page = Operator(stage, olga.ask("POST", "/users/olga/tokens", {"scope": "post"}).body["token"])
    for _ in range(5):
        refused = in_a_page.ask("GET", "/offers")
        assert (refused.code, refused.body["status"]) == (403, "not_allowed")
    assert olga.ask("GET", "/offers").code == 200


def test_an_operators_token_for_reading_changes_nothing_and_says_so(olga: Operator, stage: Stage) -> None:
    reading = Operator(stage, olga.ask("POST", "/users/olga/tokens", {"scope": "read"}).body["token"])
    assert reading.ask("GET", "/buyers/1").code == 200
    refused = reading.ask("POST", "/buyers/1/pause")
    assert refused.code == 403
    assert refused.body["message"] == "This token is for reading. You need one with the scope operate."


def test_a_pool_shows_its_numbers_and_how_much_is_in_use(olga: Operator, publisher: Publisher, stage: Stage) -> None:
    sold = "+" + publisher.full(caller_id="+16145550123").body["trackdrive_number"]
    use = olga.get("/ring_pools/auto-us/use", "sales_per_hour=30")
    assert use == {
        "numbers": 8, "leased": 1, "cooldown": 0, "free": 7, "used_percent": 12.5, "overflow_number": None,
        "sales_per_hour": 30, "recommended": 8,
    }  # fmt: skip
    page = olga.get("/ring_pools/auto-us/numbers", "limit=3")
    assert page["items"][0] == {"number": sold, "state": "leased", "until": START + 300}
    assert (page["next"], page["total"]) == ("+18005550102", 8)
    rest = olga.get("/ring_pools/auto-us/numbers", "after=%2B18005550102")
    assert [number["number"] for number in rest["items"]] == [f"+1800555010{n}" for n in range(3, 8)]
    assert rest["next"] is None
    stage.clock.forward(300)
    assert olga.get("/ring_pools/auto-us/numbers")["items"][0] == {
        "number": sold, "state": "cooldown", "until": START + 360
    }  # fmt: skip
    assert olga.get("/ring_pools/auto-us/use")["recommended"] is None
    assert olga.ask("GET", "/ring_pools/auto-us/use", query="sales_per_hour=10001").code == 422


# The change log


def test_the_change_log_tells_who_changed_what_from_what_to_what(olga: Operator) -> None:
    olga.ask("PATCH", "/buyers/1", {"bid": "26.00"}, version=version(olga, "/buyers/1"))
    olga.ask("PATCH", "/buyers/1", {"tier": 2}, version=version(olga, "/buyers/1"))
    first = olga.get("/changes", "limit=1")
    [latest] = first["items"]
    assert (latest["by"], latest["at"]) == ("olga", START)
    assert latest["changes"] == [{"path": "offers[auto-insurance].buyers[1].tier", "was": None, "is": 2}]
    [before] = olga.get("/changes", f"limit=1&after={first['next']}")["items"]
    assert before["changes"] == [{"path": "offers[auto-insurance].buyers[1].bid", "was": "25.00", "is": "26.00"}]
    assert olga.get(f"/changes/{before['version']}") == before
    everything = olga.get("/changes")
    assert (everything["next"], everything["items"][-1]["by"]) == (None, "file")
    assert olga.ask("GET", "/changes", query="after=x").code == 422


def test_large_entries_make_short_pages(olga: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "HISTORY_BYTES", 0)
    seen = []
    page: dict[str, Any] = {"next": ""}
    while page["next"] is not None:
        page = olga.get("/changes", f"limit=50&after={page['next']}")
        assert len(page["items"]) == 1
        seen += [entry["version"] for entry in page["items"]]
    assert seen == [2, 1]


def test_a_change_is_undone_as_a_new_change(olga: Operator, stage: Stage) -> None:
    olga.ask("PATCH", "/buyers/1", {"bid": "26.00", "weight": 7}, version=version(olga, "/buyers/1"))
    wrong = olga.get("/changes", "limit=1")["items"][0]["version"]
    olga.ask("PATCH", "/buyers/1", {"tier": 2}, version=version(olga, "/buyers/1"))
    undone = olga.ask("POST", f"/changes/{wrong}/undo")
    assert (undone.code, undone.body["change"]["by"]) == (200, "olga")
    assert {change["path"]: change["is"] for change in undone.body["change"]["changes"]} == {
        "offers[auto-insurance].buyers[1].bid": "25.00", "offers[auto-insurance].buyers[1].weight": None
    }  # fmt: skip
    buyer = olga.get("/buyers/1")
    assert (buyer["bid"], buyer["tier"]) == ("25.00", 2)
    again = olga.ask("POST", f"/changes/{wrong}/undo")
    assert (again.code, set(again.body["errors"])) == (
        409, {"offers[auto-insurance].buyers[1].bid", "offers[auto-insurance].buyers[1].weight"}
    )  # fmt: skip
    assert olga.ask("POST", f"/changes/{undone.body['change']['version']}/undo").code == 200
    assert olga.get("/buyers/1")["bid"] == "26.00"
    assert records(stage).versions.current().parts == configuration.records_of(
        configuration.from_records(records(stage).versions.current().parts)
    )


def test_what_was_deleted_comes_back_where_it_was_and_what_was_made_goes(olga: Operator) -> None:
    olga.ask("POST", "/buyers", A_BUYER)
    made = olga.get("/changes", "limit=1")["items"][0]["version"]
    olga.ask("DELETE", "/buyers/1", version=version(olga, "/buyers/1"))
    gone = olga.get("/changes", "limit=1")["items"][0]["version"]
    olga.ask("POST", f"/changes/{made}/undo")
    assert [buyer["id"] for buyer in olga.get("/buyers")["items"]] == [2]
    assert olga.ask("POST", f"/changes/{gone}/undo").code == 200
    assert "id: 1" in olga.ask("GET", "/configuration").text
    assert [buyer["id"] for buyer in olga.get("/buyers")["items"]] == [1, 2]


def test_the_undoing_of_what_others_need_is_refused(olga: Operator) -> None:
    olga.ask("POST", "/offers", {"name": "new", "rank_by": "bid"})
    made = olga.get("/changes", "limit=1")["items"][0]["version"]
    olga.ask("POST", "/buyers", A_BUYER | {"offer": "new"})
    answer = olga.ask("POST", f"/changes/{made}/undo")
    assert (answer.code, set(answer.body["errors"])) == (409, {"offers[new]"})
    olga.ask("POST", "/endpoints", an_endpoint(vanity_uri="new", offer="new"))
    bought = olga.get("/changes", "limit=2")["items"][1]["version"]
    answer = olga.ask("POST", f"/changes/{bought}/undo")
    assert (answer.code, set(answer.body["errors"])) == (422, {"endpoints[new].offer"})


# Warnings


def test_what_is_valid_and_not_meant_is_told_with_the_answer(olga: Operator) -> None:
    zone = "`EST` has no daylight saving time, and is an hour off all summer; write America/New_York"
    made = olga.ask("POST", "/buyers", {"offer": "auto-insurance", **a_buyer(id=7, zone="EST", filters=["stat == TX"])})
    field = "`stat` is no contact field of the offer"
    told = [{"path": "zone", "message": zone}, {"path": "filters[0]", "message": field}]
    assert (made.code, made.body["warnings"]) == (201, told)
    assert "warnings" not in olga.get("/buyers/7")
    patched = olga.ask("PATCH", "/buyers/7", {"filters": None, "version": made.body["version"]})
    assert patched.body["warnings"] == told[:1]
    again = olga.ask("PUT", "/buyers/7", patched.body)
    assert (again.code, again.body) == (200, patched.body)
    path = "offers[auto-insurance].buyers[7].zone"
    anybody = {"path": "endpoints[my_endpoint].require_auth_token", "message": ANYBODY}
    assert olga.get("/configuration/warnings") == {
        "items": [{"path": path, "message": zone}, anybody],
        "next": None,
        "total": 2,
    }
    mended = olga.ask("PATCH", "/buyers/7", {"zone": None, "version": again.body["version"]})
    assert "warnings" not in mended.body
    pool = olga.ask(
        "PATCH", "/ring_pools/auto-us", {"cooldown_seconds": 0}, version=version(olga, "/ring_pools/auto-us")
    )
    assert [each["path"] for each in pool.body["warnings"]] == ["cooldown_seconds"]


@pytest.mark.parametrize("kind", ["buyers", "offers", "endpoints", "ring_pools", "providers", "users", "account"])
@pytest.mark.usefixtures("olga")
def test_of_what_is_gone_nothing_is_told(stage: Stage, kind: str) -> None:
    assert configuration_warnings.of_resource(records(stage), kind, "99") == []


def test_a_file_is_warned_of_before_and_after_it_is_applied(olga: Operator) -> None:
    endpoints = [an_endpoint(require_auth_token=True)]
    file = json.dumps(
        a_document(users=USERS, ring_pools=[a_ring_pool(cooldown_seconds=2)], endpoints=endpoints)
    ).encode()
    compared = olga.ask("POST", "/configuration/difference", body=file).body
    [warning] = compared["warnings"]
    assert warning["path"] == "ring_pools[auto-us].cooldown_seconds"
    assert warning["message"].startswith("is under 5 seconds")
    applied = olga.ask("PUT", "/configuration", body=file, version=str(compared["version"]))
    assert applied.body["warnings"] == [warning]


# The whole file


def test_a_file_that_was_written_out_changes_nothing(olga: Operator, stage: Stage) -> None:
    written = olga.ask("GET", "/configuration")
    assert written.headers["Content-Type"] == "application/yaml"
    found = olga.ask("POST", "/configuration/difference", body=written.text.encode())
    told = [{"path": "endpoints[my_endpoint].require_auth_token", "message": ANYBODY}]
    assert (found.body["version"], found.body["changes"], found.body["warnings"]) == (
        records(stage).versions.current().version,
        [],
        told,
    )
    applied = olga.ask("PUT", "/configuration", body=written.text.encode(), version=str(found.body["version"]))
    assert (applied.code, applied.body) == (200, {"change": None, "warnings": told})


def test_a_file_is_compared_and_applied_by_the_version_it_was_compared_with(olga: Operator) -> None:
    file = json.dumps(a_document(users=[*USERS, a_user(name="new")])).encode()
    found = olga.ask("POST", "/configuration/difference", body=file).body
    assert found["changes"] == [{"path": "users[new]", "was": None, "is": a_user(name="new")}]
    assert olga.ask("PUT", "/configuration", body=file).code == 428
    assert olga.ask("PUT", "/configuration", body=file, version="x").code == 422
    assert olga.ask("PUT", "/configuration", body=file, version="99").body["status"] == "overtaken"
    applied = olga.ask("PUT", "/configuration", body=file, version=str(found["version"]))
    assert (applied.body["change"]["by"], applied.body["change"]["changes"]) == ("olga", found["changes"])


@pytest.mark.parametrize(
    ("file", "errors"),
    [
        (b"users:\n- {name: a b, role: king}\n", {"users[0].name": "line 2: must be 1 to 64",
                                                           "users[0].role": "line 2: "}),
        (b"users: []\nusers: []\n", {"users": "line 2: is given twice"}),
        (b"", {"": "it is empty"}),
        (b"a: [", {"": "line "}),
        (b"\xff", {"": "it is not a text in UTF-8"}),
    ],
)  # fmt: skip
def test_the_mistakes_of_a_file_are_told_with_their_lines(olga: Operator, file: bytes, errors: dict[str, str]) -> None:
    answer = olga.ask("POST", "/configuration/difference", body=file)
    assert answer.code == 422
    assert answer.body["errors"].keys() == errors.keys()
    for path, sentence in errors.items():
        assert answer.body["errors"][path][0].startswith(sentence)


# The API itself


def test_the_description_is_public_and_valid(olga: Operator) -> None:
    answer = olga.send(an_event(method="GET", path="/api/v1/openapi.json"))
    assert (answer.code, olga.calls) == (200, 0)
    validate(answer.body)
    described = {(method.upper(), path) for path, each in answer.body["paths"].items() for method in each}
    assert described == {(operation.method, rest.ROOT + operation.path) for operation in OPERATIONS}
    ids = [each["operationId"] for path in answer.body["paths"].values() for each in path.values()]
    assert len(ids) == len(set(ids))
    schemas = answer.body["components"]["schemas"]
    assert "hold_seconds" in schemas["RingPool"]["properties"]
    assert schemas["Warning"]["properties"].keys() == {"path", "message"}
    for name in ("Buyer", "Offer", "Endpoint", "Difference", "AppliedFile"):
        assert schemas[name]["properties"]["warnings"]["items"] == {"$ref": "#/components/schemas/Warning"}


def test_every_objection_has_its_code_and_its_own_status() -> None:
    assert set(Objection.__subclasses__()) == set(rest.HTTP_STATUS)
    assert len({each.status for each in rest.HTTP_STATUS}) == len(rest.HTTP_STATUS)


def test_no_answer_may_be_kept_or_read_by_other_origins(olga: Operator) -> None:
    for answer in (olga.ask("GET", "/users"), olga.ask("GET", "/none"), olga.ask("DELETE", "/users/bolt")):
        assert answer.headers["Cache-Control"] == "no-store"
        assert not [name for name in answer.headers if name.startswith("Access-Control")]


def test_a_file_that_is_nested_without_end_is_told(olga: Operator) -> None:
    for file in (b"[" * 100_000, b"- " * 100_000, b"{a: " * 100_000):
        answer = olga.ask("POST", "/configuration/difference", body=file)
        assert (answer.code, list(answer.body["errors"])) == (422, [""])
