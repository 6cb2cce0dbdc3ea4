"""Accounts at Twilio and Telnyx on this machine: of their public APIs the resources that the operator's command uses,
with small pages, and errors as those have them."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

TWILIO_ACCOUNT, TWILIO_KEY, TELNYX_KEY = "AC1", "the token of Twilio", "the key of Telnyx"
PAGE = 2

Resource = dict[str, Any]
Answer = tuple[int, Resource]


@dataclass
class FakeAccounts:
    """What the accounts hold, by id. `busy` requests get a 429, then `broken` ones a 500 before one goes through."""

    url: str = ""
    twilio_numbers: dict[str, Resource] = field(default_factory=dict)
    twilio_applications: dict[str, Resource] = field(default_factory=dict)
    telnyx_numbers: dict[str, Resource] = field(default_factory=dict)
    telnyx_applications: dict[str, Resource] = field(default_factory=dict)
    busy: int = 0
    broken: int = 0
    writes: list[str] = field(default_factory=list)

    def own(self, *numbers: str, **of_twilio: str) -> None:
        """Let both accounts have these numbers."""
        for number in numbers:
            self.twilio_numbers[f"PN{number[1:]}"] = {
                "sid": f"PN{number[1:]}",
                "phone_number": number,
                "voice_application_sid": None,
                "trunk_sid": None,
                "voice_url": "",
                "voice_fallback_url": "",
                "status_callback": "",
            } | of_twilio
            self.telnyx_numbers[number[1:]] = {
                "id": number[1:],
                "phone_number": number,
                "status": "active",
                "connection_id": None,
            }

    def answer(self, method: str, address: str, headers: Any, body: str) -> Answer:
        url = urlsplit(address)
        query = dict(parse_qsl(url.query))
        if self.busy:
            self.busy -= 1
            return 429, {"code": 20429, "message": "Too Many Requests"}
        if self.broken:
            self.broken -= 1
            return 500, {}
        if method != "GET":
            self.writes.append(f"{method} {url.path}")
        if url.path.startswith("/v2/"):
            if headers["Authorization"] != f"Bearer {TELNYX_KEY}":
                return 401, {"errors": [{"code": "10009", "title": "Authentication failed", "detail": "No key found"}]}
            return self._telnyx(method, url.path.removeprefix("/v2/"), query, json.loads(body or "{}"))
        wanted = base64.b64encode(f"{TWILIO_ACCOUNT}:{TWILIO_KEY}".encode()).decode()
        if headers["Authorization"] != f"Basic {wanted}":
            return 401, {"code": 20003, "message": "Authenticate", "status": 401}
        path = url.path.removeprefix(f"/2010-04-01/Accounts/{TWILIO_ACCOUNT}/").removesuffix(".json")
        return self._twilio(method, path, query, dict(parse_qsl(body, keep_blank_values=True)))

    def _twilio(self, method: str, path: str, query: dict[str, str], form: dict[str, str]) -> Answer:
        resource, _, sid = path.partition("/")
        held, listed = {
            "IncomingPhoneNumbers": (self.twilio_numbers, "incoming_phone_numbers"),
            "Applications": (self.twilio_applications, "applications"),
        }[resource]
        changed = {_snake(name): value or None for name, value in form.items()}
        if method == "GET":
            page = int(query.get("Page", 0))
            some = [*held.values()][page * PAGE : (page + 1) * PAGE]
            more = (page + 1) * PAGE < len(held)
            following = f"/2010-04-01/Accounts/{TWILIO_ACCOUNT}/{resource}.json?PageSize=1000&Page={page + 1}"
            return 200, {listed: some, "next_page_uri": following if more else None, "page": page}
        if not sid:
            sid = f"AP{len(held) + 1}"
            held[sid] = {"sid": sid}
        if sid not in held:
            return 404, {"code": 20404, "message": f"The requested resource {path} was not found", "status": 404}
        held[sid] |= changed
        return 200, held[sid]

    def _telnyx(self, method: str, path: str, query: dict[str, str], document: Resource) -> Answer:
        resource, _, found_id = path.partition("/")
        held = {"phone_numbers": self.telnyx_numbers, "texml_applications": self.telnyx_applications}[resource]
        if method == "GET":
            status = query.get("filter[status]")
            found = [each for each in held.values() if not status or each["status"] == status]
            page = int(query["page[number]"])
            meta = {"page_number": page, "total_pages": -(-len(found) // PAGE), "total_results": len(found)}
            return 200, {"data": found[(page - 1) * PAGE : page * PAGE], "meta": meta}
        if method == "POST":
            found_id = f"app-{len(held) + 1}"
            held[found_id] = {"id": found_id}
        if found_id not in held:
            return 404, {"errors": [{"code": "10005", "title": "Resource not found", "detail": "There is no such one"}]}
        held[found_id] |= document
        return 200, {"data": held[found_id]}


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


@contextmanager
def running() -> Iterator[FakeAccounts]:
    fake = FakeAccounts()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            code, found = fake.answer(self.command, self.path, self.headers, body)
            content = json.dumps(found).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = _serve  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
