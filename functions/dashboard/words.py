"""The words on the page in the place of the configuration's own: Sales per day, not `caps.sales.day`."""

import re

from functions.dashboard.forms import Input
from functions.dashboard.inputs import FORMS
from shared.operators.resources import ONE, Kind

PLACE = re.compile(r"(users|ring_pools|offers|endpoints)\[([^\]]+)\](?:\.buyers\[([^\]]+)\])?\.?(.*)")
SECTIONS = {"live": "Live bidding", "schedule": "Schedule", "numbers": "Numbers", "buyers": "buyers"}
"""What is no input itself."""
LABELS = SECTIONS | {
    part.path.rpartition(".")[2]: part.label
    for form in FORMS.values()
    for part in form.parts
    if isinstance(part, Input)
}
"""By the last word of their paths."""
EXAMPLE = re.compile(r", like \{.*$")
QUOTED = re.compile(r"`([a-z_.]+)(?:: ([a-z_]+))?`")
BARE = re.compile(r"\b(?:[a-z]+(?:_[a-z]+)+|fixed(?= or)|(?<=or )percent)\b")


def sentence(text: str) -> str:
    """With the labels of inputs in the place of the names of settings."""
    return BARE.sub(_bare, QUOTED.sub(_quoted, EXAMPLE.sub("", text)))


def place(path: str) -> str:
    """Where something is that stands on another page."""
    found = PLACE.fullmatch(path)
    if not found:
        return LABELS.get(path, path)
    section, name, buyer, rest = found.groups()
    kind: Kind = "buyers" if buyer else section  # type: ignore[assignment]
    whose = f"Buyer {buyer} of offer {name}" if buyer else f"{ONE[kind][0].upper()}{ONE[kind][1:]} {name}"
    return f"{whose}, {FORMS[kind].labels({}).get(rest, rest)}" if rest else whose


def _quoted(found: "re.Match[str]") -> str:
    name, value = found.groups()
    label = LABELS.get(name.rpartition(".")[2])
    if not label:
        return found[0]
    return f"“{label}”" if value in (None, "true") else f"“{label}” {value}"


def _bare(found: "re.Match[str]") -> str:
    label = LABELS.get(found[0])
    return f"“{label}”" if label else found[0]
