"""An account at a telephony provider, over the provider's own API: which numbers it has and where their calls go. The
second may be changed; nothing is ever bought.

https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource
https://developers.telnyx.com/api-reference/phone-number-configurations
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol
from urllib.parse import urlencode

import urllib3
from msgspec import Struct
from urllib3.util import Retry, Timeout

from shared.domain.objections import Refused

TWILIO = "https://api.twilio.com"
TELNYX = "https://api.telnyx.com"
TWILIO_PAGE, TELNYX_PAGE = 1000, 250
"""The most that one page has."""
MOST_PAGES = 1000
SAID_LETTERS = 200
"""How much of a provider's own reason is shown."""
RETRY = Retry(
    connect=2, read=0, redirect=0, status=4, status_forcelist=(429,), allowed_methods=None, backoff_factor=0.5
)
"""What is sent again: where nobody was reached, or the provider says that nothing was done."""


class Addresses(Struct, frozen=True):
    """Where a provider calls us: when a call comes, where that fails, and when it is over."""

    voice: str
    fallback: str
    status: str


class Application(Struct, frozen=True):
    """What the calls of several numbers have in common: a name, and the addresses."""

    id: str
    name: str
    addresses: Addresses


class Owned(Struct, frozen=True):
    """A number (E.164) of the account. Its calls go to the `application`; without one, to `addresses` of its own.
    `elsewhere` says that they go to neither."""

    number: str
    id: str
    application: str = ""
    addresses: Addresses | None = None
    elsewhere: bool = False


class Account(Protocol):
    """Methods raise `Refused`."""

    def numbers(self) -> Iterator[Owned]:
        """All that take calls."""

    def applications(self) -> Iterator[Application]:
        """All of them."""

    def save(self, application: Application) -> str:
        """Make an application, or change the one with this id; its id."""

    def point(self, owned: Owned, application_id: str) -> None:
        """Let the calls of a number go to an application."""


class Twilio:
    """`key` is the account's auth token."""

    def __init__(self, account: str, key: str, base: str) -> None:
        headers = urllib3.make_headers(basic_auth=f"{account}:{key}")
        self._api = _Api("Twilio", base, headers, key)
        self._path = f"/2010-04-01/Accounts/{account}"

    def numbers(self) -> Iterator[Owned]:
        for each in self._pages("IncomingPhoneNumbers", "incoming_phone_numbers"):
            yield Owned(
                number=each["phone_number"],
                id=each["sid"],
                application=each.get("voice_application_sid") or "",
                addresses=_addresses(each, "status_callback"),
                elsewhere=bool(each.get("trunk_sid")),
            )

    def applications(self) -> Iterator[Application]:
        for each in self._pages("Applications", "applications"):
            yield Application(each["sid"], each["friendly_name"], _addresses(each, "status_callback"))

    def save(self, application: Application) -> str:
        to = application.addresses
        form = {
            "FriendlyName": application.name,
            "VoiceUrl": to.voice,
            "VoiceMethod": "POST",
            "VoiceFallbackUrl": to.fallback,
            "VoiceFallbackMethod": "POST",
            "StatusCallback": to.status,
            "StatusCallbackMethod": "POST",
        }
        known = f"/{application.id}" if application.id else ""
        made = self._api.send("POST", f"{self._path}/Applications{known}.json", form=form)
        return str(made["sid"])

    def point(self, owned: Owned, application_id: str) -> None:
        form = {"VoiceApplicationSid": application_id} | ({"TrunkSid": ""} if owned.elsewhere else {})
        self._api.send("POST", f"{self._path}/IncomingPhoneNumbers/{owned.id}.json", form=form)

    def _pages(self, resource: str, listed: str) -> Iterator[dict[str, Any]]:
        path = f"{self._path}/{resource}.json?PageSize={TWILIO_PAGE}"
        for _ in range(MOST_PAGES):
            page = self._api.send("GET", path)
            yield from page[listed]
            path = page.get("next_page_uri") or ""
            if not path.startswith("/"):
                return


class Telnyx:
    """`key` is an API key of the account, not the public key with which its webhooks are checked."""

    def __init__(self, key: str, base: str) -> None:
        self._api = _Api("Telnyx", f"{base}/v2", {"Authorization": f"Bearer {key}"}, key)

    def numbers(self) -> Iterator[Owned]:
        for each in self._pages("phone_numbers", {"filter[status]": "active"}):
            yield Owned(number=each["phone_number"], id=each["id"], application=each.get("connection_id") or "")

    def applications(self) -> Iterator[Application]:
        for each in self._pages("texml_applications", {}):
            yield Application(each["id"], each["friendly_name"], _addresses(each, "status_callback"))

    def save(self, application: Application) -> str:
        to = application.addresses
        wanted = {
            "friendly_name": application.name,
            "voice_url": to.voice,
            "voice_method": "post",
            "voice_fallback_url": to.fallback,
            "status_callback": to.status,
            "status_callback_method": "post",
        }
        if application.id:
            made = self._api.send("PATCH", f"/texml_applications/{application.id}", document=wanted)
        else:
            made = self._api.send("POST", "/texml_applications", document=wanted)
        return str(made["data"]["id"])

    def point(self, owned: Owned, application_id: str) -> None:
        self._api.send("PATCH", f"/phone_numbers/{owned.id}", document={"connection_id": application_id})

    def _pages(self, resource: str, wanted: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        for page in range(1, MOST_PAGES + 1):
            query = urlencode({**wanted, "page[number]": page, "page[size]": TELNYX_PAGE})
            found = self._api.send("GET", f"/{resource}?{query}")
            yield from found["data"]
            if page >= found.get("meta", {}).get("total_pages", 1):
                return


def _addresses(of: Mapping[str, Any], status: str) -> Addresses:
    return Addresses(of.get("voice_url") or "", of.get("voice_fallback_url") or "", of.get(status) or "")


class _Api:
    """JSON over HTTP. No message shows the key."""

    def __init__(self, name: str, base: str, headers: Mapping[str, str], key: str) -> None:
        self._name, self._base, self._headers, self._key = name, base, headers, key
        self._pool = urllib3.PoolManager(retries=RETRY, timeout=Timeout(connect=5, read=30))

    def send(
        self,
        method: str,
        path: str,
        *,
        form: Mapping[str, str] | None = None,
        document: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Raises `Refused`."""
        body, kind = (urlencode(form), "application/x-www-form-urlencoded") if form else (None, "")
        if document:
            body, kind = json.dumps(document), "application/json"
        headers = {**self._headers, "Accept": "application/json"} | ({"Content-Type": kind} if kind else {})
        try:
            answer = self._pool.request(method, self._base + path, body=body, headers=headers)
        except urllib3.exceptions.HTTPError as fault:
            raise Refused(f"{self._name} does not answer ({type(fault).__name__}). Try again later.") from None
        if answer.status in (401, 403):
            raise Refused(f"{self._name} does not accept the account and its key ({self._why(answer)}).")
        if answer.status // 100 != 2:
            raise Refused(f"{self._name} refused {method} {path.partition('?')[0]}: {self._why(answer)}.")
        try:
            found: dict[str, Any] = json.loads(answer.data)
        except ValueError:
            raise Refused(f"{self._name} answered no JSON to {method} {path.partition('?')[0]}.") from None
        return found

    def _why(self, answer: urllib3.BaseHTTPResponse) -> str:
        """The status, with the provider's own words: Twilio's `code` and `message`, or Telnyx' list of `errors`."""
        try:
            said = json.loads(answer.data)
            errors: Iterable[Mapping[str, Any]] = said.get("errors") or [said]
            words = "; ".join(
                f"{each.get('code', '')} {each.get('detail') or each.get('message', '')}" for each in errors
            )
        except (ValueError, AttributeError, TypeError):
            words = ""
        words = words.replace(self._key, "…").strip(" .")[:SAID_LETTERS]
        return f"{answer.status}{f', {words}' if words else ''}"
