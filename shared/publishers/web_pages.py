"""The pages that publishers open. A page without a change is not sent again (ETag)."""

from collections.abc import Callable, Mapping
from hashlib import sha256
from http import HTTPStatus
from typing import Any

from msgspec import Struct

from shared import pages
from shared.domain.refusals import Refusal, Unauthorized
from shared.http import serving
from shared.http.serving import Facts, RawResponse
from shared.pages import HTML, JSON
from shared.publishers import answers


class Page(Struct):
    body: str
    content_type: str = HTML
    code: int = 200
    vary: str = ""


def serve(
    event: Mapping[str, Any], request_id: str, function: str, page: Callable[[Mapping[str, Any]], Page]
) -> RawResponse:
    """Answer one event with its page, or with one that says why not."""

    def respond(_: Facts) -> RawResponse:
        return _response(event, page(event))

    def refuse(refused: Refusal) -> RawResponse:
        response = _response(event, _refusal(refused, event["rawPath"], request_id))
        if isinstance(refused, Unauthorized):  # the browser asks for it: the token is the password
            response["headers"]["WWW-Authenticate"] = 'Basic realm="The auth_token as password", charset="UTF-8"'
        return response

    return serving.serve(event, request_id, function, respond, refuse, (Refusal,))


def _response(event: Mapping[str, Any], found: Page) -> RawResponse:
    headers = {
        "Cache-Control": "no-cache",
        "Content-Type": found.content_type,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    if found.vary:
        headers["Vary"] = found.vary
    if found.content_type == HTML:
        headers["Content-Security-Policy"] = pages.policy()
    response = {"statusCode": found.code, "headers": headers, "body": found.body, "isBase64Encoded": False}
    if found.code == HTTPStatus.OK:
        headers["ETag"] = f'"{sha256(found.body.encode()).hexdigest()[:32]}"'
        if headers["ETag"] in event.get("headers", {}).get("if-none-match", ""):
            return response | {"statusCode": 304, "body": ""}
    return response


def _refusal(refused: Refusal, path: str, request_id: str) -> Page:
    code = answers.HTTP_STATUS[type(refused)]
    if path.endswith(".json") or path == "/":
        return Page(answers.refusal(refused, None, request_id).decode(), JSON, code)
    values = {"title": HTTPStatus(code).phrase, "sentences": refused.sentences}
    return Page(pages.render("refusal.html", **values, request_id=request_id if code >= 500 else ""), code=code)
