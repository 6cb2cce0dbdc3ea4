"""Somebody who visits the dashboard, one event at a time."""

import re
from dataclasses import dataclass
from functools import cached_property, partial
from html import unescape
from typing import Any

from functions.dashboard.views import VIEWS
from shared.flows.resolving import leads_until
from shared.office import dashboard
from shared.office.visitors import VisitedOffice, visitor_of
from shared.store.callers import Callers
from shared.store.dynamo import Dynamo
from shared.store.journal import Journal
from shared.store.records import Records
from tests.build import REQUEST_ID, Answer, Counting, Stage, an_event


@dataclass
class Visitor:
    """`calls` counts those to DynamoDB of the last visit, of a process that remembers nothing."""

    stage: Stage
    user: str
    calls: int = 0

    def see(self, path: str, query: str = "") -> str:
        """The text of a page that is shown, without its tags."""
        answer = self.get(path, query)
        assert answer.code == 200, answer.text
        return text(answer)

    def get(self, path: str, query: str = "") -> Answer:
        return self.visit(an_event(method="GET", path=dashboard.ROOT + path, query=query))

    def send(self, path: str, **form: str) -> Answer:
        return self.visit(an_event(path=dashboard.ROOT + path, form={"csrf": self.csrf, **form}))

    def visit(self, event: dict[str, Any]) -> Answer:
        dynamo, keys = Counting(self.stage.client, self.stage.settings), self.stage.keys
        records = Records(dynamo, keys, self.stage.clock)
        world = VisitedOffice(
            records,
            Callers(dynamo, keys),
            Journal(dynamo, keys, self.stage.io_pool),
            self.stage.open_files,
            partial(leads_until, self.stage.telephony_over(dynamo)),
        )
        event = event | {"cookies": [f"{dashboard.COOKIE}={self.cookie}"]}
        found = dashboard.serve(event, REQUEST_ID, VIEWS, world, keys, visitor_of)
        self.calls = dynamo.calls
        return Answer(found["statusCode"], found["headers"], found["body"])

    @cached_property
    def cookie(self) -> str:
        records = Records(Dynamo(self.stage.client, self.stage.settings), self.stage.keys, self.stage.clock)
        return dashboard.session_cookie(
            self.stage.keys, dashboard.Session(self.user, records.tokens.begin_session(self.user))
        )

    @cached_property
    def csrf(self) -> str:
        found = re.search(r'name="csrf" value="(\w+)"', self.get(f"/users/{self.user}").text)
        assert found
        return found[1]


def text(answer: Answer) -> str:
    """A page without its styles and tags, in words with single spaces."""
    without = re.sub(r"(?s)<style>.*?</style>|<[^>]+>", " ", answer.text)
    return " ".join(unescape(without).split())
