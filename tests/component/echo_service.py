"""The local runtime without the product: `… LOG WORKERS TIMEOUT_SECONDS [HANDLER]`."""

import asyncio
import logging
import os
import sys
from pathlib import Path

from tools.local import asgi, service
from tools.local.lambda_runtime import Function


def main(log: str, workers: str, timeout_seconds: str, handler: str = "echo_handler") -> None:
    logging.basicConfig(filename=f"{log}.server", level=logging.WARNING)
    listener = asgi.listen(0)
    asyncio.run(
        service.serve(
            dict.fromkeys(
                ("ping", "post", "full", "api", "dashboard"),
                Function(f"tests.component.{handler}.lambda_handler", int(workers), float(timeout_seconds)),
            ),
            dict(os.environ),
            listener=listener,
            buyer=asgi.listen(0),
            log=Path(log),
            ready=lambda: print(f"ready on http://127.0.0.1:{listener.getsockname()[1]}", flush=True),  # noqa: T201
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
