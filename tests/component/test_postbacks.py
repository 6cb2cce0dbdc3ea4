"""Postbacks over the whole way: from the stream over the queue to a receiver that answers in every way there is."""

import json
import socket
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from threading import Thread
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from shared import configuration
from shared.bidders.asking import Asking
from shared.domain.live_bids import Call, Reply, Silence
from shared.domain.models import Pays
from shared.domain.receivers import EVENTS, Happening
from shared.postbacks import schedule
from shared.postbacks.again import find_dead, wait_again
from shared.postbacks.queue import Message
from shared.postbacks.signing import message_id, own_secret
from shared.store.dynamo import Dynamo
from shared.store.packing import pack_json
from shared.store.postbacks import FAILING, Postback, Postbacks, State
from tests.build import CALLER, KEYS, Answering, Publisher, Stage, a_buyer
from tests.component.conftest import Command
from tests.component.test_calls import sell, takes_calls
from tests.configurations import Plain, a_receiver
from tests.office import USERS, Operator, as_user, opened, records
from tests.phone import Phone
from tests.visits import Guest

URL = "https://tracker.example/postback"
OK, BROKEN, GONE = Reply(200, b""), Reply(500, b""), Reply(410, b"")
HANGS = Silence("no answer within 10000 ms", sent=True)


@pytest.fixture
def stage(fast_stage: Stage) -> Stage:
    fast_stage.publish(takes_calls(buyers=(a_buyer(pays=Pays("answered")),)))
    return fast_stage


def configure(stage: Stage, *receivers: Plain, version: int = 1) -> None:
    """Make receivers those of the live configuration."""
    table = stage.settings.config_table
    for each in receivers:
        body = configuration.Receiver.model_validate(each).model_dump(mode="json", exclude_defaults=True)
        key = {"pk": {"S": f"CONFIG#{version:08}"}, "sk": {"S": f"receiver#{each['name']}"}}
        stage.client.put_item(TableName=table, Item={**key, "body": {"B": pack_json(body)}})
    pointer = {"pk": {"S": "CONFIG"}, "sk": {"S": "LIVE"}, "version": {"N": str(version)}}
    stage.client.put_item(TableName=table, Item=pointer)


def receiving(stage: Stage, script: Callable[[Call], Reply | Silence] = lambda _: OK) -> Answering:
    stage.receiving = Answering(script)
    return stage.receiving


def postbacks(stage: Stage) -> Postbacks:
    return Postbacks(Dynamo(stage.client, stage.settings))


def event(n: int = 0, kind: str = "call.converted") -> Happening:
    return Happening(type=kind, at=1, call=n.to_bytes(12, "big"), user="acme-media", connected=True)


def announce(stage: Stage, count: int = 1, receiver: str = "tracker", start: int = 0) -> list[str]:
    """Put the first messages of so many events on the queue: their ids."""
    messages = [
        Message(id=message_id(KEYS, event(n).key, receiver), receiver=receiver, happening=event(n))
        for n in range(start, start + count)
    ]
    stage.queue.send(messages)
    return [message.id for message in messages]


def find(stage: Stage, some_id: str) -> Postback:
    found = postbacks(stage).find(some_id)
    assert found
    return found


def logged(stage: Stage, receiver: str = "tracker") -> list[tuple[int, State]]:
    """Each try with its status and what became of it, the first one first."""
    return [(made.status, made.state) for _, made in reversed(postbacks(stage).tries(receiver, 1000))]


def run_until_over(stage: Stage, some_id: str) -> Iterator[int]:
    """The times of the tries of a postback."""
    tries = 0
    while (now := find(stage, some_id)).state == "waiting":
        if now.tries > tries:
            tries = now.tries
            yield stage.clock()
        stage.clock.now = max(stage.clock(), stage.queue.next_at() or now.next_at)
        stage.due_work().do_all()
        stage.send_postbacks()
        if not stage.queue.held and find(stage, some_id).tries == tries:
            stage.clock.forward(60)
    yield stage.clock()


# From the stream


def test_each_event_of_a_sale_and_its_call_comes_once_and_verifies(stage: Stage, publisher: Publisher) -> None:
    configure(stage, a_receiver(events=[*EVENTS], url=URL))
    told = receiving(stage).told
    phone = Phone(stage, sell(publisher))
    phone.rings()
    phone.talks(95)
    stage.do_due(600)
    stage.send_postbacks()
    bodies = [json.loads(call.body) for call in told]
    kinds = [body["type"] for body in bodies]
    assert sorted(kinds) == sorted(["sale.made", "call.arrived", "call.connected", "call.ended", "call.converted"])
    assert len({call.headers["webhook-id"] for call in told}) == 5
    secret = own_secret(KEYS, "tracker")
    for call in told:
        headers = call.headers | {"webhook-timestamp": call.headers["webhook-timestamp"]}
        assert headers["webhook-signature"] == Webhook(secret).sign(
            headers["webhook-id"], at(int(headers["webhook-timestamp"])), call.body.decode()
        )
    ended = next(body for body in bodies if body["type"] == "call.ended")["data"]
    assert (ended["call"]["status"], ended["call"]["seconds"], ended["call"]["revenue"]) == ("finished", 95, 25.0)
    assert ended["lead"]["caller_id"] == CALLER
    assert logged(stage) == [(200, "sent")] * 5
    stage.send_postbacks()
    assert len(told) == 5


def at(seconds: int) -> Any:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC)


def test_a_sale_that_was_never_called_is_told(stage: Stage, publisher: Publisher) -> None:
    configure(stage, a_receiver(events=["sale.never_called"], url=f"{URL}?sale=[sale_uuid]&number=[number]"))
    told = receiving(stage).told
    number = sell(publisher)
    stage.do_due(900)
    stage.send_postbacks()
    [call] = told
    assert f"number=%2B{number.removeprefix('+')}" in call.url


def test_a_batch_that_comes_again_says_the_same_once(stage: Stage, publisher: Publisher) -> None:
    configure(stage, a_receiver(events=["sale.made"], url=URL))
    told = receiving(stage).told
    sell(publisher)
    stage.bring_stream()
    stage.queue.held *= 3
    stage.send_postbacks()
    assert len(told) == 1


def test_a_condition_is_about_the_lead_and_the_call(stage: Stage) -> None:
    configure(stage, a_receiver(url=URL, when=["call.connected == true", "zip exists"]))
    told = receiving(stage).told
    [some_id] = announce(stage)
    stage.send_postbacks()
    assert (told, find(stage, some_id).state, logged(stage)) == ([], "unwanted", [])


def test_a_receiver_that_is_gone_from_the_configuration_gets_nothing(stage: Stage) -> None:
    configure(stage, a_receiver(url=URL))
    announce(stage)
    configure(stage, version=2)
    told = receiving(stage).told
    stage.send_postbacks()
    assert (told, stage.queue.held) == ([], [])


# Signatures and addresses


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_the_public_package_verifies_what_comes_also_while_the_secret_is_changed(stage: Stage, method: str) -> None:
    old, new, other = (f"whsec_{b64encode(letter * 24).decode()}" for letter in (b"o", b"n", b"x"))
    stage.secrets |= {"old": old, "new": new.removeprefix("whsec_")}
    stage.clock.now = int(time.time())  # the package looks at it itself
    for version, receiver, knows in [
        (1, a_receiver(url=URL, method=method), [own_secret(KEYS, "tracker")]),
        (2, a_receiver(url=URL, method=method, secret="{secret.old}"), [old]),
        (3, a_receiver(url=URL, method=method, secret="{secret.new}", previous_secret="{secret.old}"), [new, old]),
        (4, a_receiver(url=URL, method=method, secret="{secret.new}"), [new]),
    ]:
        configure(stage, receiver, version=version)
        told = receiving(stage).told
        announce(stage, start=version)
        stage.send_postbacks()
        [call] = told
        assert len(call.headers["webhook-signature"].split()) == len(knows)
        for secret in knows:
            Webhook(secret).verify(call.body, call.headers, json_parse=False)
        with pytest.raises(WebhookVerificationError):
            Webhook(other).verify(call.body, call.headers, json_parse=False)


REFUSED = ("its address is not a public one", "its name is not found", "its URL is none")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]", "2130706433", "0x7f000001", "0x7f.1",
        "0177.0.0.1", "127.1", "localhost", "x.localhost.",
    ],
)  # fmt: skip
def test_a_receiver_at_a_private_address_gets_nothing_and_harms_nobody(stage: Stage, host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as inside, closing(Asking()) as asking:
        inside.setblocking(False)
        port = inside.getsockname()[1]
        stage.secrets["where"] = f"https://{host}:{port}"
        configure(
            stage,
            a_receiver(url=f"https://{host}:{port}/"),
            a_receiver(name="secret", url="{secret.where}/"),
        )
        stage.receiving = asking
        announce(stage)
        announce(stage, receiver="secret")
        stage.send_postbacks()
        for name in ("tracker", "secret"):
            [(_, made)] = postbacks(stage).tries(name, 9)
            assert (made.status, made.state) == (0, "waiting")
            assert made.reason in REFUSED, made
        with pytest.raises(BlockingIOError):
            inside.accept()


def test_a_redirect_to_another_address_is_not_followed(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as inside, closing(Asking(anywhere=True)) as asking:
        inside.setblocking(False)
        location = f"http://127.0.0.1:{inside.getsockname()[1]}/"
        with answering(f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n") as url:
            configure(stage, a_receiver(url=url))
            stage.receiving = asking
            announce(stage)
            stage.send_postbacks()
        assert logged(stage) == [(302, "waiting")]
        with pytest.raises(BlockingIOError):
            inside.accept()


@contextmanager
def answering(answer: str) -> Iterator[str]:
    """A server that answers one request: its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer.encode())

        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        thread.join()


# Retries


def test_what_fails_is_tried_ten_times_over_three_days_with_one_id_and_is_dead_then(stage: Stage) -> None:
    configure(stage, a_receiver(url=URL))
    told = receiving(stage, lambda _: BROKEN).told
    [some_id] = announce(stage)
    times = []
    stage.send_postbacks()
    for when in run_until_over(stage, some_id):
        times.append(when)
        postbacks(stage).resume("tracker", stage.clock())  # this is about one postback, and not about its receiver
    delays = [after - before for before, after in pairwise(times)]
    assert len(told) == len(schedule.DELAYS) + 1 == len(times)
    for waited, wanted in zip(delays, schedule.DELAYS, strict=True):
        assert wanted <= waited <= wanted * (1 + schedule.JITTER) + 180, (waited, wanted)
    assert {call.headers["webhook-id"] for call in told} == {some_id}
    assert len({call.headers["webhook-timestamp"] for call in told}) == len(told)
    assert logged(stage) == [*[(500, "waiting")] * len(schedule.DELAYS), (500, "dead")]
    assert [each.id for each in postbacks(stage).dead("tracker", 9)] == [some_id]


def test_a_dead_one_is_sent_again_with_its_id(stage: Stage) -> None:
    test_what_fails_is_tried_ten_times_over_three_days_with_one_id_and_is_dead_then(stage)
    [dead] = postbacks(stage).dead("tracker", 9)
    tries = find(stage, dead.id).tries
    told = receiving(stage).told
    again = Message(id=dead.id, receiver="tracker", n=tries, must=True, again=True)
    stage.queue.send([again, again])
    stage.send_postbacks()
    assert [call.headers["webhook-id"] for call in told] == [dead.id]
    assert find(stage, dead.id).state == "sent"
    assert postbacks(stage).dead("tracker", 9) == []


@pytest.mark.parametrize("answer", [BROKEN, HANGS, Reply(302, b""), Reply(404, b""), Silence("refused", sent=False)])
def test_whatever_is_no_success_is_tried_again(stage: Stage, answer: Reply | Silence) -> None:
    configure(stage, a_receiver(url=URL))
    answers = iter([answer, answer, OK])
    told = receiving(stage, lambda _: next(answers)).told
    [some_id] = announce(stage)
    stage.send_postbacks()
    assert list(run_until_over(stage, some_id))
    assert (len(told), find(stage, some_id).state) == (3, "sent")


def test_a_secret_that_is_not_set_is_told_and_tried_again_when_it_is(stage: Stage) -> None:
    configure(stage, a_receiver(url=f"{URL}?key={{secret.tracker}}", secret="{secret.signs}"))
    told = receiving(stage).told
    [some_id] = announce(stage)
    stage.send_postbacks()
    [(_, made)] = postbacks(stage).tries("tracker", 9)
    assert (made.status, made.reason) == (0, "the secret tracker is not set")
    stage.secrets |= {"tracker": "k", "signs": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}
    assert list(run_until_over(stage, some_id))
    assert [call.url for call in told] == [f"{URL}?key=k"]


# A receiver that fails


def test_five_failures_in_a_row_leave_a_receiver_alone_but_for_one_try_a_minute(stage: Stage) -> None:
    configure(stage, a_receiver(url=URL), a_receiver(name="other", url="https://other.example/"))
    is_well = False
    told = receiving(stage, lambda call: OK if is_well or "other" in call.url else BROKEN).told
    announce(stage, 40)
    announce(stage, 3, "other")
    stage.send_postbacks()
    mine = [call for call in told if "tracker" in call.url]
    assert FAILING <= len(mine) < 20
    assert len(told) - len(mine) == 3
    assert postbacks(stage).state_of("tracker").is_failing
    told.clear()
    stage.pass_minutes(10)
    assert 8 <= len(told) <= 11
    is_well = True
    told.clear()
    stage.pass_minutes(40)
    assert len({call.headers["webhook-id"] for call in told}) == len(told) == 40
    assert postbacks(stage).waiting("tracker", 99) == []


def test_what_has_waited_for_longer_than_its_tries_would_take_is_dead(stage: Stage) -> None:
    configure(stage, a_receiver(url=URL))
    receiving(stage, lambda _: GONE)
    some = announce(stage, 3)
    stage.send_postbacks()
    told = receiving(stage).told
    stage.clock.forward(schedule.TOTAL_SECONDS + 1)
    stage.waiting().go_on()
    stage.send_postbacks()
    assert told == []
    assert {find(stage, each).state for each in some} == {"dead"}
    assert {each.id for each in postbacks(stage).dead("tracker", 9)} == {*some}


def test_a_receiver_that_wants_no_more_is_paused_until_somebody_resumes_it(stage: Stage) -> None:
    configure(stage, a_receiver(url=URL))
    told = receiving(stage, lambda _: GONE).told
    some = announce(stage, 1) + announce(stage, 30, start=1)
    stage.send_postbacks()
    assert postbacks(stage).state_of("tracker").paused
    assert len(told) <= 10
    told.clear()
    stage.pass_minutes(5)
    assert told == []
    told = receiving(stage).told
    postbacks(stage).resume("tracker", stage.clock())
    stage.pass_minutes(3)
    assert {call.headers["webhook-id"] for call in told} == {*some}
    assert len(told) == len(some)


def test_a_pause_that_arrives_after_somebody_has_resumed_is_refused(stage: Stage) -> None:
    known = postbacks(stage)
    known.resume("tracker", 100)
    known.pause("tracker", tried_at=90, now=101)
    assert not known.state_of("tracker").paused
    known.pause("tracker", tried_at=100, now=101)
    assert not known.state_of("tracker").paused
    known.pause("tracker", tried_at=102, now=103)
    assert known.state_of("tracker").paused


def test_no_more_than_a_few_tries_of_one_receiver_run_at_once(stage: Stage) -> None:
    """The others come back to the queue, later each time, and nobody else's wait for them."""
    configure(stage, a_receiver(url=URL))
    known = postbacks(stage)
    now = stage.clock()
    for _ in range(5):
        assert known.take_slot(known.state_of("tracker"), now, now + 30) is not None
    told = receiving(stage).told
    [some_id] = announce(stage)
    stage.send_postbacks()
    assert told == []
    assert stage.queue.next_at() == now + 2
    stage.clock.forward(31)
    stage.send_postbacks()
    assert [call.headers["webhook-id"] for call in told] == [some_id]


def test_nothing_personal_is_kept_with_postbacks(stage: Stage, publisher: Publisher) -> None:
    configure(stage, a_receiver(events=[*EVENTS], url=f"{URL}?caller=[caller_id]"))
    told = receiving(stage, lambda _: BROKEN).told
    phone = Phone(stage, sell(publisher))
    phone.rings()
    stage.send_postbacks()
    assert CALLER.removeprefix("+") in told[0].url
    items = stage.client.scan(TableName=stage.settings.journal_table)["Items"]
    kept = [item for item in items if item["pk"]["S"].startswith(("POSTBACK#", "TRIES#", "WAITING#", "RECEIVER#"))]
    assert kept
    assert CALLER.removeprefix("+") not in repr(kept) + "".join(text for _, text in stage.queue.held)


# The office


def office_of(stage: Stage, **user: Any) -> tuple[Operator, Operator]:
    """An operator, and a publisher that may set receivers."""
    users = [each | user if each["name"] == "acme-media" else each for each in USERS]
    opened(stage, users=users, receivers=[a_receiver(url=URL)])
    return as_user(stage, "olga"), as_user(stage, "acme-media")


def test_an_operator_sees_how_a_receiver_fares_sends_a_test_and_what_was_dead_again(stage: Stage) -> None:
    olga, _ = office_of(stage)
    assert olga.get("/receivers/tracker/state")["state"] == "new"
    receiving(stage, lambda _: GONE)
    [some_id] = announce(stage)
    stage.send_postbacks()
    state = olga.get("/receivers/tracker/state")
    assert (state["state"], state["waiting"]) == ("paused", 1)
    told = receiving(stage).told
    stage.clock.forward(1)
    sent = olga.ask("POST", "/receivers/tracker/test")
    assert sent.code == 202
    stage.send_postbacks()
    [call] = told
    assert call.headers["webhook-id"] == sent.body["id"]
    assert json.loads(call.body)["type"] == "test"
    assert call.headers["webhook-signature"] == Webhook(state["secret"]).sign(
        sent.body["id"], at(int(call.headers["webhook-timestamp"])), call.body.decode()
    )
    assert olga.ask("POST", f"/receivers/tracker/postbacks/{some_id}/send_again").code == 409
    stage.clock.forward(schedule.TOTAL_SECONDS + 1)
    stage.waiting().go_on()
    stage.send_postbacks()
    [dead] = olga.get("/receivers/tracker/dead")["items"]
    assert dead["id"] == some_id
    assert olga.ask("POST", "/receivers/tracker/resume").body["state"] == "dead"
    again = olga.ask("POST", f"/receivers/tracker/postbacks/{some_id}/send_again")
    assert again.body == {"id": some_id}
    stage.send_postbacks()
    assert told[-1].headers["webhook-id"] == some_id
    assert olga.get("/receivers/tracker/state")["state"] == "ok"
    tries = olga.get("/receivers/tracker/tries")["items"]
    assert [(each["status"], each["event"]) for each in tries] == [
        (200, "call.converted"), (200, "test"), (410, "call.converted"),
    ]  # fmt: skip
    first = olga.get("/receivers/tracker/tries", "limit=1")
    assert olga.get("/receivers/tracker/tries", f"limit=2&after={first['next']}")["items"] == tries[1:]
    assert olga.ask("GET", "/receivers/tracker/tries", query="after=x").code == 422
    assert olga.ask("POST", "/receivers/none/test").code == 404


def test_a_viewer_sees_no_secret_and_sends_nothing(stage: Stage) -> None:
    office_of(stage)
    vera = as_user(stage, "vera")
    assert vera.get("/receivers/tracker/state")["secret"] is None
    assert vera.ask("POST", "/receivers/tracker/test").code == 403


OWN = a_receiver(name="mine", to="publisher", user="acme-media", url="https://mine.example/?payout=[payout]")


def test_a_publisher_sets_its_own_receivers_where_it_may_and_sees_no_others(stage: Stage) -> None:
    _, acme = office_of(stage, own_receivers=True)
    assert acme.get("/receivers")["items"] == []
    made = acme.ask("POST", "/receivers", OWN)
    assert made.code == 201, made.text
    assert acme.get("/receivers/mine") == made.body
    assert acme.get("/receivers/mine/state")["secret"].startswith("whsec_")
    assert acme.ask("POST", "/receivers/mine/test").code == 202
    for path in (
        "/receivers/tracker",
        "/receivers/tracker/state",
        "/receivers/tracker/tries",
        "/receivers/tracker/dead",
    ):
        assert acme.ask("GET", path).code == 404
    assert acme.ask("POST", "/receivers/tracker/test").code == 404
    assert acme.ask("PATCH", "/receivers/tracker", {"url": URL}, version="0").code == 404
    changed = acme.ask("PATCH", "/receivers/mine", {"method": "GET"}, version=made.body["version"])
    assert changed.code == 200
    assert acme.ask("DELETE", "/receivers/mine", version=changed.body["version"]).code == 204


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"to": "operator", "user": None}, "to"),
        ({"user": "bolt"}, "user"),
        ({"secret": "{secret.main}"}, "secret"),
        ({"url": "https://mine.example/?key={secret.main}"}, "secret"),
        ({"body": {"x": ["[secret.main]", "{secret.main}"]}}, "secret"),
        ({"body": {"name": "[buyer]"}}, "body.name"),
        ({"traffic_sources": ["77"]}, "traffic_sources[0]"),
    ],
)
def test_a_publisher_sets_nothing_that_is_not_its_own(stage: Stage, wrong: dict[str, Any], field: str) -> None:
    _, acme = office_of(stage, own_receivers=True)
    content = {name: value for name, value in (OWN | wrong).items() if value is not None}
    answer = acme.ask("POST", "/receivers", content)
    assert (answer.code, field in answer.body["errors"]) == (422, True), answer.text


def test_a_publisher_that_may_not_sets_none(stage: Stage) -> None:
    _, acme = office_of(stage)
    assert acme.ask("POST", "/receivers", OWN).code == 403


# The pages


def test_the_page_of_a_receiver_shows_its_tries_and_sends_tests(stage: Stage) -> None:
    office_of(stage)
    receiving(stage, lambda _: GONE)
    announce(stage)
    stage.send_postbacks()
    olga = Guest(stage, "olga")
    page = olga.open("/receivers/tracker")
    assert (page.code, "it answered 410" in page.text.lower()) == (200, True)
    assert "call.converted" in page.text
    told = receiving(stage).told
    assert olga.send(page, "/receivers/tracker/test").code == 200
    stage.send_postbacks()
    assert [json.loads(call.body)["type"] for call in told] == ["test"]
    assert olga.send(page, "/receivers/tracker/resume").code == 200
    stage.pass_minutes(2)
    assert len(told) == 2
    assert "ok" in olga.open("/receivers").text


def test_a_publisher_makes_a_receiver_on_its_page_where_it_may(stage: Stage) -> None:
    office_of(stage, own_receivers=True)
    acme = Guest(stage, "acme-media")
    given = {"name": "mine", "to": "publisher", "user": "acme-media", "events": "call.converted", "url": OWN["url"]}
    made = acme.fill(acme.open("/receivers", "new"), "/receivers", given)
    assert made.code == 200, made.text
    assert records(stage).versions.current().parts["receivers", "mine"] == {**OWN}
    assert acme.open("/receivers/tracker").code == 404
    assert "tracker" not in acme.open("/receivers").text
    wrong = acme.fill(acme.open("/receivers", "new"), "/receivers", given | {"name": "other", "to": "operator"})
    assert wrong.code == 422


def test_a_publisher_that_may_not_is_shown_no_form_of_its_own(stage: Stage) -> None:
    office_of(stage)
    acme = Guest(stage, "acme-media")
    assert "New receiver" not in acme.open("/receivers").text


# The command


def test_the_command_lists_what_is_dead_and_sends_it_again(
    stage: Stage, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: float(stage.clock.now))
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", stage.client.meta.endpoint_url)
    office_of(stage)
    receiving(stage, lambda _: GONE)
    first, *others = announce(stage, 120)
    stage.pass_minutes(2)
    stage.clock.forward(schedule.TOTAL_SECONDS + 1)
    stage.pass_minutes(2)
    assert command("postbacks", "list").output.splitlines()[0] == "tracker  paused  100 or more dead", (
        len(postbacks(stage).waiting("tracker", 500)),
        len(stage.queue.held),
    )
    listed = command("postbacks", "dead", "tracker").output.splitlines()
    assert {line.split()[0] for line in listed[:-1]} == {first, *others}
    assert listed[-1] == "120 dead postbacks."
    told = receiving(stage).told
    one = command("postbacks", "send-again", "tracker", first, "--yes").output
    assert one == "1 postback sent again: they leave when tracker is resumed, on its page.\n"
    assert command("postbacks", "send-again", "tracker", first).exit_code == 1
    postbacks(stage).resume("tracker", stage.clock())
    assert "within a minute" in command("postbacks", "send-again", "tracker", "--all", input="y\n").output
    assert command("postbacks", "send-again", "tracker", "--all").output == "There is none.\n"
    stage.pass_minutes(5)
    assert sorted(call.headers["webhook-id"] for call in told) == sorted([first, *others])


def test_sending_again_that_is_cut_off_is_begun_again(stage: Stage) -> None:
    configure(stage, a_receiver(url=URL))
    receiving(stage, lambda _: GONE)
    [some_id] = announce(stage)
    stage.send_postbacks()
    stage.clock.forward(schedule.TOTAL_SECONDS + 1)
    stage.pass_minutes(2)
    postbacks(stage).resume("tracker", stage.clock())
    known = postbacks(stage)
    [(entry, dead)] = find_dead(known, "tracker")
    known.revive(some_id, dead.tries, stage.clock())
    told = receiving(stage).told
    stage.pass_minutes(2)
    assert told == []
    for found in (*find_dead(known, "tracker"), (entry, dead)):
        wait_again(known, *found, stage.clock())
    stage.pass_minutes(2)
    assert [call.headers["webhook-id"] for call in told] == [some_id]
    assert [*find_dead(known, "tracker")] == []
