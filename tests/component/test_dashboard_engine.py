"""The dashboard over a real engine: what moto does not take."""

from collections.abc import Iterator

import pytest

from tests.build import SETTINGS, Stage
from tests.office import opened
from tests.visits import Guest
from tools import engine


@pytest.fixture
def olga() -> Iterator[Guest]:
    with engine.dynoxide(None) as url:
        client = engine.client(url)
        engine.create_tables(client, SETTINGS)
        stage = Stage(client)
        opened(stage, account={"suppression": ["tcpa"]})
        yield Guest(stage, "olga")


def test_numbers_are_looked_up_put_on_a_list_and_taken_off(olga: Guest) -> None:
    page = olga.send(
        olga.open("/suppression_lists"), "/suppression_lists", entries="614-555-0123\r\n\r\n212*", where="on"
    )
    assert "1 number and 1 prefix are on tcpa now." in page.text
    page = olga.send(page, "/suppression_lists/lookup", number="(614) 555-0123")
    assert "+16145550123 is on tcpa" in page.text
    assert olga.send(page, "/suppression_lists/lookup", number="x").code == 422
    wrong = olga.send(page, "/suppression_lists", entries="614-555-0123\nnobody", where="on")
    assert (wrong.code, "`nobody` must be a telephone number" in wrong.text) == (422, True)
    assert dict(wrong.form("/dashboard/suppression_lists").values)["entries"] == "614-555-0123\nnobody"
    assert olga.send(page, "/suppression_lists", entries="", where="on").code == 422
    assert olga.send(page, "/suppression_lists", entries="212*", name="other").code == 422
    page = olga.send(page, "/suppression_lists", entries="614-555-0123", where="off")
    assert "are off tcpa now." in page.text
    assert "is on no list" in olga.send(page, "/suppression_lists/lookup", number="6145550123").text


def test_lines_of_a_file_are_pasted(olga: Guest) -> None:
    page = olga.open("/suppression_lists")
    text = "Name,Phone,Agent\r\nDoe,6145550161,6145550169\r\nRoe,nobody,"
    asked = olga.send(page, "/suppression_lists", entries=text, where="on")
    assert (asked.code, "there are numbers in column 2 (Phone), column 3 (Agent)" in asked.text) == (422, True)
    wrong = olga.send(asked, "/suppression_lists", columns="phone", where="on")
    assert (wrong.code, "line 3: `nobody` must be a telephone number" in wrong.text) == (422, True)
    assert dict(wrong.form("/dashboard/suppression_lists").values)["columns"] == "phone"
    assert "is on no list" in olga.send(page, "/suppression_lists/lookup", number="6145550161").text
    done = olga.send(wrong, "/suppression_lists", skip_wrong="true", where="on")
    assert (
        "1 number and 0 prefixes are on tcpa now. How Ringpost read them: numbers are in column 2 (Phone)" in done.text
    )
    assert "line 3: `nobody` must be a telephone number" in done.text
    assert "is on tcpa" in olga.send(page, "/suppression_lists/lookup", number="6145550161").text


@pytest.mark.parametrize("entries", ["6145550161\n" * 1002, "6145550161;" * 1001, "x" * 262_145])
def test_what_is_too_much_to_be_pasted_is_told(olga: Guest, entries: str) -> None:
    page = olga.send(olga.open("/suppression_lists"), "/suppression_lists", entries=entries, where="on")
    assert (page.code, "must have at most 1000 entries" in page.text) == (422, True)
