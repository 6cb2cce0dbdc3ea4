"""The parts of the configuration: of every kind a list, a form for a new one, and a page with the form of each."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from functions.dashboard import forms
from functions.dashboard.forms import Form, Mistakes, Texts
from functions.dashboard.inputs import FORMS
from shared.domain.configuration import Plain
from shared.domain.models import Role
from shared.domain.objections import (
    Busy,
    Malformed,
    NameTaken,
    NotFound,
    NotValid,
    Objection,
    Outdated,
    Overtaken,
    Refused,
    VersionMissing,
)
from shared.edge.api import HTTP_STATUS
from shared.edge.desk import ROOT, Elsewhere, Shown, View, Visit
from shared.operators import resources
from shared.operators.access import OPERATORS, READERS
from shared.operators.desk import Desk
from shared.operators.resources import FILTERS, NAMED_BY, ONE, Kind, Resource

ANSWERED = (NotValid, Outdated, NameTaken, Refused, Overtaken, Busy, VersionMissing)
"""What is said on the page of the form itself, which keeps what was written."""


class Filled(Struct, frozen=True):
    """A form with its texts, and what it was made from: the content, as JSON, and its version. `errors` are by input,
    `elsewhere` by the paths of what is no input of it. One that is `merged`
    has what others have changed meanwhile; `different` is what was changed by both: the input, what is there now, what
    is wanted."""

    form: Form
    texts: Texts
    options: Mapping[str, list[str]]
    version: str = ""
    was: str = "{}"
    sentence: str = ""
    errors: Mistakes = {}
    elsewhere: Mistakes = {}
    merged: bool = False
    different: list[tuple[str, str, str]] = []
    blank_rows: int = forms.BLANK_ROWS
    code: int = 200


class Section(Struct, frozen=True):
    """`told` gives what the list tells of each of its resources beside what they say, `beside` what a page shows beside
    its form."""

    kind: Kind
    told: Callable[[Desk, list[Plain]], Mapping[str, Any]]
    beside: Callable[[Desk, Visit, Resource], Mapping[str, Any]]
    roles: tuple[Role, ...] = READERS
    check: Callable[[Visit], None] = lambda _: None

    @property
    def views(self) -> Iterator[View[Desk]]:
        address = f"/{self.kind}"
        yield View("GET", address, self._list, self.roles)
        yield View("POST", address, self._save, OPERATORS)
        yield View("GET", address + "/{name}", self._show, self.roles)
        yield View("POST", address + "/{name}", self._save, OPERATORS)
        yield View("POST", address + "/{name}/delete", self._delete, OPERATORS)

    def _list(self, desk: Desk, visit: Visit) -> Shown:
        if "new" in visit.query and visit.user.role == "operator":
            return self._new(desk, visit)
        filters = {name: visit.query[name] for name in FILTERS[self.kind] if visit.query.get(name)}
        search = visit.query.get("search", "")
        page = resources.listed(
            desk.records, self.kind, visit.user, filters=filters, search=search, after=visit.query.get("after", "")
        )
        values = {"page": page, "filters": filters, "search": search, "options": options(desk)}
        return Shown(f"{self.kind}.html", {**values, **self.told(desk, page.items)})

    def _new(self, desk: Desk, visit: Visit) -> Shown:
        """Like another one, if the query names it."""
        like, key = visit.query.get("like"), NAMED_BY[self.kind]
        content = resources.one(desk.records, self.kind, like).content if like else {}
        texts = FORMS[self.kind].written({name: value for name, value in content.items() if name != key})
        given = {name: text for name, text in visit.query.items() if name in texts}
        return self._page(desk, visit, None, Filled(FORMS[self.kind], texts | given, options(desk)))

    def _show(self, desk: Desk, visit: Visit) -> Shown:
        self.check(visit)
        found = resources.one(desk.records, self.kind, visit.path["name"])
        return self.shown(desk, visit, found)

    def shown(self, desk: Desk, visit: Visit, found: Resource, **values: Any) -> Shown:
        return self._page(desk, visit, found, filled(desk, found), **values)

    def _save(self, desk: Desk, visit: Visit) -> Shown | Elsewhere:
        name = visit.path.get("name")
        try:
            found = resources.one(desk.records, self.kind, name) if name else None
        except NotFound as gone:  # what was written can be made anew
            form, texts = FORMS[self.kind], forms.posted(visit.form)
            again = Filled(form, form.settled(texts), options(desk))
            return self._page(desk, visit, None, _objected(again, gone))
        saved = save(desk, visit, self.kind, found)
        if isinstance(saved, Filled):
            return self._page(desk, visit, found, saved)
        return saved

    def _delete(self, desk: Desk, visit: Visit) -> Shown | Elsewhere:
        name = visit.path["name"]
        try:
            resources.delete(desk.records, visit.user.name, self.kind, name, visit.values.get("version", ""))
        except ANSWERED as objection:
            found = resources.one(desk.records, self.kind, name)
            return self._page(desk, visit, found, _objected(filled(desk, found), objection))
        return Elsewhere(f"{ROOT}/{self.kind}?gone={name}")

    def _page(self, desk: Desk, visit: Visit, found: Resource | None, form: Filled, **values: Any) -> Shown:
        beside = self.beside(desk, visit, found) if found else {}
        known = {"kind": self.kind, "one": ONE[self.kind], "found": found, "filled": form}
        return Shown(f"{ONE[self.kind].replace(' ', '_')}.html", {**known, **beside, **values}, form.code)


def filled(desk: Desk, found: Resource) -> Filled:
    form = FORMS[found.kind]
    return Filled(form, form.written(found.content), options(desk), found.version, _json(found.content))


def save(desk: Desk, visit: Visit, kind: Kind, found: Resource | None) -> Filled | Elsewhere:
    """Where the saved resource is; or the form once more, with all that was written in it. `found` is what is changed,
    None to make a new one."""
    form, texts = FORMS[kind], forms.posted(visit.form)
    wish, version = texts.get("rows"), texts.get("version", "")
    settled = form.settled(forms.arranged(texts, wish or ""))
    again = Filled(form, settled, options(desk), version, texts.get("was", ""))
    if wish:
        return replace(again, blank_rows=forms.MORE_ROWS)
    content, mistakes = form.read(again.texts, found.content if found else {})
    try:
        if mistakes:
            raise NotValid(mistakes)
        if found:
            resources.replace(desk.records, visit.user.name, kind, found.name, content, version)
            return Elsewhere(f"{address(kind, found.name)}?saved")
        made = resources.create(desk.records, visit.user.name, kind, content)
    except ANSWERED as objection:
        return _objected(again, objection)
    return Elsewhere(f"{address(kind, made.name)}?saved")


def address(kind: Kind, name: str) -> str:
    return f"{ROOT}/configuration" if kind == "account" else f"{ROOT}/{kind}/{name}"


def options(desk: Desk) -> Mapping[str, list[str]]:
    """What can be chosen, by the name of the input."""
    live = desk.records.last_seen()
    endpoints = live.names("endpoints")
    return {
        "offer": live.names("offers"),
        "ring_pool": ["", *live.names("ring_pools")],
        "endpoint": ["", *endpoints],
    }


def _objected(form: Filled, objection: Objection) -> Filled:
    form = replace(form, sentence=str(objection), code=HTTP_STATUS[type(objection)])
    if isinstance(objection, Outdated):
        return _merged(form, objection.current)
    errors, elsewhere = form.form.beside(form.texts, objection.errors if isinstance(objection, NotValid) else {})
    return replace(form, errors=errors, elsewhere=elsewhere)


def _merged(form: Filled, current: Mapping[str, Any]) -> Filled:
    """Made from what is there now, with all that was written in it."""
    content = {name: value for name, value in current.items() if name != "version"}
    try:
        was = form.form.written(msgspec.json.decode(form.was, type=dict[str, Any]))
    except (msgspec.DecodeError, ValueError) as wrong:
        raise Malformed("This form is not one of ours. Open the page again.") from wrong
    texts, different = form.form.merged(was, form.form.written(content), form.texts)
    return replace(form, texts=texts, version=current["version"], was=_json(content), merged=True, different=different)


def _json(content: Plain) -> str:
    return msgspec.json.encode(content).decode()
