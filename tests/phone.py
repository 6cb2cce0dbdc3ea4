"""A provider of telephony as tests need it: it sends signed webhooks of calls, and reads what it is told."""

import re
import time
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

from shared.domain import keys
from shared.domain.models import Provider
from shared.flows.calls import answer_event
from shared.flows.telephony import Telephony
from shared.providers import exchange, local
from shared.providers.webhooks import Secrets
from shared.store.calls import StoredCall
from tests.build import CALLER, REQUEST_ID, Stage

PROVIDER = Provider("main", "local", "AC1", ("local",))
KEY = "a key of the local provider"
CALLS = count(1)


@dataclass
class Told:
    """What the provider was told."""

    code: int
    body: str

    @property
    def verbs(self) -> list[str]:
        return [verb.tag for verb in ElementTree.fromstring(self.body)]

    @property
    def dialed(self) -> str:
        """The number that is to be dialed; empty if none is."""
        found = ElementTree.fromstring(self.body).find("Dial/Number")
        return found.text or "" if found is not None else ""

    @property
    def attempt(self) -> int:
        found = re.search(r'action="[^"]*n=([0-9])"', self.body)
        return int(found[1]) if found else 0


@dataclass
class Phone:
    """One call, by its provider's webhooks."""

    stage: Stage
    number: str
    caller: str = CALLER
    sid: str = field(default_factory=lambda: f"CA{next(CALLS)}")
    telephony: Telephony | None = None

    def rings(self, step: str = "voice") -> Told:
        return self.send(step, From=self.caller, To=self.number, CallStatus="ringing")

    def leg_answers(self, n: int = 1) -> Told:
        return self.send("leg", n, ParentCallSid=self.sid, CallSid=f"{self.sid}-{n}", CallStatus="in-progress")

    def presses(self, digits: str, n: int = 1) -> Told:
        return self.send("whisper", n, ParentCallSid=self.sid, CallSid=f"{self.sid}-{n}", Digits=digits)

    def dial_ends(self, status: str, n: int = 1, seconds: int | None = None, **more: str) -> Told:
        lasted = {} if seconds is None else {"DialCallDuration": str(seconds)}
        return self.send("dial", n, DialCallStatus=status, DialCallSid=f"{self.sid}-{n}", **lasted, **more)

    def talks(self, seconds: int, n: int = 1) -> Told:
        """The buyer answers, they talk, the buyer hangs up."""
        self.leg_answers(n)
        self.stage.clock.forward(seconds)
        return self.dial_ends("completed", n, seconds)

    def ends(self, seconds: int = 0) -> Told:
        return self.send("status", CallStatus="completed", CallDuration=str(seconds))

    @property
    def stored(self) -> StoredCall | None:
        return self.stage.telephony().calls.look(self.call_id)

    @property
    def call_id(self) -> bytes:
        return keys.call_id(self.stage.keys, "main", "AC1", self.sid)

    def send(self, step: str, n: int = 0, *, account: str = "AC1", key: str = KEY, **form: str) -> Told:
        return self.send_form(step, n, {"AccountSid": account, "CallSid": self.sid} | form, key)

    def send_form(self, step: str, n: int, form: dict[str, str], key: str = KEY, **changed: Any) -> Told:
        body, at = urlencode(form), str(int(time.time()))
        event = {
            "rawPath": f"/calls/main/{step}",
            "rawQueryString": f"n={n}" if n else "",
            "headers": {
                "content-type": "application/x-www-form-urlencoded",
                local.TIMESTAMP: at,
                local.SIGNATURE: local.sign(key, at, body.encode()),
            },
            "requestContext": {"domainName": "calls.example", "http": {"method": "POST"}},
            "body": body,
            "isBase64Encoded": False,
        } | changed
        return self.send_event(event)

    def send_event(self, event: dict[str, Any]) -> Told:
        def find(name: str) -> tuple[Provider, Secrets] | None:
            return (PROVIDER, Secrets(account="AC1", keys=(KEY,))) if name == "main" else None

        answer = partial(answer_event, self.telephony or self.stage.telephony())
        said = exchange.serve(event, REQUEST_ID, find, answer, lambda: None)
        return Told(said["statusCode"], said["body"])
