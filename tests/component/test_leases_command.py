"""What an operator sees of the leases of a pool by command, and how those that were taken by mistake are released."""

import time

import pytest

from shared.domain.leasing import Lease
from shared.store.dynamo import Dynamo
from shared.store.records import Records
from shared.store.rings import Rings
from tests.build import CALLER, KEYS, SETTINGS, Publisher, Stage
from tests.component.conftest import Command
from tests.configurations import a_configuration, a_ring_pool, a_user, an_endpoint

POOL = "auto-us"
TOKEN = "acme-s3cret"
LEASE_SECONDS, COOLDOWN_SECONDS = 360, 60


@pytest.fixture
def records(stage: Stage) -> Records:
    return Records(Dynamo(stage.client, SETTINGS), KEYS, stage.clock)


@pytest.fixture
def command(command: Command, stage: Stage, records: Records, monkeypatch: pytest.MonkeyPatch) -> Command:
    """By the stage's clock."""
    monkeypatch.setattr(time, "time", lambda: float(stage.clock.now))
    records.applying.apply(
        a_configuration(
            ring_pools=[a_ring_pool(numbers=["+18005550100-+18005550103"])],
            endpoints=[an_endpoint(), an_endpoint(vanity_uri="paid", require_auth_token=True)],
            users=[a_user(name="acme")],
        ),
        "somebody",
    )
    records.tokens.issue("acme", "somebody", TOKEN)
    return command


def leases(records: Records) -> dict[str, Lease]:
    pool = records.versions.current().pools[POOL]
    rings = records.rings.look(pool, pool.shards)
    return {lease.number: lease for shard in pool.shards for lease in rings[shard.id].leases(shard.numbers)}


def released(records: Records) -> list[str]:
    last = records.versions.history(1)[0][0]
    return [change.path for change in last.changes if change.now is None]


def test_live_leases_are_listed_with_what_is_known_of_them(
    command: Command, stage: Stage, publisher: Publisher, records: Records
) -> None:
    ping_id = publisher.ping(caller_id=CALLER).body["try_all_buyers_ping_id"]
    number = publisher.post(ping_id=ping_id).body["trackdrive_number"]
    stage.clock.forward(1)
    publisher.full("paid", caller_id="+16145550124", auth_token=TOKEN)
    pool = records.versions.current().pools[POOL]
    records.rings.lease(pool, pool.terms, b"ping of none", stage.clock() + 1, {})
    first, second, third, last = command("leases", "list", POOL).output.splitlines()
    assert first == f"+{number}  held until 2100-01-01 00:05:00 UTC  {ping_id}  my_endpoint  caller +1614•••23"
    assert second.endswith("  paid  user acme  caller +1614•••24")
    assert third.endswith("  held until 2100-01-01 00:05:02 UTC  ping not known")
    assert last == "3 live leases."
    stage.clock.forward(LEASE_SECONDS - COOLDOWN_SECONDS)
    assert "  rests until 2100-01-01 00:06:00 UTC  " in command("leases", "list", POOL).output
    stage.clock.forward(COOLDOWN_SECONDS + 1)
    assert command("leases", "list", POOL).output == "0 live leases.\n"


def test_a_released_number_is_free_after_its_cooldown_and_a_retry_is_answered_as_before(
    command: Command, stage: Stage, publisher: Publisher, records: Records
) -> None:
    sent = {"caller_id": CALLER, "ping_id": publisher.ping(caller_id=CALLER).body["try_all_buyers_ping_id"]}
    sold = publisher.post(**sent)
    number = "+" + sold.body["trackdrive_number"]
    assert command("leases", "release", POOL, number, input="n\n").exit_code == 1
    assert leases(records)[number].expires_at == stage.clock() + LEASE_SECONDS
    told = command("leases", "release", POOL, number, input="y\n")
    assert told.output.endswith("1 released; the numbers are free after the cooldown.\n"), told.output
    assert leases(records)[number].expires_at == stage.clock() + COOLDOWN_SECONDS
    assert released(records) == [f"ring_pools[{POOL}].leases[{number}]"]
    assert records.versions.history(1)[0][0].by
    shown = command("history").output.splitlines()[1]
    assert shown == f"- ring_pools[{POOL}].leases[{number}]  held until 2100-01-01 00:05:00 UTC"
    assert publisher.post(**sent).text == sold.text
    before = leases(records)
    assert command("leases", "release", POOL, number, "--yes").exit_code == 1, "it is released already"
    assert leases(records) == before
    others = [publisher.full(caller_id=f"+161455501{n:02}").body for n in range(30, 33)]
    assert number.removeprefix("+") not in {other["trackdrive_number"] for other in others}
    assert publisher.full(caller_id="+16145550140").body["retry_after_seconds"] == COOLDOWN_SECONDS
    stage.clock.forward(COOLDOWN_SECONDS)
    assert "+" + publisher.full(caller_id="+16145550140").body["trackdrive_number"] == number
    assert publisher.post(**sent).text == sold.text


@pytest.mark.parametrize("chosen", ["--user", "--address", "--ping"])
def test_leases_are_released_by_who_holds_them(
    command: Command, publisher: Publisher, records: Records, chosen: str
) -> None:
    mine = publisher.full("paid", caller_id=CALLER, auth_token=TOKEN).body
    theirs = publisher.send("full", json_body={"caller_id": CALLER}, source_address="2001:db8::1").body
    other = publisher.full(caller_id="+16145550124").body
    found = {
        "--user": ("acme", mine),
        "--address": ("2001:db8::2", theirs),
        "--ping": (other["buyers"][0]["ping_id"], other),
    }
    name, sold = found[chosen]
    told = command("leases", "release", POOL, chosen, name, "--yes")
    assert told.exit_code == 0, told.output
    assert released(records) == [f"ring_pools[{POOL}].leases[+{sold['trackdrive_number']}]"]
    ends = {lease.expires_at for number, lease in leases(records).items() if number[1:] != sold["trackdrive_number"]}
    assert records.now() + COOLDOWN_SECONDS not in ends


def test_what_is_being_sold_just_now_is_not_released(
    command: Command, stage: Stage, publisher: Publisher, records: Records
) -> None:
    dying = stage.world()
    dying.pings.record = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        publisher.send("full", world=dying, json_body={"caller_id": CALLER})
    [number] = [lease.number for lease in leases(records).values() if lease.ping_id]
    told = command("leases", "release", POOL, number, "--yes")
    assert (told.exit_code, "unfinished sales" in told.stderr) == (1, True)
    assert leases(records)[number].expires_at == stage.clock() + LEASE_SECONDS


def test_what_cannot_be_released_is_said(command: Command) -> None:
    for arguments, sentence in (
        ([POOL], "Name numbers, or give --user, --ping or --address."),
        ([POOL, "12"], "Numbers must be telephone numbers, like +18005550100."),
        ([POOL, "+18005550100"], "No such lease is held now. Leases of unfinished sales are left out."),
    ):
        told = command("leases", "release", *arguments, "--yes")
        assert (told.exit_code, told.stderr) == (1, f"{sentence}\n")
    assert command("leases", "list", "no-pool").exit_code == 1


@pytest.mark.usefixtures("command")
def test_a_release_that_comes_late_changes_nothing_of_a_later_lease(stage: Stage, records: Records) -> None:
    pool = records.versions.current().pools[POOL]
    [shard] = pool.shards
    rings = Rings(Dynamo(stage.client, SETTINGS), {})
    lease = rings.lease(pool, pool.terms, b"%012d" % 1, stage.clock(), {})
    assert rings.release(pool, shard, lease, stage.clock() + COOLDOWN_SECONDS, stage.clock())
    stage.clock.forward(LEASE_SECONDS)
    for n in range(2, 6):
        rings.lease(pool, pool.terms, b"%012d" % n, stage.clock(), {})
    before = leases(records)
    assert not rings.release(pool, shard, lease, stage.clock(), stage.clock())
    assert leases(records) == before
