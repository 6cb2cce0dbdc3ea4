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
from msgspec import Struct

from shared.domain import configuration
from shared.domain.configuration import (
    ACCOUNT,
    KEYS,
    Configuration,
    InvalidConfiguration,
    Parts,
    Path,
    Plain,
    Problem,
    dotted,
)
from shared.domain.models import User
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
from shared.store.records import Applied, Records

Kind = Literal["account", "users", "ring_pools", "offers", "endpoints", "buyers"]

ONE = {
    "account": "account",
    "users": "user",
    "ring_pools": "ring pool",
    "offers": "offer",
    "endpoints": "endpoint",
    "buyers": "buyer",
}
NAMED_BY: Mapping[str, str] = {**KEYS, "buyers": "id"}
"""What names a resource of its kind; it stays as it is."""

FILTERS: Mapping[str, tuple[str, ...]] = {
    "users": ("role",),
    "ring_pools": (),
    "offers": ("rank_by",),
    "endpoints": ("offer", "tracking", "ring_pool"),
    "buyers": ("offer", "paused"),
}
"""Members that a list can be narrowed by, to those that say exactly this."""

PAGE, LONGEST_PAGE = 50, 200
TRIES = 40
PAUSE_SECONDS = 0.25
"""Between two tries while somebody else applies: ten seconds in all."""


class Resource(Struct, frozen=True):
    """`content` is what the operator wrote, without what is default."""

    kind: Kind
    name: str
    content: Plain

    @property
    def version(self) -> str:
        return hashlib.sha256(msgspec.json.encode(self.content, order="deterministic")).hexdigest()[:16]

    @property
    def shown(self) -> Plain:
        return {**self.content, "version": self.version}


class Page(Struct, frozen=True):
    """Some of a list. `next` is what to ask for `after`, None at the end; `total` how many the whole list has."""

    items: list[Any]
    next: str | None
    total: int


class Edited(Struct, frozen=True):
    """`applied` is None if the edit changed nothing; `path` is that of what was changed, None if it is gone."""

    applied: Applied | None
    wanted: Configuration
    path: Path | None


Edit = Callable[[Parts], tuple[Plain, Path | None]]
"""From what is live to the document that is wanted, and the path in it of what was changed, None if it is gone."""


def listed(
    records: Records,
    kind: Kind,
    seen_by: User,
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
        for resource in _all(records.last_seen().parts, kind)
        if all(_said(resource.content, name) == value for name, value in (filters or {}).items())
        and search.casefold() in f"{resource.name} {resource.content.get('name', '')}".casefold()
        and (seen_by.role != "publisher" or resource.name == seen_by.name)
    ]
    return _page(sorted(found, key=lambda found: _order(kind, found.name)), kind, after, limit)


def one(records: Records, kind: Kind, name: str) -> Resource:
    """Raises `NotFound`."""
    return _of(records.last_seen().parts, kind, name)


def create(records: Records, by: str, kind: Kind, content: Plain) -> Resource:
    """Raises `NameTaken`, `NotValid`, and `Busy` where others apply for long."""
    content = _without_version(content)
    name = str(content.get(NAMED_BY[kind], ""))

    def edit(parts: Parts) -> tuple[Plain, Path]:
        if _find(parts, kind, name):
            raise NameTaken(f"There is a {ONE[kind]} {name} already.")
        return _with(configuration.document(parts), kind, content, None)

    return _made(kind, edited(records, by, edit))


def replace(records: Records, by: str, kind: Kind, name: str, content: Plain, version: str) -> Resource:
    """Make it say this and nothing else. Raises `NotFound`, `VersionMissing`, `Outdated`, `NotValid` and `Busy`."""
    return _updated(records, by, kind, name, version or _version(content), lambda _: _without_version(content))


def patch(records: Records, by: str, kind: Kind, name: str, changes: Plain, version: str) -> Resource:
    """Change the members that are given and leave the others; null takes one out (RFC 7396, JSON Merge Patch). Raises
    what `replace` raises."""
    wanted = _without_version(changes)
    return _updated(records, by, kind, name, version or _version(changes), lambda was: merged(was, wanted))


def pause(records: Records, by: str, buyer_id: str, paused: bool) -> Resource:
    """Whatever else has been changed of the buyer: who pauses is in a hurry. Raises `NotFound` and `Busy`."""
    return _updated(records, by, "buyers", buyer_id, None, lambda was: merged(was, {"paused": paused or None}))


def delete(records: Records, by: str, kind: Kind, name: str, version: str) -> None:
    """Raises `NotFound`, `VersionMissing`, `Outdated`, `Busy`, and `NotValid` where something else needs it."""

    def edit(parts: Parts) -> tuple[Plain, None]:
        _check_version(_of(parts, kind, name), version)
        return _without(configuration.document(parts), kind, name), None

    edited(records, by, edit)


def edited(records: Records, by: str, edit: Edit) -> Edited:
    """Apply an edit of what is live. Somebody else's change meanwhile may be to another part: then it is made again.
    Raises what `edit` raises, `NotValid`, `Refused`, and `Overtaken` and `Busy` in the end."""
    for tried in range(1, TRIES + 1):
        live = records.live()
        document, path = edit(live.parts)
        try:
            wanted = with_an_operator(configuration.read(document))
            return Edited(records.apply(wanted, by, seen=live.version), wanted, path)
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


def merged(was: Any, changes: Any) -> Any:
    """RFC 7396."""
    if not isinstance(changes, dict):
        return changes
    kept = dict(was) if isinstance(was, dict) else {}
    for key, value in changes.items():
        if value is None:
            kept.pop(key, None)
        else:
            kept[key] = merged(kept.get(key), value)
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
            place = dotted(rest) if rest else ""
        else:
            place = dotted(_by_names(document, problem.path))
        found.setdefault(place, []).append(problem.message)
    return found


def _by_names(document: Any, path: Path) -> Path:
    named: Path = ()
    for step in path:
        try:
            document = document[step]
        except (LookupError, TypeError):
            document = None
        key = next((key for key in ("id", "vanity_uri", "name") if isinstance(document, dict) and key in document), "")
        by_name = isinstance(step, int) and key
        named = (*named[:-1], f"{named[-1]}[{document[key]}]") if by_name else (*named, step)
    return named


def _page(found: list[Resource], kind: Kind, after: str, limit: int) -> Page:
    rest = [resource for resource in found if not after or _order(kind, resource.name) > _order(kind, after)]
    some = rest[:limit]
    return Page([resource.shown for resource in some], some[-1].name if len(rest) > limit else None, len(found))


def _all(parts: Parts, kind: Kind) -> Iterator[Resource]:
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
    return next((resource for resource in _all(parts, kind) if resource.name == name), None)


def _of(parts: Parts, kind: Kind, name: str) -> Resource:
    found = _find(parts, kind, name)
    if found is None:
        raise NotFound(f"There is no {ONE[kind]} {name}.")
    return found


def _updated(
    records: Records, by: str, kind: Kind, name: str, version: str | None, change: Callable[[Plain], Plain]
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
        return _with(configuration.document(parts), kind, content, name)

    return _made(kind, edited(records, by, edit))


def _made(kind: Kind, done: Edited) -> Resource:
    part: Any = done.wanted
    for step in done.path or ():
        part = part[step] if isinstance(step, int) else getattr(part, step)
    name = str(getattr(part, NAMED_BY[kind])) if kind in NAMED_BY else kind
    return _of(configuration.parts(done.wanted), kind, name)


def _check_version(resource: Resource, version: str) -> None:
    if not version:
        raise VersionMissing
    if version != resource.version:
        raise Outdated(resource.shown)


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
    listed, place = _replaced(document[kind], NAMED_BY[kind], content, instead_of)
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
    buyers, among = _replaced(offer.get("buyers", []), "id", buyer, instead_of if stays else None)
    offers, _ = _replaced(document["offers"], "name", {**offer, "buyers": buyers}, offer["name"])
    return {**document, "offers": offers}, ("offers", place, "buyers", among)


def _replaced(listed: list[Plain], key: str, part: Plain, name: str | None) -> tuple[list[Plain], int]:
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
    return {key: value for key, value in content.items() if key != "version"}


def _version(content: Plain) -> str:
    return str(content.get("version") or "")


def _said(content: Plain, name: str) -> str:
    value = content.get(name, False if name == "paused" else "")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _order(kind: Kind, name: str) -> tuple[int, str]:
    if kind != "buyers":
        return 0, name
    if not (name.isascii() and name.isdecimal() and len(name) <= 10):
        raise NotValid({"after": ["must be what `next` said"]})
    return int(name), ""
