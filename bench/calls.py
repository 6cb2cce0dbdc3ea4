"""`python -m bench.calls HANDLER_MODULE FILE`: a fresh function that answers the events in the file one by one.

It prints the milliseconds that each took. The client is there before the first; with Lambda's variables in the
environment, all that `runtime.prepare` makes ready is.
"""

import json
import sys
import time
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

from shared import runtime


def main(module: str, file: str) -> None:
    handler = import_module(module).lambda_handler
    runtime.world()
    took = []
    for event in json.loads(Path(file).read_text()):
        began = time.perf_counter()
        answer = handler(event, SimpleNamespace(aws_request_id="bench"))
        took.append(1000 * (time.perf_counter() - began))
        assert answer["statusCode"] == 200, answer
        assert answer["headers"].get("Content-Type") != "application/json" or json.loads(answer["body"])["success"], (
            answer
        )
    print(json.dumps(took))


if __name__ == "__main__":
    main(*sys.argv[1:])
