"""The page `/local/call` of the local run: it makes a simulated call and shows what happened in it."""

import asyncio
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from tools.calling import simulated
from tools.calling.provider import Call
from tools.calling.simulated import NotUnderstood, Plan, Simulated
from tools.calling.twiml import NotTwiml
from tools.calling.webhooks import NotRunning, Webhooks
from tools.local import asgi

if TYPE_CHECKING:
    from jinja2 import Template

PATH = "/local/call"
BODY_BYTES = 4096
FIELDS = ("number", "caller", "behavior", "talk", "ping_id")
HEADERS = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"),
    (b"x-frame-options", b"DENY"),
]


class CallPage:
    """`url` is where the service answers, `key` what the local provider signs with."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url, key

    async def application(self, scope: asgi.Message, receive: asgi.Receive, send: asgi.Send) -> None:
        form = dict.fromkeys(FIELDS, "")
        try:
            if not self._is_ours({name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}):
                code, page = 403, _page(form, wrong="Only pages of this service may call. Open it at its own address.")
            elif scope["method"] == "POST":
                sent = parse_qs((await asgi.body(receive, BODY_BYTES)).decode(errors="replace"))
                form |= {name: sent[name][-1].strip() for name in FIELDS if name in sent}
                code, page = await asyncio.to_thread(self._answer, form)
            else:
                code, page = 200, _page(form)
        except asgi.ClientGone:
            return
        except asgi.BodyTooLarge:
            code, page = 413, _page(form, wrong="That is too large.")
        await asgi.reply(send, code, page, HEADERS)

    def _is_ours(self, headers: Mapping[str, str]) -> bool:
        """Whether a page of this service asks, or no page at all: another site must not make calls through the browser
        of the person who runs this."""
        host = headers.get("host", "")
        if host not in (urlsplit(self._url).netloc, f"localhost:{urlsplit(self._url).port}"):
            return False
        is_same = headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
        return is_same and headers.get("origin", f"http://{host}") == f"http://{host}"

    def _answer(self, form: dict[str, str]) -> tuple[int, bytes]:
        talk = ["talk", form["talk"]] if form["talk"] else []
        try:
            plan = simulated.read_plan([form["number"], "from", form["caller"], *form["behavior"].split(), *talk])
        except NotUnderstood as fault:
            return 422, _page(form, wrong=str(fault))
        return self._call(plan, form)

    def _call(self, plan: Plan, form: dict[str, str]) -> tuple[int, bytes]:
        story: list[str] = []
        wrong = ""
        with Webhooks(self._url, self._key) as webhooks:
            call = Call(webhooks, Simulated(plan), number=plan.number, caller=plan.caller, tell=story.append)
            try:
                call.run()
            except (NotRunning, NotTwiml) as fault:
                wrong = str(fault)
        return 502 if wrong else 200, _page(form, wrong, "\n".join(story))


def _page(form: Mapping[str, str], wrong: str = "", story: str = "") -> bytes:
    title = f"A call to {form['number']}" if story else "A call"
    return _template().render(title=title, form=form, wrong=wrong, story=story, usage=simulated.USAGE).encode()


@cache
def _template() -> "Template":
    from jinja2 import Environment  # slow to import

    return Environment(autoescape=True).from_string(Path(__file__).with_name("call.html").read_text())
