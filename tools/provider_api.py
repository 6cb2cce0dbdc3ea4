"""JSON over HTTP, as telephony providers speak it, and what is known of a request that failed."""

import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, MaxRetryError, ResponseError
from urllib3.util import Retry, Timeout

from shared.domain.objections import Refused

SAID_LETTERS = 200
"""How much of a provider's own reason is shown."""
RETRY = Retry(
    connect=2, read=0, redirect=0, status=4, status_forcelist=(429,), allowed_methods=None, backoff_factor=0.5
)
"""What is sent again: where nobody was reached, or the provider says that nothing was done."""
REQUEST_TIMEOUT = 408


class Unclear(Refused):
    """It is not known whether the provider did it: the answer was lost, or says that something broke."""


class Absent(Refused):
    """There is no such thing at the provider."""


class Api:
    """No message shows the key. Methods raise `Refused` where nothing was done, else `Unclear`."""

    def __init__(self, name: str, base: str, headers: Mapping[str, str], key: str) -> None:
        self.name, self._base, self._headers, self._key = name, base, headers, key
        self._pool = urllib3.PoolManager(retries=RETRY, timeout=Timeout(connect=5, read=30))

    def send(
        self,
        method: str,
        path: str,
        *,
        form: Mapping[str, str] | None = None,
        document: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """What it answered; empty where that has no body."""
        body, kind = (urlencode(form), "application/x-www-form-urlencoded") if form else (None, "")
        if document:
            body, kind = json.dumps(document), "application/json"
        headers = {**self._headers, "Accept": "application/json"} | ({"Content-Type": kind} if kind else {})
        try:
            answer = self._pool.request(method, self._base + path, body=body, headers=headers)
        except HTTPError as fault:
            raise self._not_answered(fault) from None
        done = f"{method} {path.partition('?')[0]}"
        if answer.status // 100 != 2:
            raise self._refused(answer, done)
        try:
            found: dict[str, Any] = json.loads(answer.data) if answer.data else {}
        except ValueError:
            raise Unclear(f"{self.name} answered no JSON to {done}.") from None
        return found

    def _not_answered(self, fault: HTTPError) -> Refused:
        reason = fault.reason if isinstance(fault, MaxRetryError) else fault
        if isinstance(reason, ResponseError):
            return Refused(f"{self.name} does not take it now ({reason}). Try again later.")
        sentence = f"{self.name} does not answer ({type(reason).__name__}). Try again later."
        return Refused(sentence) if isinstance(reason, ConnectTimeoutError) else Unclear(sentence)

    def _refused(self, answer: urllib3.BaseHTTPResponse, done: str) -> Refused:
        if answer.status in (401, 403):
            return Refused(f"{self.name} does not accept the account and its key ({self._why(answer)}).")
        kind = Absent if answer.status == 404 else Refused
        if answer.status >= 500 or answer.status == REQUEST_TIMEOUT:
            kind = Unclear
        return kind(f"{self.name} refused {done}: {self._why(answer)}.")

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
