"""The demonstration that the local run starts with."""

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from shared.settings import Settings
from shared.store.records import Records
from tools import document, stack_access

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ENDPOINTS = {
    "my_endpoint": "auto insurance, numbers leased from a ring pool, no token",
    "static_endpoint": "auto insurance, one static number per traffic source, no token",
    "shared_endpoint": "auto insurance, three numbers that all callers share, no token",
    "secure_endpoint": "auto insurance, numbers leased from a ring pool, the token required",
    "strict_endpoint": "zip and caller_id required on PING, no token",
    "rules_endpoint": "four buyers that never bid, each by another rule, and one that does; no token",
    "live_endpoint": "a live buyer: with zip 30340 it bids and accepts, with others it fails, each its way; no token",
}
CALLER = "+16145550123"
NUMBER = "+18005550100"
"""The first that is leased to it."""
BUYERS = ("+18005550181", "+18005550182")
"""The telephones of those that buy at my_endpoint, in the order of their bids."""
LEAD = "traffic_source_id=1023&caller_id=%2B16145550123&state=TX&zip=30340"
ANOTHER_LEAD = "traffic_source_id=1023&caller_id=%2B16145550124&state=TX&zip=30340"

CONFIGURATION = Path(__file__).with_name("demo.yaml")
TOKENS = {"demo-publisher": "RINGPOST_DEMO_TOKEN", "demo-operator": "RINGPOST_DEMO_OPERATOR_TOKEN"}
"""The users that have a demo token, and the environment variables that set it."""
OPERATOR = "demo-operator"
BY = "demo"


def prepare(client: "DynamoDBClient", settings: Settings, data: Path, url: str = "") -> dict[str, str]:
    """Loads the demo configuration once, and gives the demo tokens by user: the same at every start. `url` is where the
    service will answer."""
    stack_access.note_local_run(data, client.meta.endpoint_url, settings, url)
    records = _records(client, settings)
    if not records.versions.current().version:
        wanted, _ = document.load(CONFIGURATION)
        records.applying.apply(wanted, BY)
    users = records.versions.current().names("users")
    return {
        user: _token(records, user, variable, data / f"{user}-token")
        if user in users
        else f"(none: the live configuration has no user {user})"
        for user, variable in TOKENS.items()
    }


def sign_in_code(client: "DynamoDBClient", settings: Settings) -> str:
    """A code with which the first operator of the live configuration signs in, once; empty if it has none."""
    records = _records(client, settings)
    users = (part for (section, _), part in records.versions.current().parts.items() if section == "users")
    operator = next((user["name"] for user in users if user["role"] == "operator"), "")
    code = secrets.token_urlsafe(24) if operator else ""
    if code:
        records.tokens.keep_code(code, operator)
    return code


def _records(client: "DynamoDBClient", settings: Settings) -> Records:
    return stack_access.local_vault(client, settings).records


def _token(records: Records, user: str, variable: str, file: Path) -> str:
    """The one in the file, which is its owner's to read, or the one that the environment sets in its place."""
    kept = file.read_text() if file.exists() else ""
    wanted = os.environ.get(variable) or kept or f"rp_{secrets.token_urlsafe(24)}"
    issued = [token.id for token in records.tokens.all(user)]
    if kept != wanted and kept and (old := records.tokens.id_of(kept)) in issued:
        records.tokens.revoke(old, BY)
    if records.tokens.id_of(wanted) not in issued:
        records.tokens.issue(user, BY, wanted, name="the local run's", scope="operate" if user == OPERATOR else "post")
    with open(file, "w", opener=lambda name, flags: os.open(name, flags, mode=0o600)) as written:
        written.write(wanted)
    return wanted
