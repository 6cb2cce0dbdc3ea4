"""Accounts at Twilio and Telnyx on this machine: of their public APIs the resources that the operator's command uses,
with small pages, and errors as those have them. Nothing that is bought here costs anything."""

import base64
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

TWILIO_ACCOUNT, TWILIO_KEY, TELNYX_KEY = "AC1", "the token of Twilio", "the key of Telnyx"
TELNYX_ACCOUNT = "a-b-c"
PAGE = 2
NO_ANSWER = 0
"""In the place of a status: the connection ends."""
TOLL_FREE = "+18"

Resource = dict[str, Any]
Answer = tuple[int, Resource]


@dataclass
class FakeAccounts:
    """What the accounts hold, by id. `busy` requests get a 429, then `broken` ones a 500 before one goes through.

    `for_sale` can be bought, at `monthly` by the type of Twilio; at Telnyx it costs 1.00 more once. An order is pending
    until its number was asked for `pending` times. `calls` has the number that is called and the status of each call.
    `refused` answers the write of this place in the row, the first is 1, in place of doing it; `lost` writes are done,
    and get this answer. After the write `ends_after` whoever sent it is interrupted, as by Ctrl-C."""

    url: str = ""
    twilio_numbers: dict[str, Resource] = field(default_factory=dict)
    twilio_applications: dict[str, Resource] = field(default_factory=dict)
    telnyx_numbers: dict[str, Resource] = field(default_factory=dict)
    telnyx_applications: dict[str, Resource] = field(default_factory=dict)
    busy: int = 0
    broken: int = 0
    writes: list[str] = field(default_factory=list)
    for_sale: list[str] = field(default_factory=list)
    monthly: dict[str, str] = field(default_factory=lambda: {"local": "1.15", "toll free": "2.15"})
    pending: int = 0
    calls: list[tuple[str, str]] = field(default_factory=list)
    refused: dict[int, Answer] = field(default_factory=dict)
    lost: dict[int, Answer] = field(default_factory=dict)
    ends_after: int = 0

    @property
    def owned(self) -> list[str]:
        """By both accounts, those of one only once."""
        held = [*self.twilio_numbers.values(), *self.telnyx_numbers.values()]
        return sorted({each["phone_number"] for each in held})

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
        if method == "GET":
            return self._do(method, url.path, query, headers, body)
        self.writes.append(f"{method} {url.path}")
        place = len(self.writes)
        if place in self.refused:
            return self.refused[place]
        done = self._do(method, url.path, query, headers, body)
        if place == self.ends_after:
            os.kill(os.getpid(), signal.SIGINT)
        return self.lost.get(place, done)

    def _do(self, method: str, path: str, query: dict[str, str], headers: Any, body: str) -> Answer:
        if path.startswith("/v2/"):
            if headers["Authorization"] != f"Bearer {TELNYX_KEY}":
                return 401, {"errors": [{"code": "10009", "title": "Authentication failed", "detail": "No key found"}]}
            return self._telnyx(method, path.removeprefix("/v2/"), query, json.loads(body or "{}"))
        wanted = base64.b64encode(f"{TWILIO_ACCOUNT}:{TWILIO_KEY}".encode()).decode()
        if headers["Authorization"] != f"Basic {wanted}":
            return 401, {"code": 20003, "message": "Authenticate", "status": 401}
        if path == "/v1/PhoneNumbers/Countries/US":
            prices = [
                {"number_type": kind, "base_price": "9.99", "current_price": price}
                for kind, price in self.monthly.items()
            ]
            return 200, {"iso_country": "US", "phone_number_prices": prices, "price_unit": "USD"}
        path = path.removeprefix(f"/2010-04-01/Accounts/{TWILIO_ACCOUNT}/").removesuffix(".json")
        if path.startswith("AvailablePhoneNumbers/"):
            return self._twilio_available(path, query)
        if path == "Calls":
            found = [
                {"sid": f"CA{at}", "to": to, "status": status}
                for at, (to, status) in enumerate(self.calls)
                if (to, status) == (query["To"], query["Status"])
            ]
            return 200, {"calls": found, "next_page_uri": None, "page": 0}
        return self._twilio(method, path, query, dict(parse_qsl(body, keep_blank_values=True)))

    def _twilio_available(self, path: str, query: dict[str, str]) -> Answer:
        if path not in ("AvailablePhoneNumbers/US/Local", "AvailablePhoneNumbers/US/TollFree"):
            return 404, {"code": 20404, "message": f"The requested resource {path} was not found", "status": 404}
        some = self._some_for_sale(path.endswith("TollFree"), query.get("AreaCode", ""), int(query["PageSize"]))
        return 200, {"available_phone_numbers": [{"phone_number": number} for number in some]}

    def _some_for_sale(self, toll_free: bool, area_code: str, count: int) -> list[str]:
        fits = (number for number in self.for_sale if number.startswith(TOLL_FREE) == toll_free)
        return [number for number in fits if number.startswith(f"+1{area_code}")][:count]

    def _twilio(self, method: str, path: str, query: dict[str, str], form: dict[str, str]) -> Answer:
        resource, _, sid = path.partition("/")
        held, listed = {
            "IncomingPhoneNumbers": (self.twilio_numbers, "incoming_phone_numbers"),
            "Applications": (self.twilio_applications, "applications"),
        }[resource]
        changed = {_snake(name): value or None for name, value in form.items()}
        if method == "GET":
            page = int(query.get("Page", 0))
            found = (
                [
                    each
                    for each in held.values()
                    if query.get("PhoneNumber", each["phone_number"]) == each["phone_number"]
                ]
                if resource == "IncomingPhoneNumbers"
                else [*held.values()]
            )
            some = found[page * PAGE : (page + 1) * PAGE]
            more = (page + 1) * PAGE < len(found)
            following = f"/2010-04-01/Accounts/{TWILIO_ACCOUNT}/{resource}.json?PageSize=1000&Page={page + 1}"
            return 200, {listed: some, "next_page_uri": following if more else None, "page": page}
        if resource == "IncomingPhoneNumbers" and not sid:
            if form["PhoneNumber"] not in self.for_sale:
                return 400, {"code": 21422, "message": f"{form['PhoneNumber']} is not available", "status": 400}
            self.for_sale.remove(form["PhoneNumber"])
            sid = f"PN{form['PhoneNumber'][1:]}"
            held[sid] = {"sid": sid, "trunk_sid": None, "voice_url": ""}
        if not sid:
            sid = f"AP{len(held) + 1}"
            held[sid] = {"sid": sid}
        if sid not in held:
            return 404, {"code": 20404, "message": f"The requested resource {path} was not found", "status": 404}
        if method == "DELETE":
            del held[sid]
            return 204, {}
        held[sid] |= changed
        return 200, held[sid]

    def _telnyx(self, method: str, path: str, query: dict[str, str], document: Resource) -> Answer:
        resource, _, found_id = path.partition("/")
        if resource == "available_phone_numbers":
            return self._telnyx_available(query)
        if resource == "number_orders":
            return self._telnyx_orders() if method == "GET" else self._telnyx_order(document)
        if path == f"texml/Accounts/{TELNYX_ACCOUNT}/Calls":
            calls = [{"to": to, "status": status} for to, status in self.calls if to == query["To"]]
            return 200, {"calls": calls, "page": 0}
        held = {"phone_numbers": self.telnyx_numbers, "texml_applications": self.telnyx_applications}[resource]
        if method == "GET":
            status = query.get("filter[status]")
            if (wanted := query.get("filter[phone_number]")) and f"+{wanted}" in self.owned:
                self.pending -= 1
                if self.pending < 0:
                    held[wanted]["status"] = "active"
            found = [each for each in held.values() if not status or each["status"] == status]
            page = int(query["page[number]"])
            meta = {"page_number": page, "total_pages": -(-len(found) // PAGE), "total_results": len(found)}
            return 200, {"data": found[(page - 1) * PAGE : page * PAGE], "meta": meta}
        if method == "POST":
            found_id = f"app-{len(held) + 1}"
            held[found_id] = {"id": found_id}
        if found_id not in held:
            return 404, {"errors": [{"code": "10005", "title": "Resource not found", "detail": "There is no such one"}]}
        if method == "DELETE":
            return 200, {"data": held.pop(found_id) | {"status": "deleted"}}
        held[found_id] |= document
        return 200, {"data": held[found_id]}

    def _telnyx_available(self, query: dict[str, str]) -> Answer:
        is_toll_free, area_code = query["filter[phone_number_type]"] == "toll_free", "filter[national_destination_code]"
        some = self._some_for_sale(is_toll_free, query.get(area_code, ""), int(query["filter[limit]"]))
        monthly = self.monthly.get("toll free" if is_toll_free else "local")
        cost = {"upfront_cost": "1.00", "monthly_cost": monthly, "currency": "USD"}
        found = [{"phone_number": number, "best_effort": False, "cost_information": cost} for number in some]
        return 200, {"data": found, "meta": {"total_results": len(found), "best_effort_results": 0}}

    def _telnyx_orders(self) -> Answer:
        """Of one number each, those that are pending."""
        some = [each for each in self.telnyx_numbers.values() if each["status"] == "purchase-pending"]
        orders = [{"id": "order", "status": "pending", "phone_numbers": [each]} | each for each in some]
        return 200, {"data": orders, "meta": {"page_number": 1, "total_pages": 1}}

    def _telnyx_order(self, document: Resource) -> Answer:
        [number] = [each["phone_number"] for each in document["phone_numbers"]]
        if number not in self.for_sale:
            return 422, {"errors": [{"code": "10027", "title": "Unavailable", "detail": f"{number} is not available"}]}
        self.for_sale.remove(number)
        self.telnyx_numbers[number[1:]] = {
            "id": number[1:],
            "phone_number": number,
            "status": "purchase-pending",
            "connection_id": document["connection_id"],
        }
        return 200, {"data": {"id": "order", "status": "pending", "phone_numbers": [{"phone_number": number}]}}


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


@contextmanager
def running() -> Iterator[FakeAccounts]:
    fake = FakeAccounts()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            code, found = fake.answer(self.command, self.path, self.headers, body)
            if code == NO_ANSWER:
                self.close_connection = True
                return
            content = b"" if code == 204 else json.dumps(found).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815

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
