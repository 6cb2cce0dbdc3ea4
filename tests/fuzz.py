"""Sends requests that schemathesis makes from both OpenAPI documents, right and wrong ones, to the handlers. No answer
may be a 5xx, and each must be one that the document describes.

    make fuzz REQUESTS=100000
"""

import io
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from itertools import cycle
from random import Random
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from moto import mock_aws
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from functions.api.operations import _description
from shared.domain.models import User
from shared.http import serving
from shared.publishers import contract
from shared.publishers.posting_instructions import guide
from tests.build import CONTACT_FIELDS, SETTINGS, Answer, Publisher, Stage, a_client, a_pool, an_endpoint, an_event
from tests.office import as_user, opened
from tools import engine

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
BASE = "https://ringpost.example"
AT_ONCE = 25
"""Requests to one operation before the next one has its turn."""
NAMES = ["1", "2", "99", "olga", "vera", "acme", "auto-us", "auto-insurance", "my_endpoint", "dnc", "zip"]
ENDPOINTS = (
    an_endpoint(fields=CONTACT_FIELDS, pool=a_pool(50)),
    an_endpoint(
        vanity_uri="closed",
        pool=a_pool(50, no=2),
        require_auth_token=True,
        field_errors="list",
        users=(User("boss", "operator"),),
    ),
)
Send = Callable[[dict[str, Any]], Answer]


class Fuzz:
    """`answered` counts by operation and status."""

    def __init__(self, stage: Stage, chosen: Random) -> None:
        self.stage = stage
        self.random = chosen
        self.answered: Counter[tuple[str, int]] = Counter()
        self.ping_ids: list[str] = []

    def publishers(self) -> Iterator[tuple[Any, Send, str]]:
        self.stage.publish(*ENDPOINTS)
        self.stage.give_token("secret", "boss")
        publisher = Publisher(self.stage)
        for endpoint in ENDPOINTS:
            document = schemathesis.openapi.from_dict(_loaded(contract.document(guide(endpoint, BASE))))

            def send(sent: dict[str, Any], uri: str = endpoint.vanity_uri) -> Answer:
                self.stage.clock.forward(self.random.choice([0, 0, 1, 20]))
                verb = sent["path"].split("/")[-2]
                answer = publisher.send(verb, uri, **sent)
                if "try_all_buyers_ping_id" in answer.text:
                    self.ping_ids = [*self.ping_ids[-20:], answer.body["try_all_buyers_ping_id"]]
                return answer

            yield document, send, "Token secret"

    def operators(self) -> Iterator[tuple[Any, Send, str]]:
        opened(self.stage, account={"suppression": ["dnc"]})
        olga = as_user(self.stage, "olga")

        def send(sent: dict[str, Any]) -> Answer:
            self.stage.clock.forward(self.random.choice([0, 1, 20]))
            if sent["headers"].get("authorization"):
                sent["headers"]["authorization"] = f"Token {olga.token}"
            sent["headers"].pop("accept-encoding", None)  # gzip is no part of the document
            answer = olga.send(an_event(**sent))
            if answer.code < 300 and sent["method"] != "GET":  # who may do all may take all away
                self.stage.clock.forward(20)
                opened(self.stage, account={"suppression": ["dnc"]})
                olga.token = as_user(self.stage, "olga").token
            return answer

        yield schemathesis.openapi.from_dict(_loaded(_description())), send, "Token olga"

    def run(self, targets: Iterator[tuple[Any, Send, str]], count: int, first_seed: int) -> None:
        """Send so many requests, a few to each operation in turn."""
        operations = [
            (found.ok(), send, token) for document, send, token in targets for found in document.get_all_operations()
        ]
        sent = 0
        for number, (operation, send, token) in enumerate(cycle(operations), first_seed):
            if sent >= count:
                return
            before = sum(self.answered.values())
            self._some(operation, send, token, number)
            sent += sum(self.answered.values()) - before

    def _some(self, operation: Any, send: Send, token: str, number: int) -> None:
        modes = [operation.as_strategy(GenerationMode.POSITIVE)]
        if operation.body or any(operation.iter_parameters()):
            modes.append(operation.as_strategy(GenerationMode.NEGATIVE))

        @seed(number)
        @settings(
            max_examples=AT_ONCE,
            derandomize=False,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=st.one_of(modes))
        def one(case: Any) -> None:
            self._send(case, send, token)

        one()

    def _send(self, case: Any, send: Send, token: str) -> None:
        self._make_likelier(case)
        headers = {"Authorization": token} if self.random.random() < 0.9 else {}
        wanted = case.as_transport_kwargs(base_url=BASE, headers=headers)
        names = ("method", "url", "headers", "params", "data", "json", "cookies")
        request = requests.Request(**{name: wanted[name] for name in names if name in wanted}).prepare()
        url = urlsplit(str(request.url))
        body = request.body.encode() if isinstance(request.body, str) else request.body
        answer = send(
            {
                "method": str(request.method),
                "path": unquote(url.path),
                "query": url.query,
                "headers": {name.lower(): value for name, value in request.headers.items()},
                "body": body if isinstance(body, bytes) else b"",
            }
        )
        self.answered[f"{case.method} {case.path}", answer.code] += 1
        response = Response(
            status_code=answer.code,
            headers={name: [value] for name, value in answer.headers.items()},
            content=answer.text.encode(),
            request=request,
            elapsed=0.001,
            verify=False,
        )
        case.validate_response(response, checks=CHECKS)

    def _make_likelier(self, case: Any) -> None:
        """Existing names and ping ids: with others hardly any request would get far."""
        for name in case.path_parameters or {}:
            if self.random.random() < 0.7:
                case.path_parameters[name] = self.random.choice(NAMES)
        for values in (case.query, case.body):
            if isinstance(values, dict) and "ping_id" in values and self.ping_ids and self.random.random() < 0.7:
                values["ping_id"] = self.random.choice(self.ping_ids)


def _loaded(document: Any) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(document if isinstance(document, str) else json.dumps(document))
    return loaded


@contextmanager
def fuzz(number: int = 0) -> Iterator[Fuzz]:
    client = a_client()
    with mock_aws():
        engine.create_tables(client, SETTINGS)
        yield Fuzz(Stage(client), Random(number))


def main(count: int, number: int) -> None:
    serving.log.registered_handler.setStream(io.StringIO())  # type: ignore[attr-defined]
    for which in ("publishers", "operators"):
        began = time.monotonic()
        with fuzz(number) as made, redirect_stdout(io.StringIO()):
            made.run(getattr(made, which)(), count // 2, number)
        codes: Counter[int] = Counter()
        for (_, code), times in made.answered.items():
            codes[code] += times
        spread = ", ".join(f"{code}: {times}" for code, times in sorted(codes.items()))
        operations = len({operation for operation, _ in made.answered})
        seconds = time.monotonic() - began
        print(f"{which}: {sum(codes.values())} requests to {operations} operations in {seconds:.0f} s: {spread}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5000, int(sys.argv[2]) if len(sys.argv) > 2 else 0)
