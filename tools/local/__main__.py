"""`python -m tools.local`: the whole service on this machine."""

import argparse
import asyncio
import errno
import json
import logging
import os
import secrets
import signal
import socket
import stat
import sys
import time
from collections.abc import Coroutine, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.version import version
from shared.functions import FUNCTIONS
from shared.settings import PREFIX, Settings
from tools import demo, engine, stack_access
from tools.local import BEGAN, asgi, call_page, service, welcome
from tools.local.call_page import CallPage
from tools.local.lambda_runtime import Function, FunctionDoesNotStart, Runtime
from tools.local.streams import Stream, bring_stream, call_by_clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLES = {
    "config_table": "ringpost-config",
    "pings_table": "ringpost-pings",
    "leases_table": "ringpost-leases",
    "callers_table": "ringpost-callers",
    "calls_table": "ringpost-calls",
    "journal_table": "ringpost-journal",
    "sandbox_pings_table": "ringpost-sandbox-pings",
    "sandbox_leases_table": "ringpost-sandbox-leases",
    "sandbox_callers_table": "ringpost-sandbox-callers",
}
"""By their names in the settings."""
BUYER_SECRETS, PROVIDER_SECRETS = "buyer-secrets.json", "provider-secrets.json"
"""In the data directory; read at the start."""
POSITIONS = {"pings": "stream.json", "calls": "stream-of-calls.json"}
"""In the data directory: how far the journal has read the stream of each table."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.local", description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes per verb (default: %(default)s)")
    parser.add_argument("--data", type=Path, default=engine.ROOT / ".ringpost", help="where everything is kept")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run(front_door(options.port), options.workers, options.data.resolve())
    except KeyboardInterrupt:
        sys.exit(130)
    except (PortInUse, NotYours, BadSecrets, engine.EngineError, FunctionDoesNotStart) as fault:
        sys.exit(str(fault))


def run(listener: socket.socket, workers: int, data: Path) -> None:
    """Until a signal. Raises `NotYours`, `BadSecrets`, `EngineError` and `FunctionDoesNotStart`."""
    keep_to_owner(data)
    logging.basicConfig(filename=data / "server.log", filemode="w", level=logging.WARNING)
    settings = Settings(
        **TABLES,
        secret_file=str(data / stack_access.SECRET),
        version=version(),
    )
    for file in (stack_access.SECRET, stack_access.SESSION_SECRET, stack_access.PROVIDER_SECRET):
        secret(data / file)
    buyer = asgi.listen(0)
    sandbox_url = f"http://127.0.0.1:{buyer.getsockname()[1]}"
    with engine.start(data, partial(print, flush=True)) as endpoint_url:
        client = engine.client(endpoint_url)
        engine.create_tables(client, settings)
        streams = [
            Stream(engine.streams_client(endpoint_url), stream_of(client, table), data / POSITIONS[name])
            for name, table in (("pings", settings.pings_table), ("calls", settings.calls_table))
        ]
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        tokens = demo.prepare(client, settings, data, url)
        code = demo.sign_in_code(client, settings)
        asyncio.run(
            service.serve(
                functions(workers, data),
                function_environment(
                    endpoint_url,
                    replace(settings, buyer_secrets=buyer_secrets(data, sandbox_url), demo=json.dumps(demo.ENDPOINTS)),
                ),
                listener=listener,
                buyer=buyer,
                log=data / "functions.log",
                ready=lambda: print(welcome.text(url, sandbox_url, time.monotonic() - BEGAN, tokens, code), flush=True),
                pages={call_page.PATH: CallPage(url, secret(data / stack_access.PROVIDER_SECRET)).application},
                unasked=lambda runtime: unasked(runtime, streams),
            )
        )


class NotYours(Exception):
    """The data directory is somebody else's, or everybody's."""


def keep_to_owner(data: Path) -> None:
    """Make the data directory, and let only its owner read it: it has keys, tokens and callers. Raises `NotYours`."""
    os.umask(0o077)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = data.stat()
    if found.st_uid != os.getuid() or found.st_mode & stat.S_ISVTX:
        raise NotYours(f"{data} is not yours alone: name another directory with --data.")
    data.chmod(0o700)
    for file in data.iterdir():
        if file.is_file() and not file.is_symlink():
            file.chmod(file.stat().st_mode & 0o700)


def functions(workers: int, data: Path) -> dict[str, Function]:
    """Operators' functions have one process each. They know the folder of the journal. The dashboard's alone knows the
    file of the session secret, and `call` alone the secrets of telephony providers. Raises `BadSecrets`."""
    sessions = {f"{PREFIX}SESSION_SECRET_FILE": str(data / stack_access.SESSION_SECRET)}
    providers = {f"{PREFIX}PROVIDER_SECRETS": provider_secrets(data)}
    journal = {f"{PREFIX}JOURNAL_FOLDER": str(data / stack_access.JOURNAL)}
    return {
        name: Function(
            function.handler,
            1 if function.bundle == "operators" else workers,
            function.timeout_seconds,
            (journal if function.bundle == "operators" else {})
            | {"dashboard": sessions, "call": providers}.get(name, {}),
            awaited=bool(function.routes),
        )
        for name, function in FUNCTIONS.items()
    }


def unasked(runtime: Runtime, streams: Iterable[Stream]) -> list[Coroutine[Any, Any, None]]:
    """What calls functions without a request."""
    by_clock = {name: function.every_minutes for name, function in FUNCTIONS.items() if function.every_minutes}
    return [
        *(bring_stream(runtime, "journal", stream) for stream in streams),
        *(call_by_clock(runtime, name, minutes) for name, minutes in by_clock.items()),
    ]


def stream_of(client: "DynamoDBClient", table: str) -> str:
    """The name of a table's stream."""
    return client.describe_table(TableName=table)["Table"]["LatestStreamArn"]


class BadSecrets(Exception):
    """A file of secrets cannot be read."""


class PortInUse(Exception):
    """Somebody else listens there."""


def front_door(port: int) -> socket.socket:
    """Raises `PortInUse`."""
    try:
        return asgi.listen(port)
    except OSError as fault:
        if fault.errno != errno.EADDRINUSE:
            raise
        raise PortInUse(
            f"Port {port} is in use: stop what listens there, or take another (make run PORT=8001)."
        ) from None


def secret(file: Path) -> str:
    """The text of the file. The first call makes it, of 32 random bytes; only its owner may read it."""
    if not file.exists():
        stack_access.write_secret(file, secrets.token_hex(32))
    return file.read_text()


def buyer_secrets(data: Path, sandbox_url: str) -> str:
    """The secrets that templates of live buyers name, as a JSON object: those of a file, and where the sandbox is.
    Raises `BadSecrets`."""
    return json.dumps(_secrets_in(data / BUYER_SECRETS) | {"sandbox_buyer": sandbox_url})


def provider_secrets(data: Path) -> str:
    """The same of telephony providers: those of a file, and that of the local provider."""
    return json.dumps(_secrets_in(data / PROVIDER_SECRETS) | {"local": secret(data / stack_access.PROVIDER_SECRET)})


def _secrets_in(file: Path) -> dict[str, str]:
    try:
        found = json.loads(file.read_text()) if file.exists() else {}
        if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
            raise ValueError
    except ValueError:
        raise BadSecrets(f'{file} must be a JSON object of texts, like {{"name": "…"}}.') from None
    return found


def function_environment(endpoint_url: str, settings: Settings) -> dict[str, str]:
    """What every function sees. The user's own AWS profile and keys are not in it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {
        **inherited,
        **settings.environment(),
        "AWS_ENDPOINT_URL_DYNAMODB": endpoint_url,
        "AWS_ENDPOINT_URL_DYNAMODB_STREAMS": endpoint_url,
        "AWS_ACCESS_KEY_ID": engine.KEY,
        "AWS_SECRET_ACCESS_KEY": engine.KEY,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_REGION": engine.REGION,
        "AWS_DEFAULT_REGION": engine.REGION,
        "NO_PROXY": "127.0.0.1,localhost",
        "POWERTOOLS_SERVICE_NAME": "ringpost",
    }


if __name__ == "__main__":
    main()
