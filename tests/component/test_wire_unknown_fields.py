"""Unknown fields are kept up to 2 KB, and what is stored of a lead has an end; what makes another lead has none."""

import json
import random
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.counted import write_units
from shared.domain import fields
from shared.domain.fields import LEAD_BYTES, NAMES_SHOWN, UNKNOWN_BYTES
from shared.domain.models import Field, Lead
from tests.build import CALLER, CONTACT_FIELDS, Answer, Publisher, Stage, a_buyer, an_endpoint

MOST_UNITS_OF_UNKNOWN_FIELDS = 4
MOST_UNITS_OF_A_PING = 18
"""As docs/how-to/what-it-costs.md says, for the table."""


def noise(length: int, seed: int = 0) -> str:
    """Text that no compression makes much smaller."""
    letters = string.ascii_letters + string.digits + string.punctuation
    return "".join(random.Random(seed).choices(letters, k=length))


def stored(stage: Stage, answer: Answer) -> dict[str, str]:
    ping = stage.kept(answer.body["try_all_buyers_ping_id"]).ping
    assert ping
    return dict(ping.lead)


def largest(stage: Stage) -> int:
    """The write units of the largest item in the table of pings."""
    return max(map(write_units, stage.client.scan(TableName=stage.settings.pings_table)["Items"]))


FLOODS = {
    "one long field": {"a": noise(60_000)},
    "many fields": {f"f{n}": noise(40, n) for n in range(1200)},
    "long names": {noise(500, n): "1" for n in range(100)},
    "tiny fields": {f"{n:x}": "1" for n in range(5000)},
}


@pytest.mark.parametrize("verb", ["ping", "post", "full"])
@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_of_unknown_fields_is_few_write_units(
    stage: Stage, publisher: Publisher, verb: str, flood: str
) -> None:
    stage.publish(an_endpoint())
    answer = publisher.send(verb, json_body=FLOODS[flood] | {"caller_id": CALLER})
    assert answer.body["success"]
    assert largest(stage) <= MOST_UNITS_OF_UNKNOWN_FIELDS
    assert len(json.dumps(answer.body["warnings"])) < 4000


def test_a_post_adds_what_its_ping_has_left_room_for(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    first = {"a": noise(1500, 1), "b": noise(500, 2)}
    ping_id = publisher.send("ping", json_body=first).body["try_all_buyers_ping_id"]
    second = {"c": noise(40), "d": noise(1000)}
    answer = publisher.send("post", json_body=first | second | {"ping_id": ping_id, "caller_id": CALLER})
    assert answer.body["success"]
    assert answer.body["warnings"].keys() == {"d"}
    sale = stage.kept(ping_id).sale
    assert sale
    assert sale.posted == {"caller_id": CALLER, "c": second["c"]}


def test_the_most_that_a_ping_can_cost_is_what_the_readme_says(stage: Stage, publisher: Publisher) -> None:
    texts = tuple(Field(name=f"text_{n}", max_length=10_000) for n in range(30))
    buyers = tuple(a_buyer(id=n, bid_cents=1000 + n) for n in range(1, 50))
    stage.publish(an_endpoint(fields=(*CONTACT_FIELDS, *texts), buyers=buyers))
    sent = {f"text_{n}": noise(1900, n) for n in range(20)} | {f"u{n}": noise(40, n) for n in range(150)}
    answer = publisher.send("ping", json_body=sent)
    assert answer.body["success"]
    assert MOST_UNITS_OF_A_PING - 5 < largest(stage) <= MOST_UNITS_OF_A_PING


@given(st.dictionaries(st.text(max_size=300), st.text(max_size=900)), st.randoms(use_true_random=False))
def test_what_is_kept_is_never_more_and_always_the_same(sent: dict[str, str], shuffled: random.Random) -> None:
    kept, rest = fields.keep(CONTACT_FIELDS, Lead(sent), {})
    assert kept | rest == sent
    unknown = {name: value for name, value in kept.items() if name not in fields.known(CONTACT_FIELDS)}
    assert sum(len(name.encode()) + len(value.encode()) for name, value in unknown.items()) <= UNKNOWN_BYTES
    names = [*sent]
    shuffled.shuffle(names)
    assert fields.keep(CONTACT_FIELDS, Lead({name: sent[name] for name in names}), {}) == (kept, rest)


def test_the_shortest_are_kept_first_and_equal_ones_by_name(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    answer = publisher.send("ping", json_body={"blob": "x" * 3000, "gclid": "1", "c": "3" * 999, "b": "2" * 999,
                                               "a": "1" * 999})  # fmt: skip
    assert stored(stage, answer).keys() == {"gclid", "a", "b"}
    assert answer.body["warnings"].keys() == {"blob", "c"}


def test_up_to_2_kb_every_unknown_field_is_kept_and_nothing_is_said(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    answer = publisher.send("ping", json_body={"note": "n" * (UNKNOWN_BYTES - 4)})
    assert stored(stage, answer) == {"note": "n" * (UNKNOWN_BYTES - 4)}
    assert "warnings" not in answer.body


def test_the_warnings_name_few_fields_and_none_that_reads_like_a_sale(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    flood = {f"{n:03}" + "f" * 50: "v" * 1900 for n in range(30)}
    odd = {"n" * 65: "v" * 1999, "terms_Accepted": "v" * 1998}
    answer = publisher.send("ping", json_body=flood | odd)
    said = answer.body["warnings"]
    assert len(said) == NAMES_SHOWN + 1
    assert not {*said} & {*odd}
    left_out = 32 - len(stored(stage, answer))
    assert said["unknown_fields"][0].endswith(f" {left_out - NAMES_SHOWN} fields were left out.")
    assert not fields.MISLEADING.search(json.dumps(said))


@pytest.mark.parametrize("verb", ["ping", "post", "full"])
def test_the_body_of_no_matching_buyer_stays_as_it_is(stage: Stage, publisher: Publisher, verb: str) -> None:
    stage.publish(an_endpoint(buyers=(a_buyer(paused=True),)))
    assert publisher.send(verb, json_body={"a": noise(9000), "caller_id": CALLER}).text == (
        '{"success":false,"status":"no_matching_buyer","errors":["There are no matching buyers."],"buyers":[]}'
    )


def test_the_fields_of_the_offer_have_16_kb_in_all(stage: Stage, publisher: Publisher) -> None:
    texts = (Field(name="long", max_length=10_000), Field(name="longer", max_length=10_000), Field(name="zip"))
    stage.publish(an_endpoint(fields=(*CONTACT_FIELDS, *texts)))
    sent = {"long": "a" * 9000, "longer": "b" * 9500, "zip": "30340"}
    answer = publisher.send("ping", json_body=sent)
    assert stored(stage, answer).keys() == {"long", "zip"}
    assert answer.body["warnings"] == {
        "longer": ["longer must be shorter: the fields of a lead have 16 KB in all. It was left out."]
    }
    fits = {"long": "a" * 8192, "longer": "b" * (LEAD_BYTES - 8192 - 5), "zip": "30340"}
    assert stored(stage, publisher.send("ping", json_body=fits)) == fits


# What is cut still makes another lead.

LONG: dict[str, Any] = {"zip": "30340", "session": "s" * 5000}


@pytest.mark.parametrize("verb", ["post", "full"])
@pytest.mark.parametrize(
    "other", [{"session": "s" * 4999 + "t"}, {"more": "m" * 5000}, {"age": "old"}, {"caller_id": "f" * 64}], ids=list
)
def test_without_a_caller_what_is_not_kept_makes_another_lead(
    stage: Stage, publisher: Publisher, verb: str, other: dict[str, Any]
) -> None:
    typed = (Field(name="zip"), Field(name="age", type="integer"), Field(name="caller_id", type="phone"))
    stage.publish(an_endpoint(fields=typed))
    one = LONG | {"age": "young", "caller_id": "e" * 64}
    sales = [publisher.send(verb, json_body=sent).body for sent in (one, one | other, one)]
    assert all(sale["success"] for sale in sales)
    assert sales[0]["trackdrive_number"] != sales[1]["trackdrive_number"]
    assert sales[0] == sales[2]


def test_what_a_ping_has_cut_makes_its_post_under_a_key_another_lead(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(fields=(Field(name="zip"),)))

    def sold(session: str) -> str:
        ping_id = publisher.send("ping", json_body=LONG | {"session": session}).body["try_all_buyers_ping_id"]
        sent = {"ping_id": ping_id, "zip": "30340"}
        answer = publisher.send("post", json_body=sent, headers={"Idempotency-Key": "key-1"})
        return str(answer.body["trackdrive_number"])

    assert sold("s" * 5000) == sold("s" * 5000) != sold("s" * 4999 + "t")
