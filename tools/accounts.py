"""An account at a telephony provider, over the provider's own API: which numbers it has and where their calls go, and
which it can buy, at what price. Numbers are bought and given up by `order` and `give_up` alone.

https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource
https://www.twilio.com/docs/phone-numbers/api/availablephonenumber-resource
https://www.twilio.com/docs/phone-numbers/pricing
https://developers.telnyx.com/api-reference/phone-number-configurations
https://developers.telnyx.com/api-reference/phone-number-search
https://developers.telnyx.com/api-reference/phone-number-orders
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol
from urllib.parse import urlencode

import urllib3
from msgspec import Struct

from shared.domain.objections import Refused
from tools.provider_api import Absent, Api

TWILIO = "https://api.twilio.com"
TWILIO_PRICES = "https://pricing.twilio.com"
TELNYX = "https://api.telnyx.com"
TWILIO_PAGE, TELNYX_PAGE = 1000, 250
"""The most that one page has."""
MOST_PAGES = 1000
IN_CALL = ("queued", "ringing", "in-progress")


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


class Kind(Struct, frozen=True):
    """What kind of number: its country (two letters), whether it is toll-free, and the digits it begins with there."""

    country: str = "US"
    toll_free: bool = False
    area_code: str = ""

    @property
    def words(self) -> str:
        kind = "toll-free" if self.toll_free else "local"
        return f"{kind} number in {self.country}{f' with {self.area_code}' if self.area_code else ''}"


class Price(Struct, frozen=True):
    """What a number costs a month, and once, in a currency (three letters)."""

    monthly: Decimal
    once: Decimal
    currency: str


class Offered(Struct, frozen=True):
    """A number (E.164) that can be bought."""

    number: str
    price: Price


class Account(Protocol):
    """Methods raise `Refused`, and of what it is not known whether it was done, `Unclear`."""

    def numbers(self) -> Iterator[Owned]:
        """All that take calls."""

    def applications(self) -> Iterator[Application]:
        """All of them."""

    def save(self, application: Application) -> str:
        """Make an application, or change the one with this id; its id."""

    def point(self, owned: Owned, application_id: str) -> None:
        """Let the calls of a number go to an application."""

    def offers(self, kind: Kind, count: int) -> list[Offered]:
        """At most so many numbers that can be bought now, without any papers."""

    def price(self, kind: Kind) -> Price | None:
        """Of a number of a kind; None where the provider does not say it."""

    def order(self, number: str, application_id: str) -> Owned | None:
        """Buy a number whose calls go to an application; None where it is ordered and not there yet."""

    def ordered(self, application_id: str) -> list[str]:
        """The numbers of orders with an application that are not finished."""

    def find(self, number: str) -> Owned | None:
        """A number that the account has, and None if it has not."""

    def is_in_call(self, number: str) -> bool:
        """Whether somebody calls it now."""

    def give_up(self, owned: Owned) -> None:
        """Let a number go; one that is gone already is no fault."""


class Twilio:
    """`key` is the account's auth token."""

    def __init__(self, account: str, key: str, base: str, prices: str) -> None:
        headers = urllib3.make_headers(basic_auth=f"{account}:{key}")
        self._api, self._prices = Api("Twilio", base, headers, key), Api("Twilio", prices, headers, key)
        self._path = f"/2010-04-01/Accounts/{account}"

    def numbers(self) -> Iterator[Owned]:
        return map(_twilio_number, self._pages("IncomingPhoneNumbers", "incoming_phone_numbers"))

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

    def offers(self, kind: Kind, count: int) -> list[Offered]:
        wanted = {"PageSize": str(count), "VoiceEnabled": "true", "ExcludeAllAddressRequired": "true"}
        if kind.area_code:
            wanted["AreaCode"] = kind.area_code
        resource = f"AvailablePhoneNumbers/{kind.country}/{'TollFree' if kind.toll_free else 'Local'}"
        try:
            page = self._api.send("GET", f"{self._path}/{resource}.json?{urlencode(wanted)}")
        except Absent:  # it has none of this kind in this country
            return []
        numbers = [each["phone_number"] for each in page["available_phone_numbers"]][:count]
        price = self.price(kind) if numbers else None
        if numbers and price is None:
            raise Refused(f"Twilio does not say what a {kind.words} costs, so nothing is bought.")
        return [Offered(number, price) for number in numbers if price]

    def price(self, kind: Kind) -> Price | None:
        try:
            said = self._prices.send("GET", f"/v1/PhoneNumbers/Countries/{kind.country}")
        except Absent:
            return None
        name = "toll free" if kind.toll_free else "local"
        each = next((each for each in said["phone_number_prices"] or () if each["number_type"] == name), None)
        return _price(each.get("current_price"), "0", said.get("price_unit")) if each else None

    def order(self, number: str, application_id: str) -> Owned | None:
        form = {"PhoneNumber": number, "VoiceApplicationSid": application_id}
        made = self._api.send("POST", f"{self._path}/IncomingPhoneNumbers.json", form=form)
        return _twilio_number(made) if "sid" in made else None

    def ordered(self, application_id: str) -> list[str]:  # noqa: ARG002
        """None: an order is done when it is answered."""
        return []

    def find(self, number: str) -> Owned | None:
        found = self._pages("IncomingPhoneNumbers", "incoming_phone_numbers", PhoneNumber=number)
        return next((_twilio_number(each) for each in found if each["phone_number"] == number), None)

    def is_in_call(self, number: str) -> bool:
        return any(any(self._pages("Calls", "calls", To=number, Status=status)) for status in IN_CALL)

    def give_up(self, owned: Owned) -> None:
        _send_delete(self._api, f"{self._path}/IncomingPhoneNumbers/{owned.id}.json")

    def _pages(self, resource: str, listed: str, **wanted: str) -> Iterator[dict[str, Any]]:
        path = f"{self._path}/{resource}.json?{urlencode({'PageSize': TWILIO_PAGE, **wanted})}"
        for _ in range(MOST_PAGES):
            page = self._api.send("GET", path)
            yield from page[listed]
            path = page.get("next_page_uri") or ""
            if not path.startswith("/"):
                return


class Telnyx:
    """`key` is an API key of the account, not the public key with which its webhooks are checked."""

    def __init__(self, account: str, key: str, base: str) -> None:
        self._api = Api("Telnyx", f"{base}/v2", {"Authorization": f"Bearer {key}"}, key)
        self._account = account

    def numbers(self) -> Iterator[Owned]:
        return map(_telnyx_number, self._pages("phone_numbers", {"filter[status]": "active"}))

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

    def offers(self, kind: Kind, count: int) -> list[Offered]:
        offered = list[Offered]()
        for each in self._available(kind, count):
            price = _telnyx_price(each)
            if price is None:
                raise Refused(f"Telnyx does not say what {each['phone_number']} costs, so nothing is bought.")
            offered.append(Offered(each["phone_number"], price))
        return offered

    def price(self, kind: Kind) -> Price | None:
        return next(map(_telnyx_price, self._available(kind, 1)), None)

    def _available(self, kind: Kind, count: int) -> list[dict[str, Any]]:
        wanted = {
            "filter[country_code]": kind.country,
            "filter[phone_number_type]": "toll_free" if kind.toll_free else "local",
            "filter[features][]": "voice",
            "filter[limit]": count,
        }
        if kind.area_code:
            wanted["filter[national_destination_code]"] = kind.area_code
        if kind.toll_free and kind.country in ("US", "CA"):
            wanted["filter[quickship]"] = "true"  # others cannot be called at once
        found = self._api.send("GET", f"/available_phone_numbers?{urlencode(wanted)}")
        return [each for each in found["data"] if not each.get("best_effort")][:count]

    def order(self, number: str, application_id: str) -> Owned | None:
        wanted = {"phone_numbers": [{"phone_number": number}], "connection_id": application_id}
        made = self._api.send("POST", "/number_orders", document=wanted).get("data") or {}
        if made.get("status") == "failure":
            raise Refused(f"Telnyx did not carry out the order of {number}.")
        return None

    def ordered(self, application_id: str) -> list[str]:
        orders = self._pages("number_orders", {"filter[status]": "pending"})
        with_it = (order for order in orders if order.get("connection_id") == application_id)
        return [each["phone_number"] for order in with_it for each in order.get("phone_numbers") or ()]

    def find(self, number: str) -> Owned | None:
        found = self._pages("phone_numbers", {"filter[status]": "active", "filter[phone_number]": number[1:]})
        return next((_telnyx_number(each) for each in found if each["phone_number"] == number), None)

    def is_in_call(self, number: str) -> bool:
        query = urlencode({"To": number, "page[size]": TELNYX_PAGE})
        found = self._api.send("GET", f"/texml/Accounts/{self._account}/Calls?{query}")
        return any(each.get("status") in IN_CALL for each in found["calls"])

    def give_up(self, owned: Owned) -> None:
        _send_delete(self._api, f"/phone_numbers/{owned.id}")

    def _pages(self, resource: str, wanted: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        for page in range(1, MOST_PAGES + 1):
            query = urlencode({**wanted, "page[number]": page, "page[size]": TELNYX_PAGE})
            found = self._api.send("GET", f"/{resource}?{query}")
            yield from found["data"]
            if page >= found.get("meta", {}).get("total_pages", 1):
                return


def _addresses(of: Mapping[str, Any], status: str) -> Addresses:
    return Addresses(of.get("voice_url") or "", of.get("voice_fallback_url") or "", of.get(status) or "")


def _twilio_number(said: Mapping[str, Any]) -> Owned:
    return Owned(
        number=said["phone_number"],
        id=said["sid"],
        application=said.get("voice_application_sid") or "",
        addresses=_addresses(said, "status_callback"),
        elsewhere=bool(said.get("trunk_sid")),
    )


def _telnyx_number(said: Mapping[str, Any]) -> Owned:
    return Owned(number=said["phone_number"], id=said["id"], application=said.get("connection_id") or "")


def _telnyx_price(available: Mapping[str, Any]) -> Price | None:
    cost = available.get("cost_information") or {}
    return _price(cost.get("monthly_cost"), cost.get("upfront_cost"), cost.get("currency"))


def _price(monthly: object, once: object, currency: object) -> Price | None:
    """None where one of them is not said, or is no amount."""
    try:
        price = Price(Decimal(str(monthly)), Decimal(str(once)), str(currency or "").upper())
    except InvalidOperation:
        return None
    amounts = (price.monthly, price.once)
    return price if price.currency and all(each.is_finite() and each >= 0 for each in amounts) else None


def _send_delete(api: Api, path: str) -> None:
    with suppress(Absent):
        api.send("DELETE", path)
