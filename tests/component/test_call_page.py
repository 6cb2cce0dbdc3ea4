"""The page of the local run that makes a simulated call: whom it takes requests from, and what it shows."""

import asyncio
from collections.abc import Iterator
from urllib.parse import quote, urlencode

import pytest

from tests.twiml_service import BUYERS, KEY, TwimlService, twiml_service
from tools.local import asgi
from tools.local.call_page import CallPage

FORM = {"number": "18005550100", "caller": "(614) 555-0123", "behavior": "busy", "talk": "95"}


@pytest.fixture
def service() -> Iterator[TwimlService]:
    with twiml_service() as started:
        started.answers = {"voice": started.dial(1), "dial?n=1": started.dial(2)}
        yield started


def ask(service: TwimlService, form: dict[str, str] | None = None, **headers: str) -> tuple[int, str]:
    """POST the form, or GET the page, with these headers beside `Host`."""
    sent = {"host": service.url.removeprefix("http://")} | {name.replace("_", "-"): headers[name] for name in headers}
    body = urlencode(form or {}).encode()
    answered: list[asgi.Message] = []

    async def receive() -> asgi.Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: asgi.Message) -> None:
        answered.append(message)

    scope = {
        "path": "/local/call",
        "method": "GET" if form is None else "POST",
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
    }
    asyncio.run(CallPage(service.url, KEY).application(scope, receive, send))
    return answered[0]["status"], answered[1]["body"].decode()


def test_the_page_makes_a_call_and_shows_its_story(service: TwimlService) -> None:
    code, page = ask(service, FORM, origin=service.url, sec_fetch_site="same-origin")
    assert code == 200
    assert "    1 s  +18005550181 is busy." in page
    assert f"{BUYERS[1]} answers." in page
    assert "They talked for 95 s." in page


def test_the_page_leads_back_to_the_sale_and_to_the_calls(service: TwimlService) -> None:
    _, page = ask(service, FORM | {"ping_id": 'pg_"><script>'})
    assert 'href="/dashboard/pings/pg_%22%3E%3Cscript%3E"' in page
    assert f'href="/dashboard/calls?number={quote(FORM["number"])}"' in page
    assert "<script>" not in page


def test_the_page_shows_a_form_first(service: TwimlService) -> None:
    code, page = ask(service)
    assert code == 200
    assert 'action="/local/call"' in page
    assert service.events == []


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "elsewhere.example"},
        {"host": "127.0.0.1:1"},
        {"origin": "https://elsewhere.example"},
        {"origin": "null"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
)
def test_another_site_cannot_call_through_a_browser(service: TwimlService, headers: dict[str, str]) -> None:
    code, page = ask(service, FORM, **headers)
    assert (code, service.events) == (403, [])
    assert "Only pages of this service may call." in page


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"number": "<b>"}, "&lt;b&gt; is no telephone number."),
        ({"caller": ""}, "is no telephone number."),
        ({"behavior": "sing"}, "sing is not understood."),
        ({"talk": "-1"}, "talk takes a whole number from 0 to 86400."),
        ({"talk": "1" * 20}, "talk takes a whole number from 0 to 86400."),
    ],
)
def test_what_is_no_call_is_said(service: TwimlService, changes: dict[str, str], why: str) -> None:
    code, page = ask(service, FORM | changes)
    assert (code, service.events) == (422, [])
    assert why in page


def test_a_form_that_is_too_large_is_not_read(service: TwimlService) -> None:
    assert ask(service, FORM | {"behavior": "x" * 5000})[0] == 413


def test_a_service_that_refuses_is_shown(service: TwimlService) -> None:
    service.answers |= {"voice": 404, "again": 404}
    code, page = ask(service, FORM)
    assert code == 502
    assert "Ringpost answers 404" in page
