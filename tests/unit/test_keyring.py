"""Which keys there are, which of them signs, and that what earlier ones made stays good."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import key_list
from shared.domain.key_list import BOTH_SECONDS, DASHBOARDS, SHARED, WAIT_SECONDS, BadSecret, Listed, Secrets, keys_at
from shared.domain.keys import (
    Keys,
    ask_key,
    caller_hash,
    caller_hashes,
    caller_key,
    caller_keys,
    caller_tag,
    holder_tag,
    key_of_caller,
    key_of_token,
    needs_newer_key,
    of_sandbox,
    ping_id,
    read_ping_id,
    retry_keys,
    route_keys,
    token_hash,
    token_hashes,
)
from shared.domain.models import TRY_ALL, Lead
from tests.build import CALLER, START

ROOT = bytes(32)
BEGAN = key_list.read("", ROOT, SHARED)
ID = bytes(range(12))


def rotated(kind: str, *times: int, began: Secrets = BEGAN) -> tuple[Secrets, list[Listed]]:
    """The secrets and the list after rotations whose keys sign from these times on."""
    secrets = began
    for key_id, _ in enumerate(times, start=2):
        secrets = secrets.with_key(kind, key_id, bytes([key_id]) * 32)
    since = {1: 0, **dict(enumerate(times, start=2))}
    return secrets, [Listed(kind, key_id, at, secrets.fingerprint(kind, key_id)) for key_id, at in since.items()]


def after(kind: str, *times: int, now: int) -> Keys:
    return keys_at(*rotated(kind, *times), now)


@given(st.integers(2, 255), st.binary(min_size=12, max_size=12), st.sampled_from([TRY_ALL, 1, 2**32 - 1]))
def test_a_ping_id_of_any_key_is_always_read_by_who_has_it_and_is_as_long_as_ever(
    rotations: int, random_id: bytes, choice: int
) -> None:
    secrets = BEGAN.with_key("ping_ids", rotations, b"new" * 11)
    listed = [Listed("ping_ids", 1, 0, ""), Listed("ping_ids", rotations, START, "")]
    before, later = keys_at(secrets, listed, START - 1), keys_at(secrets, listed, START)
    for signing in (before, later):
        text = ping_id(signing, "my_endpoint", random_id, choice)
        assert len(text) == 35
        assert text[:3] == ("pg_" if choice == TRY_ALL else "pb_")
        assert (
            read_ping_id(before, "my_endpoint", text) == read_ping_id(later, "my_endpoint", text) == (random_id, choice)
        )
        assert read_ping_id(later, "other", text) is None


def test_a_ping_id_of_a_key_that_is_not_known_is_unknown_and_says_so() -> None:
    old, new = keys_at(BEGAN, [], START), after("ping_ids", START, now=START)
    text = ping_id(new, "my_endpoint", ID)
    assert read_ping_id(old, "my_endpoint", text) is None
    assert needs_newer_key(old, "my_endpoint", text)
    assert not needs_newer_key(new, "my_endpoint", text)
    assert not needs_newer_key(old, "my_endpoint", ping_id(old, "my_endpoint", ID))
    assert not needs_newer_key(old, "my_endpoint", "pg_short")


def test_the_key_that_signs_changes_at_its_time_and_the_earlier_one_is_still_read() -> None:
    for now, signs in ((START - 1, ""), (START, "2.")):
        keys = after("tokens", START, now=now)
        assert token_hash(keys, "secret").startswith(signs)
        assert {*token_hashes(keys, "secret")} == {*token_hashes(after("tokens", START, now=START), "secret")}
    assert token_hashes(after("tokens", START, now=START), "secret")[1] == token_hash(keys_at(BEGAN, [], 0), "secret")
    assert [key_of_token(each) for each in token_hashes(after("tokens", START, now=START), "secret")] == [2, 1]


def test_what_a_caller_left_is_looked_up_under_every_key_and_says_which() -> None:
    keys = after("callers", START, START + BOTH_SECONDS, now=START + BOTH_SECONDS)
    assert [key_of_caller(key) for key in caller_keys(keys, "sold", CALLER)] == [3, 2, 1]
    assert [key_of_caller(key) for key in caller_hashes(keys, CALLER)] == [3, 2, 1]
    assert caller_key(keys, "sold", CALLER) == caller_keys(keys, "sold", CALLER)[0]
    began = keys_at(BEGAN, [], 0)
    assert caller_hashes(keys, CALLER)[2] == caller_hash(began, CALLER)


@given(st.integers(0, 2 * BOTH_SECONDS), st.integers(0, WAIT_SECONDS))
def test_two_processes_that_differ_by_seconds_always_guard_a_sale_by_one_item(at: int, apart: int) -> None:
    """Also where one of them does not know the new key yet."""
    one, other = (after("callers", START, now=START - WAIT_SECONDS + at + late) for late in (0, apart))
    assert {*route_keys(one, "+1", CALLER)} & {*route_keys(other, "+1", CALLER)}
    lead = Lead(caller_id=CALLER)
    assert {*retry_keys(one, [], "", "", lead)} & {*retry_keys(other, [], "", "", lead)}
    if START - WAIT_SECONDS + at < START:
        assert route_keys(one, "+1", CALLER) == route_keys(keys_at(BEGAN, [], 0), "+1", CALLER)


def test_sales_are_guarded_under_the_old_key_first_and_under_the_new_one_alone_in_the_end() -> None:
    for now, ids in (
        (START - 1, [1]),
        (START, [1, 2]),
        (START + BOTH_SECONDS - 1, [1, 2]),
        (START + BOTH_SECONDS, [2]),
    ):
        assert [key.id for key in after("callers", START, now=now).sales] == ids


def test_a_live_buyer_knows_a_ping_by_the_same_key_for_ever() -> None:
    began, now = keys_at(BEGAN, [], 0), after("ping_ids", START, now=START)
    assert ask_key(began, ID, 1) == ask_key(now, ID, 1)
    assert ask_key(of_sandbox(began), ID, 1) == ask_key(of_sandbox(now), ID, 1) != ask_key(now, ID, 1)


def test_a_lease_counts_for_who_holds_it_whichever_keys_are_rotated() -> None:
    began = keys_at(BEGAN, [], 0)
    for kind in SHARED:
        now = after(kind, START, now=START)
        assert holder_tag(now, "address", "192.0.2.1") == holder_tag(began, "address", "192.0.2.1")
        assert caller_tag(now, "my_endpoint", CALLER) == caller_tag(began, "my_endpoint", CALLER)
    assert caller_tag(of_sandbox(began), "my_endpoint", CALLER) != caller_tag(began, "my_endpoint", CALLER)


def test_keys_are_written_and_read_again() -> None:
    secrets, listed = rotated("callers", START)
    text = key_list.write(secrets, SHARED)
    assert key_list.read(text, b"", SHARED) == secrets
    assert keys_at(key_list.read(text, b"", SHARED), listed, START) == keys_at(secrets, listed, START)
    assert "sessions" not in json.loads(text)["keys"]


def test_the_key_of_callers_cannot_be_made_of_the_others() -> None:
    """It outlives them: the secret that all were derived from is not kept."""
    text = key_list.write(BEGAN.with_key("tokens", 2, b"2" * 32), SHARED)
    assert ROOT.hex() not in text


@pytest.mark.parametrize(
    "text", ["{", '{"keys": {}}', '{"keys": {"callers": {"1": "xx"}}}', '{"keys": {"callers": {}}}']
)
def test_a_secret_that_cannot_be_read_is_a_sentence_without_it(text: str) -> None:
    with pytest.raises(BadSecret, match="secret") as bad:
        key_list.read(text, b"", SHARED)
    assert text not in str(bad.value)


def test_a_key_that_is_missing_or_another_one_is_found_out() -> None:
    secrets, listed = rotated("callers", START)
    assert key_list.missing_keys(secrets, listed) == []
    assert key_list.missing_keys(BEGAN, listed) == listed[1:]
    assert key_list.missing_keys(key_list.read("", b"another", SHARED), listed) == listed
    sessions = key_list.read("", ROOT, DASHBOARDS)
    assert key_list.missing_keys(sessions, listed) == []  # nothing that it has to know


def test_publishers_functions_have_no_key_of_sessions() -> None:
    assert keys_at(BEGAN, [], 0).sessions == ()
    assert repr(BEGAN) == "Secrets()"
