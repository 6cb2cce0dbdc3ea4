"""The states, districts and territories of the USA, by name in small letters, and how people write them."""

import re
import unicodedata

US_STATES = {
    "alabama": "AL", "alaska": "AK", "arizona": "AZ", "arkansas": "AR", "california": "CA", "colorado": "CO",
    "connecticut": "CT", "delaware": "DE", "district of columbia": "DC", "florida": "FL", "georgia": "GA",
    "hawaii": "HI", "idaho": "ID", "illinois": "IL", "indiana": "IN", "iowa": "IA", "kansas": "KS", "kentucky": "KY",
    "louisiana": "LA", "maine": "ME", "maryland": "MD", "massachusetts": "MA", "michigan": "MI", "minnesota": "MN",
    "mississippi": "MS", "missouri": "MO", "montana": "MT", "nebraska": "NE", "nevada": "NV", "new hampshire": "NH",
    "new jersey": "NJ", "new mexico": "NM", "new york": "NY", "north carolina": "NC", "north dakota": "ND",
    "ohio": "OH", "oklahoma": "OK", "oregon": "OR", "pennsylvania": "PA", "rhode island": "RI", "south carolina": "SC",
    "south dakota": "SD", "tennessee": "TN", "texas": "TX", "utah": "UT", "vermont": "VT", "virginia": "VA",
    "washington": "WA", "west virginia": "WV", "wisconsin": "WI", "wyoming": "WY", "american samoa": "AS",
    "guam": "GU", "northern mariana islands": "MP", "puerto rico": "PR", "us virgin islands": "VI",
}  # fmt: skip
STATE_CODES = set(US_STATES.values())
ABBREVIATIONS = {
    "ala": "AL", "ariz": "AZ", "ark": "AR", "calif": "CA", "cal": "CA", "colo": "CO", "conn": "CT", "del": "DE",
    "fla": "FL", "ill": "IL", "ind": "IN", "kan": "KS", "kans": "KS", "mass": "MA", "mich": "MI", "minn": "MN",
    "miss": "MS", "mont": "MT", "neb": "NE", "nebr": "NE", "nev": "NV", "okla": "OK", "ore": "OR", "oreg": "OR",
    "penn": "PA", "penna": "PA", "tenn": "TN", "tex": "TX", "wash": "WA", "wis": "WI", "wisc": "WI", "wyo": "WY",
    "wva": "WV", "ncar": "NC", "scar": "SC", "ndak": "ND", "sdak": "SD", "virginislands": "VI", "washingtondc": "DC",
    "washingtondistrictofcolumbia": "DC", "rhodeislandandprovidenceplantations": "RI",
}  # fmt: skip
DIRECTIONS = {"n": "north", "no": "north", "s": "south", "so": "south", "w": "west"}
LONGEST = 80
SEPARATORS = re.compile(r"[\s,_()\[\]\u2010-\u2015-]+")


def _forms() -> dict[str, str]:
    """The code of a state by its names and abbreviations in small letters, without spaces."""
    names = {name.replace(" ", ""): code for name, code in US_STATES.items()}
    shortened = {
        f"{short}{name.removeprefix(long).strip()}": code
        for name, code in US_STATES.items()
        for short, long in DIRECTIONS.items()
        if name.startswith(f"{long} ")
    }
    forms = ABBREVIATIONS | shortened | names | {code.lower(): code for code in STATE_CODES}
    written = {f"{kind}{name}": code for name, code in names.items() for kind in ("stateof", "commonwealthof")}
    return forms | written | {f"{name}state": code for name, code in names.items()}


FORMS = _forms()


def state_code(text: str) -> str | None:
    """The two letters of a state: of `Texas`, `N.Y.`, `US-TX`, `TX - Texas`, `Washington, DC`; None if it is none."""
    if len(text) > LONGEST:
        return None
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(
        letter for letter in plain if not unicodedata.combining(letter) and letter not in ".'\u2018\u2019\u02bb"
    )
    words = [word for word in SEPARATORS.split(plain) if word]
    for country in (["us"], ["usa"], ["united", "states"], ["united", "states", "of", "america"]):
        if len(words) > len(country):
            if words[: len(country)] == country and "".join(words) not in FORMS:
                words = words[len(country) :]
            if words[-len(country) :] == country:
                words = words[: -len(country)]
    return FORMS.get("".join(words)) or _twice("".join(words) if "/" in plain else words)


def _twice(written: str | list[str]) -> str | None:
    """The state of a code and a name of the same one."""
    parts = written.split("/") if isinstance(written, str) else written
    for cut in range(1, len(parts)):
        first, second = FORMS.get("".join(parts[:cut])), FORMS.get("".join(parts[cut:]))
        if first and first == second:
            return first
    return None
