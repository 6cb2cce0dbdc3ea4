"""What is valid and probably not meant, for the API and the pages: by the paths in which records go by their names."""

from msgspec import Struct

from shared import configuration
from shared.configuration import Configuration, Parts, Path, by_names
from shared.configuration import warnings as domain
from shared.store.records import Records


class Warning(Struct, frozen=True):
    """`path` is in the resource, or in the whole configuration where that was asked about."""

    path: str
    message: str


def find_warnings(wanted: Configuration, now: int, within: Path = ()) -> list[Warning]:
    """Of a configuration; only those about the record at `within`, and what is in it."""
    return [
        Warning(by_names(wanted, warning.path, within), warning.message)
        for warning in domain.find_warnings(wanted, now, within)
    ]


def of_live(records: Records) -> list[Warning]:
    return find_warnings(configuration.from_records(records.versions.last_read().parts), records.now())


def of_resource(records: Records, kind: str, name: str) -> list[Warning]:
    """Of a resource of the live configuration, looking at no more than concerns it."""
    some, within = _around(records.versions.last_read().parts, kind, name)
    return find_warnings(configuration.from_records(some), records.now(), within) if within else []


def _around(parts: Parts, kind: str, name: str) -> tuple[Parts, Path]:
    """A configuration with the resource, and its path in it; none if it is gone or there is nothing to be warned of."""
    if kind in ("providers", "ring_pools") and (kind, name) in parts:
        return {(kind, name): parts[kind, name]}, (kind, 0)
    offer = _offer_of(parts, kind, name)
    if ("offers", offer) not in parts:
        return {}, ()
    some = {
        (section, of): part
        for (section, of), part in parts.items()
        if section in ("users", "ring_pools")
        or (section, of) == ("offers", offer)
        or (section == "endpoints" and part["offer"] == offer)
    }
    if kind == "endpoints":
        return some, (kind, [of for section, of in some if section == kind].index(name))
    if kind == "offers":
        return some, (kind, 0)
    whole = some["offers", offer]
    some["offers", offer] = whole | {"buyers": [buyer for buyer in whole["buyers"] if str(buyer["id"]) == name]}
    return some, ("offers", 0, "buyers", 0)


def _offer_of(parts: Parts, kind: str, name: str) -> str:
    """The name of the offer that a resource is about; empty if it is about none."""
    if kind == "offers":
        return name
    if kind == "endpoints" and (kind, name) in parts:
        offer: str = parts[kind, name]["offer"]
        return offer
    for (section, of), part in parts.items() if kind == "buyers" else ():
        if section == "offers" and any(str(buyer["id"]) == name for buyer in part.get("buyers", ())):
            return of
    return ""
