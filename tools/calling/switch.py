"""`python -m tools.calling.switch`: a SIP switch on the loopback. Calls come and go as real SIP; the rest is the local
provider's: webhooks, and the TwiML that comes back.

It carries no voice: nobody hears a sentence, and nobody can press a key.
"""

import argparse
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any, NamedTuple

from sippy.CCEvents import CCEventConnect, CCEventDisconnect, CCEventFail, CCEventRing, CCEventTry
from sippy.Core.EventDispatcher import ED2
from sippy.SipHeader import SipHeader
from sippy.SipTransactionManager import SipTransactionManager
from sippy.UA import UA

from shared.providers.instructions import Dial
from tools.calling.local_run import NoLocalRun, find_local_run
from tools.calling.provider import Call, DialStatus, Ended
from tools.calling.twiml import Gather, NotTwiml
from tools.calling.webhooks import NotRunning, Webhooks
from tools.target import DATA

HOST = "127.0.0.1"
Address = tuple[str, int]
STATUS_OF_CODE: dict[int, DialStatus] = {
    486: "busy", 600: "busy", 603: "busy", 408: "no-answer", 480: "no-answer", 487: "canceled",
}  # fmt: skip
CODE_OF_REASON = {"busy": (486, "Busy Here")}
NOT_ANSWERED = (480, "Temporarily Unavailable")


class Happened(NamedTuple):
    """An event of one of the two telephones: `ua` is its side of the call."""

    ua: Any
    event: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """Where webhooks go, and where the telephones of buyers are, by their numbers or SIP addresses."""

    url: str
    key: str
    buyers: Mapping[str, Address]
    tell: Callable[[str], None]
    sip: dict[str, Any]
    """What sippy calls the global configuration."""

    def take_request(self, request: Any, transaction: Any) -> Any:
        """Answer a SIP request that belongs to no call yet."""
        if request.getHFBody("to").getTag() is not None:
            return request.genResponse(481, "Call Leg/Transaction Does Not Exist"), None, None
        if request.getMethod() != "INVITE":
            return request.genResponse(501, "Not Implemented"), None, None
        return SipLine(self).caller.recvRequest(request, transaction)


class SipLine:
    """One call. SIP happens in sippy's loop, the provider's work in a thread of the call."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self.caller = UA(switch.sip, self._take_event)
        self._buyer: Any = None
        self._happened: Queue[Happened] = Queue()
        self._came_at = time.monotonic()
        self._try: Any = None
        self._connected = False
        self.caller_gone = False

    @property
    def seconds(self) -> int:
        return round(time.monotonic() - self._came_at)

    def _take_event(self, event: Any, ua: Any) -> None:
        if isinstance(event, CCEventTry) and ua is self.caller:
            self._try = event
            Thread(target=self._run, daemon=True).start()
        elif isinstance(event, CCEventRing):
            if ua is self._buyer and not self._connected:
                self.caller.recvEvent(event)
        else:
            self.caller_gone = self.caller_gone or ua is self.caller
            self._happened.put(Happened(ua, event))

    def _run(self) -> None:
        _, caller, number, *_ = self._try.getData()
        switch = self._switch
        with Webhooks(switch.url, switch.key) as webhooks:
            try:
                Call(webhooks, self, number=number, caller=caller, tell=switch.tell).run()
            except (NotRunning, NotTwiml) as fault:
                switch.tell(str(fault))
                self.hang_up("failed")

    def dial(self, dial: Dial, _attempt: int, accepts: Callable[[], bool]) -> Ended:
        address = self._switch.buyers.get(dial.sip or dial.number)
        if address is None:
            return Ended("failed")
        ED2.callFromThreadSync(self._ring, dial, address)
        connected = self._wait(dial.timeout_seconds)
        if not isinstance(connected, CCEventConnect):
            self._end_buyer()
            return Ended(self._not_answered(connected))
        answered_at = time.monotonic()
        bridged = accepts() and not self.caller_gone
        if bridged:
            self._connected = True
            ED2.callFromThreadSync(self.caller.recvEvent, connected)
            self._wait(dial.limit_seconds)
        self._end_buyer()
        return Ended("completed", round(time.monotonic() - answered_at), bridged)

    def _ring(self, dial: Dial, address: Address) -> None:
        _, caller, number, body, _, _ = self._try.getData()
        called = dial.number or dial.sip.removeprefix("sips:").removeprefix("sip:").partition("@")[0]
        self._buyer = UA(self._switch.sip, event_cb=self._take_event, nh_address=address)
        invite = CCEventTry((None, dial.caller_id or caller or number, called, body and body.getCopy(), None, None))
        invite.extra_headers = tuple(SipHeader(f"{name}: {value}") for name, value in dial.headers.items())
        self._buyer.recvEvent(invite)

    def _wait(self, seconds: int) -> Any:
        """The event by which something changes between the two: an answer or an end. None if it rings, or they talk,
        for so long."""
        give_up_at = time.monotonic() + seconds
        while True:
            try:
                happened = self._happened.get(timeout=max(0, give_up_at - time.monotonic()))
            except Empty:
                return None
            if happened.ua in (self.caller, self._buyer):
                return happened.event

    def _not_answered(self, event: Any) -> DialStatus:
        if self.caller_gone:
            return "canceled"
        if event is None:
            return "no-answer"
        return STATUS_OF_CODE.get(event.getData()[0], "failed") if isinstance(event, CCEventFail) else "failed"

    def _end_buyer(self) -> None:
        ED2.callFromThreadSync(self._buyer.recvEvent, CCEventDisconnect())
        self._buyer = None

    def press(self, _gather: Gather) -> str:
        return ""

    def say(self, _text: str) -> None:
        pass

    def hang_up(self, reason: str) -> None:
        code = CODE_OF_REASON.get(reason, NOT_ANSWERED)
        end = CCEventDisconnect() if self._connected else CCEventFail(code)
        ED2.callFromThreadSync(self.caller.recvEvent, end)


class Silent:
    """sippy's log, which nobody reads."""

    def write(self, *_: object, **__: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.calling.switch", description="A SIP switch on the loopback.")
    parser.add_argument("--data", type=Path, default=DATA, help="where the local run keeps everything")
    parser.add_argument("--port", type=int, default=0, help="of SIP over UDP; 0 takes a free one")
    parser.add_argument("--buyer", action="append", default=[], type=_buyer, metavar="NUMBER=PORT", help="on 127.0.0.1")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # sippy's loop may lose a KeyboardInterrupt
    try:
        run = find_local_run(options.data)
    except NoLocalRun as fault:
        sys.exit(str(fault))
    port = options.port or free_port()
    sip: dict[str, Any] = {"_sip_address": HOST, "_sip_port": port, "_sip_logger": Silent()}
    switch = Switch(url=run.url, key=run.key, buyers=dict(options.buyer), tell=_tell, sip=sip)
    sip["_sip_tm"] = SipTransactionManager(sip, switch.take_request)
    _tell(f"The switch is ready on {HOST}:{port}")
    ED2.loop()


def _buyer(text: str) -> tuple[str, Address]:
    number, _, port = text.rpartition("=")
    return number, (HOST, int(port))


def _tell(line: str) -> None:
    print(line, flush=True)


def free_port() -> int:
    """Of UDP, on the loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
