"""The demonstration that the local run starts with."""

import os
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING

from shared.domain import keys
from shared.settings import Settings
from shared.store.dynamo import Dynamo
from shared.store.records import Records
from tools import configure

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ENDPOINTS = {
    "my_endpoint": "auto insurance, numbers leased from a ring pool, no token",
    "static_endpoint": "auto insurance, one static number per traffic source, no token",
    "secure_endpoint": "auto insurance, numbers leased from a ring pool, the token required",
    "strict_endpoint": "zip and caller_id required on PING, no token",
}
LEAD = "traffic_source_id=1023&caller_id=%2B16145550123&state=TX&zip=30340"
ANOTHER_LEAD = "traffic_source_id=1023&caller_id=%2B16145550124&state=TX&zip=30340"

CONFIGURATION = Path(__file__).with_name("demo.yaml")
PUBLISHER = "demo-publisher"
TOKEN = "RINGPOST_DEMO_TOKEN"  # noqa: S105 - the variable's name
"""The environment variable that sets the demo token."""


def prepare(client: "DynamoDBClient", settings: Settings, data: Path) -> str:
    """Loads the demo configuration once, and gives the demo token: a publisher's, the same at every start."""
    configure.note(data, client.meta.endpoint_url, settings)
    signing_keys = keys.derive(bytes.fromhex(settings.secret))
    records = Records(Dynamo(client, settings), signing_keys, lambda: int(time.time()))
    if not records.live().version:
        wanted, _ = configure.load(CONFIGURATION)
        records.apply(wanted, "demo")
    if PUBLISHER not in records.live().names("users"):
        return f"(none: the live configuration has no user {PUBLISHER})"
    return _token(records, data / "demo-token")


def _token(records: Records, file: Path) -> str:
    """The one in the file, which is its owner's to read, or the one that the environment sets in its place."""
    kept = file.read_text() if file.exists() else ""
    wanted = os.environ.get(TOKEN) or kept or f"rp_{secrets.token_urlsafe(24)}"
    issued = [token.id for token in records.tokens(PUBLISHER)]
    if kept != wanted and kept and (old := records.token_id(kept)) in issued:
        records.revoke(old)
    if records.token_id(wanted) not in issued:
        records.issue(PUBLISHER, wanted)
    with open(file, "w", opener=lambda name, flags: os.open(name, flags, mode=0o600)) as written:
        written.write(wanted)
    return wanted
