"""The parts of the configuration one by one: listed, made, changed and taken out, by the rules of the whole file.

Six kinds. A buyer is a part of its offer in the file, and a resource of its own here: it names its `offer`, and an
offer has no `buyers`. The version of a resource is a hash of what it says, so that two operators who edit two buyers of
one offer do not meet. A change is made to what is live, checked as a whole file would be, and applied if nobody applied
anything meanwhile; else once more, from what is live then.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct, structs

from shared import configuration
from shared.configuration import (
    ACCOUNT,
    KEYS,
    Configuration,
    InvalidConfiguration,
    Parts,
    Path,
    Plain,
    Problem,
    by_names,
    dotted_path,
)
from shared.domain.objections import (
    Busy,
    Errors,
    NameTaken,
    NotFound,
    NotValid,
    Outdated,
    Overtaken,
    VersionMissing,
)
from shared.domain.readers import Reader
from shared.operators import configuration_warnings, lockout
from shared.operators.configuration_warnings import Warning
from shared.store.records import Records
from shared.store.versions import Applied

Kind = Literal["account", "users", "providers", "ring_pools", "offers", "endpoints", "buyers"]

ONE = {
    "account": "account",
    "users": "user",
    "providers": "provider",
    "ring_pools": "ring pool",
    "offers": "offer",
    "endpoints": "endpoint",
    "buyers": "buyer",
}
NAMED_BY: Mapping[str, str] = {**KEYS, "buyers": "id"}
"""What names a resource of its kind; it stays as it is."""

FILTERS: Mapping[str, tuple[str, ...]] = {
    "users": ("role",),
    "providers": ("kind",),
    "ring_pools": (),
    "offers": ("rank_by",),
    "endpoints": ("offer", "tracking", "ring_pool"),
    "buyers": ("offer", "paused"),
}
"""Members that a list can be narrowed by, to those that say exactly this."""

PAGE, LONGEST_PAGE = 50, 200
MAX_ID = 2**31 - 1
TRIES = 40
PAUSE_SECONDS = 0.25
"""Between two tries while somebody else applies: ten seconds in all."""


class Resource(Struct, frozen=True):
    """`content` is what the operator wrote, without what is default. `warnings` are told of what was just written."""

    kind: Kind
    name: str
    content: Plain
    warnings: list[Warning] = []

    @property
    def version(self) -> str:
        return hashlib.sha256(msgspec.json.encode(self.content, order="deterministic")).hexdigest()[:16]

    @property
    def with_version(self) -> Plain:
        with_warnings = {"warnings": self.warnings} if self.warnings else {}
        return {**self.content, "version": self.version, **with_warnings}


class Page(Struct, frozen=True):
    """Some of a list. `next` is what to ask for `after`, None at the end; `total` how many the whole list has."""

    items: list[Any]
    next: str | None
    total: int


class EditResult(Struct, frozen=True):
    """`applied` is None if the edit changed nothing; `path` is that of what was changed, None if it is gone."""

    applied: Applied | None
    wanted: Configuration
    path: Path | None


Edit = Callable[[Parts], tuple[Plain, Path | None]]
"""From what is live to the document that is wanted, and the path in it of what was changed, None if it is gone."""


def list_resources(
    records: Records,
    kind: Kind,
    reader: Reader,
    *,
    filters: Mapping[str, str] | None = None,
    search: str = "",
    after: str = "",
    limit: int = PAGE,
) -> Page:
    """In the order of names, buyers of ids. `search` is a part of a name. A publisher sees its own user.

    Raises `NotValid` where `after` or a filter is of no use.
    """
    if unknown := (filters or {}).keys() - {*FILTERS[kind]}:
        known = ", ".join(FILTERS[kind]) or "none"
        raise NotValid({name: [f"is no filter of this list; it has {known}"] for name in sorted(unknown)})
    found = [
        resource
        for resource in all_of(records.versions.last_read().parts, kind)
        if all(_text_of(resource.content, name) == value for name, value in (filters or {}).items())
        and search.casefold() in f"{resource.name} {resource.content.get('name', '')}".casefold()
        and reader.limited_to in (None, resource.name)
    ]
    return _page(sorted(found, key=lambda found: _order(kind, found.name)), kind, after, limit)


def find_resource(records: Records, kind: Kind, name: str) -> Resource:
    """Raises `NotFound`."""
    return _of(records.versions.last_read().parts, kind, name)


def create(records: Records, by: str, kind: Kind, content: Plain) -> Resource:
    """Raises `NameTaken`, `NotValid`, and `Busy` where others apply for long."""
    content = _without_version(content)
    name = str(content.get(NAMED_BY[kind], ""))

    def edit(parts: Parts) -> tuple[Plain, Path]:
        if _find(parts, kind, name):
            raise NameTaken(f"There is a {ONE[kind]} {name} already.")
        return _with(configuration.document_of(parts), kind, content, None)

    return _result_of(records, kind, edit_parts(records, by, edit))


def replace(
    records: Records, by: str, kind: Kind, name: str, content: Plain, version: str, confirmed: str = ""
) -> Resource:
    """Make it say this and nothing else. `confirmed` is the word that `Unconfirmed` asks for.

    Raises `NotFound`, `VersionMissing`, `Outdated`, `NotValid`, `Unconfirmed` and `Busy`.
    """
    wanted = _without_version(content)
    return _update(records, by, kind, name, version or _version(content), lambda _: wanted, confirmed)


def patch(
    records: Records, by: str, kind: Kind, name: str, changes: Plain, version: str, confirmed: str = ""
) -> Resource:
    """Change the members that are given and leave the others; null takes one out (RFC 7396, JSON Merge Patch). Raises
    what `replace` raises."""
    wanted = _without_version(changes)
    return _update(records, by, kind, name, version or _version(changes), lambda was: merge(was, wanted), confirmed)


def pause(records: Records, by: str, buyer_id: str, paused: bool) -> Resource:
    """Whatever else has been changed of the buyer: who pauses is in a hurry. Raises `NotFound` and `Busy`."""
    return _update(records, by, "buyers", buyer_id, None, lambda was: merge(was, {"paused": paused or None}))


def delete(records: Records, by: str, kind: Kind, name: str, version: str, confirmed: str = "") -> None:
    """Raises `NotFound`, `VersionMissing`, `Outdated`, `Unconfirmed`, `Busy`, and `NotValid` where something else needs
    it."""

    def edit(parts: Parts) -> tuple[Plain, None]:
        _check_version(_of(parts, kind, name), version)
        return _without(configuration.document_of(parts), kind, name), None

    edit_parts(records, by, edit, confirmed)


def edit_parts(records: Records, by: str, edit: Edit, confirmed: str = "") -> EditResult:
    """Apply an edit of what is live. Somebody else's change meanwhile may be to another part: then it is made again.
    Raises what `edit` raises, `NotValid`, `Unconfirmed`, `Refused`, and `Overtaken` and `Busy` in the end."""
    for tried in range(1, TRIES + 1):
        live = records.versions.current()
        document, path = edit(live.parts)
        try:
            wanted = with_an_operator(configuration.read(document))
            lockout.check(live.parts, wanted, by, confirmed)
            return EditResult(records.applying.apply(wanted, by, seen=live.version), wanted, path)
        except InvalidConfiguration as invalid:
            raise NotValid(errors(invalid.problems, document, path)) from None
        except Overtaken:
            if tried == TRIES:
                raise
        except Busy:
            if tried == TRIES:
                raise
            time.sleep(PAUSE_SECONDS)
    raise AssertionError("the last try ends the loop")


def problems(records: Records, kind: Kind, content: Plain, name: str | None) -> Errors:
    """What breaks a rule if this is put in the place of the one of this name, or made anew. Nothing is changed."""
    document, path = configuration.document_of(records.versions.last_read().parts), None
    try:
        document, path = _with(document, kind, content, name)
        configuration.read(document)
    except NotValid as wrong:
        return wrong.errors
    except InvalidConfiguration as invalid:
        return errors(invalid.problems, document, path)
    return {}


def next_id(records: Records) -> int:
    """One that no buyer has: after the largest, as far as there is one."""
    taken = {int(buyer.name) for buyer in all_of(records.versions.last_read().parts, "buyers")}
    following = max(taken, default=0) + 1
    return following if following <= MAX_ID else next(free for free in range(1, MAX_ID) if free not in taken)


def merge(was: Any, changes: Any) -> Any:
    """RFC 7396."""
    if not isinstance(changes, dict):
        return changes
    kept = dict(was) if isinstance(was, dict) else {}
    for key, value in changes.items():
        if value is None:
            kept.pop(key, None)
        else:
            kept[key] = merge(kept.get(key), value)
    return kept


def with_an_operator(wanted: Configuration) -> Configuration:
    """What is edited here must not be the end of editing here. Raises `InvalidConfiguration`."""
    if not any(user.role == "operator" for user in wanted.users):
        raise InvalidConfiguration([Problem(("users",), "must have an operator, or nobody can change anything here")])
    return wanted


def errors(problems: tuple[Problem, ...], document: Plain, path: Path | None) -> Errors:
    """By their paths in the resource at `path`; elsewhere by whole paths, in which records go by their names."""
    found: dict[str, list[str]] = {}
    for problem in problems:
        inside = path is not None and problem.path[: len(path)] == path
        if inside and path and not (path[0] == "offers" and len(path) == 2 and problem.path[2:3] == ("buyers",)):
            rest = problem.path[len(path) :]
            place = dotted_path(rest) if rest else ""
        else:
            place = by_names(document, problem.path)
        found.setdefault(place, []).append(problem.message)
    return found


def _page(found: list[Resource], kind: Kind, after: str, limit: int) -> Page:
    rest = [resource for resource in found if not after or _order(kind, resource.name) > _order(kind, after)]
    some = rest[:limit]
    return Page([resource.with_version for resource in some], some[-1].name if len(rest) > limit else None, len(found))


def all_of(parts: Parts, kind: Kind) -> Iterator[Resource]:
    """Every resource of a kind, in the order of the file."""
    if kind == "account":
        yield Resource("account", "account", parts.get(ACCOUNT, {}))
        return
    for (section, name), part in parts.items():
        if kind == "buyers" and section == "offers":
            for buyer in part.get("buyers", ()):
                yield Resource("buyers", str(buyer["id"]), {"offer": name, **buyer})
        elif section == kind:
            content = {key: value for key, value in part.items() if (kind, key) != ("offers", "buyers")}
            yield Resource(kind, name, content)


def _find(parts: Parts, kind: Kind, name: str) -> Resource | None:
    return next((resource for resource in all_of(parts, kind) if resource.name == name), None)


def _of(parts: Parts, kind: Kind, name: str) -> Resource:
    found = _find(parts, kind, name)
    if found is None:
        raise NotFound(f"There is no {ONE[kind]} {name}.")
    return found


def _update(
    records: Records,
    by: str,
    kind: Kind,
    name: str,
    version: str | None,
    change: Callable[[Plain], Plain],
    confirmed: str = "",
) -> Resource:
    """`version` is None where any will do."""

    def edit(parts: Parts) -> tuple[Plain, Path]:
        was = _of(parts, kind, name)
        if version is not None:
            _check_version(was, version)
        content, key = dict(change(was.content)), NAMED_BY.get(kind)
        if key:
            named = was.content[key]
            if str(content.setdefault(key, named)) != name:
                raise NotValid({key: [f"must stay {name}: it is what others know the {ONE[kind]} by"]})
        return _with(configuration.document_of(parts), kind, content, name)

    return _result_of(records, kind, edit_parts(records, by, edit, confirmed))


def _result_of(records: Records, kind: Kind, done: EditResult) -> Resource:
    part: Any = done.wanted
    for step in done.path or ():
        part = part[step] if isinstance(step, int) else getattr(part, step)
    name = str(getattr(part, NAMED_BY[kind])) if kind in NAMED_BY else kind
    made = _of(configuration.records_of(done.wanted), kind, name)
    return structs.replace(
        made, warnings=configuration_warnings.find_warnings(done.wanted, records.now(), done.path or ())
    )


def _check_version(resource: Resource, version: str) -> None:
    if not version:
        raise VersionMissing
    if version != resource.version:
        raise Outdated(resource.with_version)


def _with(document: Plain, kind: Kind, content: Plain, instead_of: str | None) -> tuple[Plain, Path]:
    """The document with this resource, in the place of the one of this name or at the end; and its path."""
    if kind == "account":
        return {**document, "account": content}, ("account",)
    if kind == "buyers":
        return _with_buyer(document, content, instead_of)
    if kind == "offers":
        if "buyers" in content:
            raise NotValid({"buyers": ["must be taken out: each buyer is a resource of its own and names its offer"]})
        was: Plain = next((offer for offer in document["offers"] if offer["name"] == instead_of), {})
        content = {**content, "buyers": was.get("buyers", [])}
    listed, place = _put_in_list(document[kind], NAMED_BY[kind], content, instead_of)
    return {**document, kind: listed}, (kind, place)


def _with_buyer(document: Plain, content: Plain, instead_of: str | None) -> tuple[Plain, Path]:
    buyer = {key: value for key, value in content.items() if key != "offer"}
    wanted = content.get("offer")
    place = next((place for place, offer in enumerate(document["offers"]) if offer["name"] == wanted), None)
    if place is None:
        raise NotValid({"offer": [f"there is no offer `{wanted}`" if wanted is not None else "is missing"]})
    offer = document["offers"][place]
    stays = any(str(other["id"]) == instead_of for other in offer.get("buyers", ()))
    if instead_of and not stays:  # it moves here from another offer
        document = _without(document, "buyers", instead_of)
    buyers, among = _put_in_list(offer.get("buyers", []), "id", buyer, instead_of if stays else None)
    offers, _ = _put_in_list(document["offers"], "name", {**offer, "buyers": buyers}, offer["name"])
    return {**document, "offers": offers}, ("offers", place, "buyers", among)


def _put_in_list(listed: list[Plain], key: str, part: Plain, name: str | None) -> tuple[list[Plain], int]:
    place = next((place for place, other in enumerate(listed) if str(other[key]) == name), len(listed))
    return [*listed[:place], part, *listed[place + 1 :]], place


def _without(document: Plain, kind: Kind, name: str) -> Plain:
    if kind != "buyers":
        return {**document, kind: [part for part in document[kind] if part[NAMED_BY[kind]] != name]}
    offers = [
        {**offer, "buyers": [buyer for buyer in offer.get("buyers", ()) if str(buyer["id"]) != name]}
        for offer in document["offers"]
    ]
    return {**document, "offers": offers}


def _without_version(content: Plain) -> Plain:
    """And without the warnings, which an answer has, too."""
    return {key: value for key, value in content.items() if key not in ("version", "warnings")}


def _version(content: Plain) -> str:
    return str(content.get("version") or "")


def _text_of(content: Plain, name: str) -> str:
    value = content.get(name, False if name == "paused" else "")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _order(kind: Kind, name: str) -> tuple[int, str]:
    if kind != "buyers":
        return 0, name
    if not (name.isascii() and name.isdecimal() and len(name) <= 10):
        raise NotValid({"after": ["must be the `next` of an earlier answer"]})
    return int(name), ""
