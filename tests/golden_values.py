"""Golden values: what each release packs into its tables, kept so that later code still reads it.

`python -m tests.golden_values NAME …` writes the present form to tests/golden/NAME: `next`, or a version, which gets a
golden world, too.
"""

import json
import shutil
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from shared.configuration import Change, Plain
from shared.domain.caps import Cap
from shared.domain.key_list import Listed
from shared.domain.live_bids import No, Yes
from shared.domain.models import Bid, CallRules, Earns, Facts, Lead, Limit, Margin, Ping, RingPool, Sale, Terms, User
from shared.store import compiled, packing, pings
from shared.store.packing import MANY
from shared.store.pings import Asked
from shared.store.routes import Route
from shared.store.versions import GivenUp
from tests import golden_world
from tests.build import CALLER, START, a_buyer, a_pool, an_endpoint

GOLDEN = Path(__file__).with_name("golden")
NEXT = "next"


class Kind(NamedTuple):
    """How a kind of value is packed and unpacked, and a value of it."""

    pack: Callable[[Any], bytes]
    unpack: Callable[[bytes], Any]
    sample: Any


HOUR = Cap("sales", 5, "hour")
PING = Ping(
    id=bytes(range(12)),
    endpoint="my_endpoint",
    version=12,
    lead=Lead(caller_id=CALLER, zip="30340", traffic_source_id="1023", note="Ünïcode"),
    bids=(Bid(2, 2500, 2125), Bid(1, 2000, 1700)),
    seed=bytes(range(8)),
    created_at=START,
    expires_at=START + 120,
    lead_until=START + 2_592_000,
    user="demo-publisher",
    facts=Facts(
        counted={1: {HOUR.code: 3}},
        listed=("do-not-call",),
        sold={"offer#auto": START - 9, "buyer#1": START - 9},
        said={
            2: Yes(cents=2500, reference="r-1", expires_at=START + 60, conversion_seconds=90),
            3: No("declined", True, "not now", True),
        },
        left_out=("age",),
        took={2: 180, 3: 900},
    ),
    rest=bytes(range(16)),
)
SALE = Sale(
    attempt=bytes(range(8)),
    buyer_id=2,
    cents=2500,
    bid_cents=2400,
    payout_cents=2125,
    number="+18005550100",
    sold_at=START + 10,
    held_until=START + 310,
    choice=2,
    posted=Lead(caller_id=CALLER),
    answer=b'{"success":true}',
    kept_until=START + 34_128_000,
    user="demo-publisher",
    overflow=True,
    said=Yes(cents=2500, reference="r-2", number="+18005550182", sip="sip:calls@buyer.example"),
    destination="+18005550182",
    pool="auto-us",
    pool_used=75,
    version=12,
)
ROUTE = Route(
    bytes(range(12)), 2, "+18005550182", True, START + 310, ("my_endpoint", "demo-publisher", "1023"), b"attempt!"
)
POOL = a_pool(numbers=40, no=3, overflow_number="+18005550199", pool_share=40, address_share=20)
ENDPOINT = an_endpoint(
    version=12,
    buyers=(
        a_buyer(tier=2, weight=50, paused=True, zone="America/New_York", traffic_sources=("1023",), caps=(HOUR,)),
        a_buyer(id=2, suppression=("do-not-call",), duplicate_seconds=3600, conversion_seconds=90),
    ),
    users=(User("demo-publisher", "publisher", ("1023",)),),
    pool=POOL,
    default_region="GB",
    bid_floor_cents=100,
    margin=Margin(cents=10, basis_points=1500),
    suppression=("do-not-call",),
    duplicate_seconds=86_400,
    limits=(Limit("user", 600, 60),),
    ping_deadline_ms=1200,
    post_deadline_ms=3000,
    lead_seconds=86_400,
    sale_seconds=172_800,
    require_caller_id=True,
    validation="strict",
    success_status="accepted",
    field_errors="list",
    buyer_columns=("id", "bid", "ping_id"),
    allowed_origins=("https://publisher.example",),
    instructions="token",
    sandbox=True,
    leases_per_caller=3,
    leases_per_address=30,
    pool_is_open=True,
    calls=CallRules("main", late_calls="unpaid", last_resort="+18005550199"),
    earns=Earns("duration", 30),
    shared_numbers=("+18005550171",),
)

KINDS = {
    "ping": Kind(packing.pack, lambda packed: packing.unpack(packed, Ping), PING),
    "ping_in_columns": Kind(
        packing.pack,
        lambda packed: packing.unpack(packed, Ping),
        msgspec.structs.replace(PING, bids=tuple(Bid(n, 9000 - n, 8000 - n) for n in range(1, MANY + 1))),
    ),
    "sale": Kind(packing.pack, lambda packed: packing.unpack(packed, Sale), SALE),
    "route": Kind(packing.pack, lambda packed: packing.unpack(packed, Route), ROUTE),
    "before": Kind(packing.pack, lambda packed: packing.unpack(packed, list[Route]), [ROUTE]),
    "terms": Kind(
        msgspec.msgpack.encode,
        lambda packed: msgspec.msgpack.decode(packed, type=Terms),
        Terms(300, 60, b"hold", b"call"),
    ),
    "asked": Kind(
        pings._packed,
        lambda packed: msgspec.msgpack.decode(packed, type=dict[int, Asked]),
        {2: Asked(START, Yes(cents=2500, reference="r-2")), 3: Asked(START + 1)},
    ),
    "compiled": Kind(compiled.pack, compiled.unpack, ENDPOINT),
    "body": Kind(
        packing.pack_json,
        lambda packed: packing.unpack_json(packed, Plain),
        {"name": "demo-publisher", "role": "publisher", "traffic_sources": ["1023"]},
    ),
    "layout": Kind(packing.pack_json, lambda packed: packing.unpack_json(packed, RingPool), POOL),
    "changes": Kind(
        packing.pack_json,
        lambda packed: packing.unpack_json(packed, list[Change]),
        [
            Change("offers[auto].margin", {"percent": 10}, {"percent": 15}),
            Change("users[new]", None, {"role": "viewer"}),
        ],
    ),
    "given_up": Kind(
        packing.pack_json,
        lambda packed: packing.unpack_json(packed, list[GivenUp]),
        [GivenUp("+18005550100", "pool#3", START, 300, bytes(range(8)))],
    ),
    "keys": Kind(
        msgspec.json.encode,
        lambda packed: msgspec.json.decode(packed, type=list[Listed]),
        [Listed("callers", 2, START, "0a1b")],
    ),
}
"""Every packed attribute, by its name, and the two forms of a ping."""


def plain(value: Any) -> Any:
    """A value as JSON has it; bytes as base64."""
    return msgspec.json.decode(msgspec.json.encode(value))


def write(name: str) -> None:
    """Write a golden value of each kind."""
    folder = GOLDEN / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for kind, (pack, _, sample) in KINDS.items():
        golden = {"packed": b64encode(pack(sample)).decode(), "value": plain(sample)}
        (folder / f"{kind}.json").write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n")


def read(file: Path) -> tuple[bytes, Any]:
    """The packed bytes of a golden value, and what they mean."""
    golden = json.loads(file.read_text())
    return b64decode(golden["packed"]), golden["value"]


def is_part(golden: Any, found: Any) -> bool:
    """Whether all of a golden value is there. What was added since may stand beside it, of a list behind it."""
    if isinstance(golden, dict):
        return isinstance(found, dict) and all(
            name in found and is_part(part, found[name]) for name, part in golden.items()
        )
    if isinstance(golden, list):
        return isinstance(found, list) and len(golden) <= len(found) and all(map(is_part, golden, found))
    return type(golden) is type(found) and bool(golden == found)


if __name__ == "__main__":
    for wanted in sys.argv[1:]:
        write(wanted)
        if wanted != NEXT:
            golden_world.write(wanted)
