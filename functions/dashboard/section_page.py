"""The parts of the configuration: of every kind a list, a form for a new one, and a page with the form of each."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from functions.dashboard import forms, inputs, words
from functions.dashboard.forms import Form, Mistakes, Texts
from functions.dashboard.inputs import FORMS
from shared.configuration import Plain
from shared.domain import schedule
from shared.domain.models import Role
from shared.domain.objections import (
    Busy,
    Interrupted,
    Malformed,
    NameTaken,
    NotFound,
    NotValid,
    Objection,
    Outdated,
    Overtaken,
    Refused,
    Unconfirmed,
    VersionMissing,
)
from shared.office.dashboard import ROOT, Page, Redirect, View, Visit
from shared.office.rest import HTTP_STATUS
from shared.office.visitors import VisitedOffice
from shared.operators import configuration_warnings, resources
from shared.operators.access import OPERATORS, READERS, Office
from shared.operators.resources import FILTERS, NAMED_BY, ONE, Kind, Resource

ANSWERED = (NotValid, Outdated, NameTaken, Refused, Unconfirmed, Overtaken, Busy, Interrupted, VersionMissing)
"""What is said on the page of the form itself, which keeps what was written."""


class FilledForm(Struct, frozen=True):
    """A form with its texts, and what it was made from: the content, as JSON, and its version. `errors` are by input,
    `elsewhere` by the paths of what is no input of it. One that is `merged`
    has what others have changed meanwhile; `different` is what was changed by both: the input, what is there now, what
    is wanted. `confirm` is the word that has to be typed for it."""

    form: Form
    texts: Texts
    options: Mapping[str, list[str]]
    version: str = ""
    was: str = "{}"
    sentence: str = ""
    confirm: str = ""
    errors: Mistakes = {}
    elsewhere: Mistakes = {}
    merged: bool = False
    different: list[tuple[str, str, str]] = []
    blank_rows: int = forms.BLANK_ROWS
    code: int = 200


class Section(Struct, frozen=True):
    """`list_values` gives what the list shows of its resources besides their settings, `page_values` what a page shows
    besides its form."""

    kind: Kind
    list_values: Callable[[Office, list[Plain]], Mapping[str, Any]]
    page_values: Callable[[Office, Visit, Resource], Mapping[str, Any]]
    roles: tuple[Role, ...] = READERS
    check: Callable[[Visit], None] = lambda _: None

    @property
    def views(self) -> Iterator[View[VisitedOffice]]:
        address = f"/{self.kind}"
        yield View("GET", address, self._list, self.roles)
        yield View("POST", address, self._save, OPERATORS)
        yield View("GET", address + "/{name}", self._show, self.roles)
        yield View("POST", address + "/{name}", self._save, OPERATORS)
        yield View("POST", address + "/{name}/delete", self._delete, OPERATORS)

    def _list(self, office: Office, visit: Visit) -> Page:
        if "new" in visit.query and visit.user.role == "operator":
            return self._new(office, visit)
        filters = {name: visit.query[name] for name in FILTERS[self.kind] if visit.query.get(name)}
        search = visit.query.get("search", "")
        page = resources.list_resources(
            office.records, self.kind, visit.reader, filters=filters, search=search, after=visit.query.get("after", "")
        )
        values = {"page": page, "filters": filters, "search": search, "options": options(office)}
        return Page(f"{self.kind}.html", {**values, **self.list_values(office, page.items)})

    def _new(self, office: Office, visit: Visit) -> Page:
        """Like another one, if the query names it."""
        like, key = visit.query.get("like"), NAMED_BY[self.kind]
        content = resources.find_resource(office.records, self.kind, like).content if like else {}
        texts = FORMS[self.kind].texts_for({name: value for name, value in content.items() if name != key})
        if self.kind == "buyers":
            texts["id"] = str(resources.next_id(office.records))
        given = {name: text for name, text in visit.query.items() if name in texts}
        return self._page(office, visit, None, FilledForm(FORMS[self.kind], texts | given, options(office)))

    def _show(self, office: Office, visit: Visit) -> Page:
        self.check(visit)
        found = resources.find_resource(office.records, self.kind, visit.path["name"])
        return self.page_of(office, visit, found)

    def page_of(self, office: Office, visit: Visit, found: Resource, **values: Any) -> Page:
        return self._page(office, visit, found, fill(office, found), **values)

    def _save(self, office: Office, visit: Visit) -> Page | Redirect:
        name = visit.path.get("name")
        try:
            found = resources.find_resource(office.records, self.kind, name) if name else None
        except NotFound as gone:  # what was written can be made anew
            form, texts = FORMS[self.kind], forms.texts_of(visit.form)
            again = FilledForm(form, form.own_texts(texts), options(office))
            return self._page(office, visit, None, _with_objection(again, gone))
        saved = save(office, visit, self.kind, found)
        if isinstance(saved, FilledForm):
            return self._page(office, visit, found, saved)
        return saved

    def _delete(self, office: Office, visit: Visit) -> Page | Redirect:
        name = visit.path["name"]
        try:
            version, confirmed = visit.values.get("version", ""), visit.values.get("confirm", "")
            resources.delete(office.records, visit.user.name, self.kind, name, version, confirmed)
        except ANSWERED as objection:
            found = resources.find_resource(office.records, self.kind, name)
            return self._page(
                office, visit, found, replace(_with_objection(fill(office, found), objection), confirm="")
            )
        return Redirect(f"{ROOT}/{self.kind}?gone={name}")

    def _page(self, office: Office, visit: Visit, found: Resource | None, form: FilledForm, **values: Any) -> Page:
        shown_with = self.page_values(office, visit, found) if found else {}
        warned_of = configuration_warnings.of_resource(office.records, self.kind, found.name) if found else []
        known = {"kind": self.kind, "one": ONE[self.kind], "found": found, "filled": form, "warnings": warned_of}
        return Page(f"{ONE[self.kind].replace(' ', '_')}.html", {**known, **shown_with, **values}, form.code)


def fill(office: Office, found: Resource) -> FilledForm:
    form = FORMS[found.kind]
    return FilledForm(form, form.texts_for(found.content), options(office), found.version, _json(found.content))


def save(office: Office, visit: Visit, kind: Kind, found: Resource | None) -> FilledForm | Redirect:
    """Where the saved resource is; or the form once more, with all that was written in it. `found` is what is changed,
    None to make a new one."""
    form, texts = FORMS[kind], forms.texts_of(visit.form)
    wish, version = texts.get("rows"), texts.get("version", "")
    settled = form.own_texts(forms.arrange(texts, wish or ""))
    again = FilledForm(form, settled, options(office), version, texts.get("was", ""))
    if wish:
        return replace(again, blank_rows=forms.MORE_ROWS)
    content, mistakes = form.read(again.texts, found.content if found else {})
    try:
        if mistakes:
            also = resources.problems(office.records, kind, content, found.name if found else None)
            raise NotValid({**also, **mistakes})
        if found:
            confirmed = texts.get("confirm", "")
            resources.replace(office.records, visit.user.name, kind, found.name, content, version, confirmed)
            return Redirect(f"{address(kind, found.name)}?saved")
        made = resources.create(office.records, visit.user.name, kind, content)
    except ANSWERED as objection:
        return _with_objection(again, objection)
    return Redirect(f"{address(kind, made.name)}?saved")


def address(kind: Kind, name: str) -> str:
    return f"{ROOT}/configuration" if kind == "account" else f"{ROOT}/{kind}/{name}"


def options(office: Office) -> Mapping[str, list[str]]:
    """What can be chosen, by the name of the input."""
    live = office.records.versions.last_read()
    endpoints = live.names("endpoints")
    return {
        "offer": live.names("offers"),
        "ring_pool": ["", *live.names("ring_pools")],
        "calls.provider": ["", *live.names("providers")],
        "endpoint": ["", *endpoints],
        "zone": ["", *inputs.US_ZONES, *schedule.places()],
    }


def _with_objection(form: FilledForm, objection: Objection) -> FilledForm:
    form = replace(form, sentence=str(objection), code=HTTP_STATUS[type(objection)])
    if isinstance(objection, Outdated):
        return _merge(form, objection.current)
    if isinstance(objection, Unconfirmed):
        form = replace(form, confirm=objection.word)
    errors, elsewhere = form.form.place_errors(form.texts, objection.errors if isinstance(objection, NotValid) else {})
    errors = {name: [words.sentence(each) for each in sentences] for name, sentences in errors.items()}
    elsewhere = {words.place(path): [*map(words.sentence, sentences)] for path, sentences in elsewhere.items()}
    return replace(form, errors=errors, elsewhere=elsewhere)


def _merge(form: FilledForm, current: Mapping[str, Any]) -> FilledForm:
    """Made from what is there now, with all that was written in it."""
    content = {name: value for name, value in current.items() if name != "version"}
    try:
        was = form.form.texts_for(msgspec.json.decode(form.was, type=dict[str, Any]))
    except (msgspec.DecodeError, ValueError) as wrong:
        raise Malformed("This form is not one of ours. Open the page again.") from wrong
    texts, different = form.form.merge(was, form.form.texts_for(content), form.texts)
    return replace(form, texts=texts, version=current["version"], was=_json(content), merged=True, different=different)


def _json(content: Plain) -> str:
    return msgspec.json.encode(content).decode()
