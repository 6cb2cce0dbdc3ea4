"""A visitor of the dashboard that fills in its forms, and sends them as a browser would."""

import html
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlencode

from shared.office.dashboard import ROOT
from tests.build import Stage, an_event
from tests.watchers import Visitor


@dataclass
class Form:
    action: str
    values: list[tuple[str, str]] = field(default_factory=list)
    disabled: bool = False

    def with_(self, given: dict[str, str]) -> list[tuple[str, str]]:
        """What is sent: `given` in the place of what stands there, or beside it; an empty name is taken out."""
        kept = [(name, text) for name, text in self.values if name not in given]
        return [*kept, *given.items()]


class _Reader(HTMLParser):
    """Finds the forms of a page with what a browser would send of them, without buttons."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.words: list[str] = []
        self._form: Form | None = None
        self._area: str | None = None
        self._select: tuple[str, list[tuple[str, bool]]] | None = None
        self._hidden = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = Form(given.get("action", ""))
            self.forms.append(self._form)
        elif tag == "fieldset" and "disabled" in given and self._form:
            self._form.disabled = True
        elif tag in ("style", "script"):
            self._hidden = True
        elif tag == "textarea" and "name" in given:
            self._area = given["name"]
            self._say(self._area, "")
        elif tag == "select" and "name" in given:
            self._select = (given["name"], [])
        elif tag == "option" and self._select:
            self._select[1].append((given.get("value", "\0"), "selected" in given))
        elif tag == "input" and "name" in given:
            boxed = given.get("type") in ("checkbox", "radio")
            if not boxed or "checked" in given:
                self._say(given["name"], given.get("value", ""))

    def handle_data(self, data: str) -> None:
        if self._area and self._form:
            name, text = self._form.values[-1]
            self._form.values[-1] = (name, text + (data.removeprefix("\n") if not text else data))
        elif self._select and self._select[1] and self._select[1][-1][0] == "\0":
            self._select[1][-1] = (data, self._select[1][-1][1])
        elif not self._hidden:
            self.words += data.split()

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag in ("style", "script"):
            self._hidden = False
        elif tag == "textarea":
            self._area = None
        elif tag == "select" and self._select:
            name, options = self._select
            chosen = [value for value, selected in options if selected] or [value for value, _ in options[:1]]
            self._select = None
            for value in chosen[:1]:
                self._say(name, value.removeprefix("\0"))

    def _say(self, name: str, text: str) -> None:
        if self._form:
            self._form.values.append((name, text))


@dataclass
class Seen:
    """A page as it was answered."""

    code: int
    headers: dict[str, str]
    html: str

    @property
    def text(self) -> str:
        """What is to be read on it, in one line."""
        return " ".join(_Reader(self.html).words)

    def form(self, action: str) -> Form:
        return next(form for form in _Reader(self.html).forms if form.action.partition("#")[0] == action)

    def actions(self) -> list[str]:
        return [form.action for form in _Reader(self.html).forms]

    def mistake(self, name: str) -> str:
        """What is said beside an input."""
        _, _, rest = self.html.partition(f'id="{name}-mistake">')
        return html.unescape(rest.partition("<")[0])


class Guest:
    def __init__(self, stage: Stage, name: str) -> None:
        self.stage = stage
        self.visitor = Visitor(stage, name)

    def open(self, path: str, query: str = "") -> Seen:
        return self.ask("GET", path, query)

    def send(self, page: Seen, action: str, /, **given: str) -> Seen:
        return self.fill(page, action, given)

    def fill(self, page: Seen, action: str, given: dict[str, str]) -> Seen:
        """Send the form of a page, changed where something is given, and go where it leads."""
        answer = self.ask("POST", action, pairs=page.form(f"{ROOT}{action}").with_(given))
        while answer.code == 303:
            path, _, query = answer.headers["Location"].partition("#")[0].partition("?")
            answer = self.ask("GET", path.removeprefix(ROOT), query)
        return answer

    def ask(self, method: str, path: str, query: str = "", pairs: list[tuple[str, str]] | None = None) -> Seen:
        body = urlencode(pairs).encode() if pairs is not None else None
        answer = self.visitor.visit(an_event(method=method, path=f"{ROOT}{path}", query=query, body=body))
        return Seen(answer.code, answer.headers, answer.text)
