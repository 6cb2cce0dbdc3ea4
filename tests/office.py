"""An operator who speaks with the operators' API, one event at a time."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from functions.api.operations import OPERATIONS
from shared import configuration
from shared.flows.resolving import leads_until
from shared.office import rest
from shared.operators import access
from shared.operators.access import Office
from shared.store.callers import Callers
from shared.store.dynamo import Dynamo
from shared.store.journal import Journal
from shared.store.records import Records
from shared.store.versions import Known
from tests.build import REQUEST_ID, Answer, Counting, Stage, an_event
from tests.configurations import a_document, a_user

USERS = [
    a_user(),
    a_user(name="bolt", traffic_sources=["77"]),
    a_user(name="olga", role="operator", traffic_sources=[]),
    a_user(name="vera", role="viewer", traffic_sources=[]),
]


@dataclass
class Operator:
    """`calls` counts those to DynamoDB of the last request. `known` is what the process remembers; None forgets."""

    stage: Stage
    token: str
    calls: int = 0
    known: Known | None = None

    def get(self, path: str, query: str = "") -> Any:
        """The body of what is there."""
        answer = self.ask("GET", path, query=query)
        assert answer.code == 200, answer.text
        return answer.body

    def ask(self, method: str, path: str, content: Any = None, *, version: str = "", **sent: Any) -> Answer:
        """Any request: `content` is sent as JSON, `sent` is what else `an_event` takes."""
        headers = {"Authorization": f"Token {self.token}"} | ({"If-Match": f'"{version}"'} if version else {})
        sent["headers"] = headers | sent.get("headers", {})
        return self.send(an_event(method=method, path=f"/api/v1{path}", json_body=content, **sent))

    def send(self, event: dict[str, Any]) -> Answer:
        dynamo = Counting(self.stage.client, self.stage.settings)
        found = rest.serve(event, REQUEST_ID, OPERATIONS, self.office(dynamo), access.admit_user)
        self.calls = dynamo.calls
        return Answer(found["statusCode"], found["headers"], found["body"])

    def office(self, dynamo: Dynamo) -> Office:
        keys = self.stage.keys
        records = Records(dynamo, keys, self.stage.clock, self.known)
        return Office(
            records,
            Callers(dynamo, keys, self.stage.memory.noted),
            Journal(dynamo, keys, self.stage.io_pool),
            self.stage.open_files,
            partial(leads_until, self.stage.telephony_over(dynamo)),
        )


def records(stage: Stage) -> Records:
    return Records(Dynamo(stage.client, stage.settings), stage.keys, stage.clock)


def opened(stage: Stage, **overrides: Any) -> None:
    """Apply `a_document` with overrides, and with an operator, a viewer and two publishers."""
    records(stage).applying.apply(configuration.read(a_document(**{"users": USERS} | overrides)), "file")


def as_user(stage: Stage, name: str) -> Operator:
    return Operator(stage, records(stage).tokens.issue(name, "a test")[1])
