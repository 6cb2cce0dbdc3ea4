"""A service of TwiML over HTTP, whose answers a test writes; it checks webhooks by the code of our functions."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from shared.providers import local, webhooks
from shared.providers.events import Event
from shared.providers.instructions import Dial, Hangup, Instruction
from shared.providers.webhooks import Secrets, Webhook

KEY = "0123456789abcdef"
BUYERS = ("+18005550181", "+18005550182", "+18005550183")
Answer = Instruction | int
"""A number is that of an error."""


class TwimlService:
    """`answers` are by step and attempt, as `dial?n=1`; what has none is answered with `Hangup`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: dict[str, Answer] = {}
        self.events: list[Event] = []
        self.forms: list[dict[str, str]] = []
        self.refused = 0

    @property
    def steps(self) -> list[str]:
        return [type(event).__name__ for event in self.events]

    def dial(self, attempt: int, **changes: object) -> Dial:
        """What the service answers to dial a buyer."""
        at = f"?n={attempt}"
        values = {
            "action": f"/calls/local/dial{at}",
            "leg": f"/calls/local/leg{at}",
            "number": BUYERS[attempt - 1],
            "timeout_seconds": 25,
            "limit_seconds": 3600,
            "caller_id": "+16145550123",
        }
        return Dial(**(values | changes))  # type: ignore[arg-type]

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        webhook = Webhook(url=self.url + path, headers=dict(headers), body=body, received_at=int(time.time()))
        if not local.is_authentic(webhook, Secrets(account="local", keys=(KEY,))):
            self.refused += 1
            return 403
        parts, form = urlsplit(path), webhooks.read_form(webhook)
        step = parts.path.rpartition("/")[2]
        attempt = int(parse_qs(parts.query).get("n", ["0"])[0])
        self.forms.append(form)
        self.events.append(local.read_event(step, form, attempt))
        return self.answers.get(f"{step}?n={attempt}" if attempt else step, Hangup())


@contextmanager
def twiml_service() -> Iterator[TwimlService]:
    """On a port of the loopback."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = service.take(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            content = b"" if isinstance(answer, int) else local.write(answer)
            self.send_response(answer if isinstance(answer, int) else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        service = TwimlService(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield service
        server.shutdown()
        thread.join()
