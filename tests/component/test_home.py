"""What is at `/`, as its function answers."""

import json
from dataclasses import replace
from functools import partial

import pytest

from functions.instructions import guide_pages
from shared.publishers import web_pages
from tests.build import REQUEST_ID, SETTINGS, Answer, Stage, an_endpoint, an_event

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
DEMO = {"my_endpoint": "auto insurance", "gone": "not there any more"}


def open_home(stage: Stage, accept: str | None, method: str = "GET") -> Answer:
    event = an_event(method=method, path="/", headers={} if accept is None else {"Accept": accept})
    found = web_pages.serve(event, REQUEST_ID, "instructions", partial(guide_pages.answer, stage.world()))
    return Answer(found["statusCode"], found["headers"], found["body"])


@pytest.mark.parametrize("accept", [BROWSER, "text/html", "text/html, application/json;q=0.5"])
def test_a_person_gets_a_page(stage: Stage, accept: str) -> None:
    page = open_home(stage, accept)
    assert (page.code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert page.headers["Vary"] == "Accept, Accept-Encoding"
    assert "style-src 'sha256-" in page.headers["Content-Security-Policy"]
    for part in (
        "An open ping/post platform",
        'href="/dashboard"',
        "/api/v1/openapi.json",
        "posting_instructions/{vanity",
    ):
        assert part in page.text
    assert "demo" not in page.text


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "application/json, text/html", "application/*"])
def test_a_program_gets_json(stage: Stage, accept: str | None) -> None:
    found = open_home(stage, accept)
    assert (found.code, found.headers["Content-Type"]) == (200, "application/json")
    assert found.headers["Vary"] == "Accept, Accept-Encoding"
    assert found.body["name"] == "Ringpost"
    assert found.body["ping"] == "https://ringpost.example/api/v1/inbound_webhooks/ping/{vanity_uri}"
    assert found.body["dashboard"] == "https://ringpost.example/dashboard"
    assert "endpoints" not in found.body


def test_the_local_run_shows_those_endpoints_of_its_demo_that_are_live(stage: Stage) -> None:
    stage.settings = replace(SETTINGS, demo=json.dumps(DEMO))
    stage.publish(an_endpoint(), an_endpoint(vanity_uri="other"))
    page = open_home(stage, BROWSER).text
    assert '<a href="/posting_instructions/my_endpoint">my_endpoint</a>' in page
    assert "gone" not in page
    assert "other" not in page
    assert open_home(stage, None).body["endpoints"] == {"my_endpoint": "auto insurance"}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_it_is_read_only(stage: Stage, method: str) -> None:
    refused = open_home(stage, BROWSER, method)
    assert (refused.code, refused.body["status"]) == (405, "method_not_allowed")
