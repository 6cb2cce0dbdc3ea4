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
import sys
import time
from dataclasses import replace
from pathlib import Path

from shared.settings import Settings
from tools import demo, engine
from tools.local import BEGAN, asgi, service, welcome
from tools.local.runtime import Function, FunctionDoesNotStart

HANDLERS = {
    name: f"functions.{name}.handler.lambda_handler" for name in ("ping", "post", "full", "sandbox", "instructions")
}
TIMEOUT_SECONDS = 9
OFFICE = Function("functions.api.handler.lambda_handler", workers=1, timeout_seconds=29)
BUYER_SECRETS = "buyer-secrets.json"
"""In the data directory; read at the start."""


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
    except (PortInUse, BadSecrets, engine.EngineError, FunctionDoesNotStart) as fault:
        sys.exit(str(fault))


def run(listener: socket.socket, workers: int, data: Path) -> None:
    """Until a signal. Raises `BadSecrets`, `EngineError` and `FunctionDoesNotStart`."""
    data.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(filename=data / "server.log", filemode="w", level=logging.WARNING)
    settings = Settings(
        config_table="ringpost-config",
        pings_table="ringpost-pings",
        leases_table="ringpost-leases",
        callers_table="ringpost-callers",
        journal_table="ringpost-journal",
        secret=secret(data / "secret"),
    )
    buyer = asgi.listen(0)
    sandbox_url = f"http://127.0.0.1:{buyer.getsockname()[1]}"
    with engine.start(data) as endpoint_url:
        client = engine.client(endpoint_url)
        engine.create_tables(client, settings)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        tokens = demo.prepare(client, settings, data, url)
        code = demo.sign_in_code(client, settings)
        asyncio.run(
            service.serve(
                {name: Function(handler, workers, TIMEOUT_SECONDS) for name, handler in HANDLERS.items()}
                | {"api": OFFICE, "dashboard": OFFICE._replace(handler="functions.dashboard.handler.lambda_handler")},
                function_environment(endpoint_url, replace(settings, buyer_secrets=buyer_secrets(data, sandbox_url))),
                listener=listener,
                buyer=buyer,
                log=data / "functions.log",
                ready=lambda: print(welcome.text(url, sandbox_url, time.monotonic() - BEGAN, tokens, code), flush=True),
            )
        )


class BadSecrets(Exception):
    """The file of live buyers' secrets cannot be read."""


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
    """32 random bytes as hex: those in the file, which is made at the first call and readable for its owner only."""
    if not file.exists():
        with open(file, "x", opener=lambda name, flags: os.open(name, flags, mode=0o600)) as made:
            made.write(secrets.token_hex(32))
    return file.read_text()


def buyer_secrets(data: Path, sandbox_url: str) -> str:
    """The secrets that templates of live buyers name, as a JSON object: those of a file, and where the sandbox is."""
    file = data / BUYER_SECRETS
    try:
        own = json.loads(file.read_text()) if file.exists() else {}
        if not isinstance(own, dict) or not all(isinstance(value, str) for value in own.values()):
            raise ValueError
    except ValueError:
        raise BadSecrets(f'{file} must be a JSON object of texts, like {{"buyer_key": "…"}}.') from None
    return json.dumps(own | {"sandbox_buyer": sandbox_url})


def function_environment(endpoint_url: str, settings: Settings) -> dict[str, str]:
    """What every function sees. The user's own AWS profile and keys are not in it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {
        **inherited,
        **settings.environment(),
        "AWS_ENDPOINT_URL_DYNAMODB": endpoint_url,
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
