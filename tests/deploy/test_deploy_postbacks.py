"""Postbacks as deployed: from a sale over the queue to a try that is logged, and what the function may do."""

import json
import os
import time
from pathlib import Path

import pytest
import yaml

from shared.domain.receivers import Happening
from shared.postbacks import queue
from shared.postbacks.queue import Message
from shared.runtime import SILENT_SECONDS
from shared.store.postbacks import SLOTS, Postback, Try
from shared.store.receivers import RECEIVER_SECONDS
from tests.configurations import a_receiver
from tests.deploy.account import SECONDS, Stack
from tests.deploy.test_deploy import Grant, Role, a_ping, a_sale, apply, configure, postbacks
from tools.demo import CONFIGURATION

PRIVATE = "its address is not a public one"
"""Why a try fails that could be written and signed: there is no other address in the emulator."""


@pytest.fixture
def demo(stack: Stack, tmp_path: Path) -> Stack:
    """With one receiver, whose address and signature are secrets."""
    apply(stack, with_a_receiver(tmp_path, "first"))
    for name, value in (("where", "https://127.0.0.1"), ("signs", "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0")):
        done = configure(stack.account, "--stage", "dev", "secrets", "set", name, "--value", value)
        assert done.returncode == 0, done.stderr
    return stack


def with_a_receiver(directory: Path, path: str) -> Path:
    document = yaml.load(CONFIGURATION.read_text(), yaml.BaseLoader)
    events, url = ["sale.made", "call.converted"], f"{{secret.where}}/{path}"
    document["receivers"] = [a_receiver(events=events, url=url, secret="{secret.signs}")]
    file = directory / "receivers.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


def tries(stack: Stack) -> list[Try]:
    return [made for _, made in postbacks(stack).tries("tracker", 100)]


def test_a_sale_is_told_to_its_receiver_as_deployed(demo: Stack) -> None:
    a_sale(demo, a_ping(demo))
    give_up_at = time.monotonic() + SECONDS
    while not tries(demo) and time.monotonic() < give_up_at:
        time.sleep(0.5)
    assert {(made.type, made.reason, made.state) for made in tries(demo)} == {("sale.made", PRIVATE, "waiting")}


def test_the_function_of_postbacks_with_one_grant_less_fails(demo: Stack, tmp_path: Path) -> None:
    role = Role(demo, "postback")
    grants = [grant for grant in role.grants() if not grant.action.startswith(("logs:", "xray:"))]
    cold = [grant for grant in grants if grant.action.startswith("secretsmanager:")]
    remembered = [grant for grant in grants if "TablesConfig" in grant.resource]
    warm = [grant for grant in grants if grant not in (*cold, *remembered) and not is_of_the_queue(grant)]
    assert (len(cold), len(remembered), len(warm)) == (2, 2, 7)
    for grant in sorted(cold, key=lambda grant: "BuyerSecrets" in grant.resource):  # ours is read once, at start
        with role.without(grant):
            assert not does_all(demo), grant
    time.sleep(SILENT_SECONDS)
    assert does_all(demo)
    for grant in warm:
        with role.without(grant):
            assert not does_all(demo), grant
    for place, grant in enumerate(remembered):
        apply(demo, with_a_receiver(tmp_path, f"changed-{place}"))
        time.sleep(RECEIVER_SECONDS)
        with role.without(grant):
            assert not does_all(demo), grant
    assert does_all(demo)


def is_of_the_queue(grant: Grant) -> bool:
    """What brings its messages to the function: Lambda uses it, and the function does not."""
    return grant.action.startswith("sqs:") and grant.action != "sqs:SendMessage"


def does_all(stack: Stack) -> bool:
    """Whether the function tries one postback that is new and one that was dead, and notes what followed."""
    store, now = postbacks(stack), int(time.time())
    for slot in range(SLOTS):  # which one that failed in the middle keeps for half a minute
        store.free_slot("tracker", slot)
    store.resume("tracker", now)
    happening = Happening(type="call.converted", at=now, call=os.urandom(12), ping=os.urandom(12))
    new, dead = (f"msg_{os.urandom(16).hex()}" for _ in range(2))
    store.begin(Postback(id=dead, receiver="tracker", happening=happening, at=now))
    ended = store.set_aside(dead, 0, "dead", now)
    assert ended
    store.note_dead(ended)
    messages = [
        Message(id=new, receiver="tracker", happening=happening, must=True),
        Message(id=dead, receiver="tracker", must=True, again=True),
    ]
    records = [{"messageId": each.id, "body": queue.write(each)} for each in messages]
    [name] = [
        name for key, name in stack.resources("AWS::Lambda::Function").items() if key.startswith("FunctionsPostback")
    ]
    ran = stack.account.emulator.client("lambda").invoke(
        FunctionName=f"{name}:live", Payload=json.dumps({"Records": records})
    )
    if json.loads(ran["Payload"].read()) != {"batchItemFailures": []} or "FunctionError" in ran:
        return False
    well = {made.id for made in tries(stack) if made.reason == PRIVATE}
    return {new, dead} <= well and dead not in {each.id for each in store.dead("tracker", 100)}
