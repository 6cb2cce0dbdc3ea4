"""A request as somebody pastes it."""

import shlex
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.publishers import pasted
from shared.publishers.pasted import Unreadable, read

URL = "https://api.example.com/x"


@given(st.text(alphabet="ab '\"\\\n\r\t-$\u00a0", max_size=20))
@example('a "\\a\\"\\\\" b')
def test_words_are_those_of_a_shell(command: str) -> None:
    words = None
    with suppress(ValueError):
        words = shlex.split(command)
    if words is None:
        with pytest.raises(Unreadable, match="a quote that is not closed"):
            list(pasted._words(command))
    else:
        assert list(pasted._words(command)) == words


@pytest.mark.parametrize(
    ("options", "method", "body"),
    [
        ("", "GET", ""),
        ("-d a=1", "POST", "a=1"),
        ("-da=1 --data b=2", "POST", "a=1&b=2"),
        ("--data=a=1", "POST", "a=1"),
        ("--data-urlencode 'a=1 2'", "POST", "a=1%202"),
        ("--json '{}'", "POST", "{}"),
        ("-XPUT", "PUT", ""),
        ("--request=put -d a", "PUT", "a"),
        ("-I", "HEAD", ""),
        ("-d ''", "POST", ""),
        ("-s --compressed -d -1", "POST", "-1"),
        ("-GId a", "HEAD", ""),
    ],
)
def test_options_are_read(options: str, method: str, body: str) -> None:
    found = read(f"curl {options} {URL}")
    assert (found.method, found.host, found.path, found.body) == (method, "api.example.com", "/x", body)


def test_an_option_without_its_value_is_named() -> None:
    with pytest.raises(Unreadable, match="--data has no value"):
        read(f"curl {URL} --data")


def test_data_goes_into_the_query() -> None:
    assert read(f"curl -G {URL} -d a=1 -d b=2").query == "a=1&b=2"
    assert read(f"curl -GHaccept:x -ume:you {URL}").headers == {"accept": "x", "authorization": "Basic bWU6eW91"}
