"""Ping ids that cannot be forged, and keys under which retries and routes are found."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.key_list import derive
from shared.domain.keys import ask_key, ping_id, read_ping_id, retry_keys, route_keys, token_hash
from shared.domain.models import TRY_ALL, Lead
from tests.build import KEYS

ID = bytes(range(12))
OTHER_KEYS = derive(b"\x01" * 32)


@given(st.binary(min_size=12, max_size=12), st.integers(0, 2**32 - 1), st.text(st.characters(codec="utf-8")))
def test_a_ping_id_always_reads_as_what_it_was_made_of(random_id: bytes, choice: int, endpoint: str) -> None:
    text = ping_id(KEYS, endpoint, random_id, choice)
    assert read_ping_id(KEYS, endpoint, text) == (random_id, choice)
    assert text.startswith("pg_" if choice == TRY_ALL else "pb_")


@pytest.mark.parametrize("choice", [TRY_ALL, 1])
def test_a_ping_id_altered_in_any_one_place_is_unknown(choice: int) -> None:
    text = ping_id(KEYS, "my_endpoint", ID, choice)
    for place in range(len(text)):
        for character in set(string.printable + "é") - {text[place]}:
            altered = text[:place] + character + text[place + 1 :]
            assert read_ping_id(KEYS, "my_endpoint", altered) is None, altered


def test_a_ping_id_cut_or_lengthened_is_unknown() -> None:
    text = ping_id(KEYS, "my_endpoint", ID)
    wrong = [text[:end] for end in range(len(text))] + [text[1:], text + "A", text + "=", text + "\n", text * 300]
    assert [read_ping_id(KEYS, "my_endpoint", ping) for ping in wrong] == [None] * len(wrong)


def test_a_ping_id_of_another_endpoint_or_another_secret_is_unknown() -> None:
    text = ping_id(KEYS, "my_endpoint", ID)
    assert read_ping_id(KEYS, "other_endpoint", text) is None
    assert read_ping_id(OTHER_KEYS, "my_endpoint", text) is None


def test_the_ping_id_of_one_buyer_is_not_made_from_anothers() -> None:
    one, two = (ping_id(KEYS, "my_endpoint", ID, choice) for choice in (256, 512))
    assert read_ping_id(KEYS, "my_endpoint", one[:-11] + two[-11:]) is None
    assert read_ping_id(KEYS, "my_endpoint", "pg_" + one[3:]) is None


@given(
    st.one_of(
        st.text(max_size=50),
        st.text(st.characters(), max_size=50),
        st.from_regex(r"p[bg]_[A-Za-z0-9_-]{32}", fullmatch=True),
    )
)
def test_what_was_never_given_out_is_never_a_ping_id(text: str) -> None:
    assert read_ping_id(KEYS, "my_endpoint", text) is None


def test_the_ping_ids_of_an_example_stay_what_they_are() -> None:
    """Pings wait for their POST while a new version is deployed."""
    assert ping_id(KEYS, "my_endpoint", ID) == "pg_AAECAwQFBgcICQoLAAAAAN-jsQVuqIFk"
    assert ping_id(KEYS, "my_endpoint", ID, 1) == "pb_AAECAwQFBgcICQoLAAAAAd68NJeAmFDn"


WHO = ["post", "my_endpoint", "acme", "1023"]
LEADS = st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=3)


@given(LEADS, LEADS)
def test_two_leads_share_a_retry_key_only_if_they_are_the_same(one: dict[str, str], other: dict[str, str]) -> None:
    keys_of = [retry_keys(KEYS, WHO, "", "", Lead(lead))[0] for lead in (one, other)]
    assert (keys_of[0][0] == keys_of[1][0]) is (keys_of[0][1] == keys_of[1][1]) is (one == other)


def test_the_order_in_which_a_lead_was_sent_plays_no_part() -> None:
    assert retry_keys(KEYS, WHO, "", "", Lead(a="1", b="2")) == retry_keys(KEYS, WHO, "", "", Lead(b="2", a="1"))


@pytest.mark.parametrize("place", range(6))
def test_whoever_sends_a_lead_has_a_retry_key_of_its_own(place: int) -> None:
    sent = [*WHO, "key-1", "1"]
    other = [*sent[:place], "x", *sent[place + 1 :]]
    found = {
        retry_keys(KEYS, [*who], idempotency_key, buyer, Lead(a="1"))[0][0]
        for *who, idempotency_key, buyer in (sent, other)
    }
    assert len(found) == 2


@given(LEADS, LEADS, st.sampled_from(["", "1"]))
def test_under_an_idempotency_key_a_caller_has_one_retry_key_and_each_lead_a_digest(
    one: dict[str, str], other: dict[str, str], buyer_id: str
) -> None:
    leads = [Lead(lead | {"caller_id": "+16145550123"}) for lead in (one, other)]
    (key, digest), (other_key, other_digest) = [
        retry_keys(KEYS, WHO, "key-1", buyer, lead)[0] for buyer, lead in zip(("", buyer_id), leads, strict=True)
    ]
    assert key == other_key
    assert (digest == other_digest) is (leads[0] == leads[1] and not buyer_id)
    assert key != retry_keys(KEYS, WHO, "key-1", "", Lead(leads[0] | {"caller_id": "+16145550124"}))[0][0]


def test_each_caller_and_each_number_has_a_route_of_its_own() -> None:
    routes = {route_keys(KEYS, number, caller)[0] for number in ("+1", "+11") for caller in ("+1", "+11")}
    assert len(routes) == 4


def test_nothing_that_is_stored_can_be_made_without_the_secret() -> None:
    made = [
        [
            ping_id(keys, "my_endpoint", ID),
            token_hash(keys, "t"),
            route_keys(keys, "+1", "+1")[0],
            retry_keys(keys, [], "", "", Lead())[0][0],
        ]
        for keys in (KEYS, OTHER_KEYS)
    ]
    assert not set(made[0]) & set(made[1])


def test_keys_do_not_show_in_a_log() -> None:
    assert repr(KEYS) == "Keys()"


def test_a_buyer_knows_a_sale_by_a_key_that_no_other_sale_and_no_other_buyer_has() -> None:
    sales = [(ID, 1), (ID, 2), (bytes(12), 1)]
    assert len({ask_key(KEYS, *sale) for sale in sales}) == 3
    assert ask_key(KEYS, *sales[0]) == ask_key(KEYS, *sales[0])
