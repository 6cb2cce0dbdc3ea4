"""Time zones as people in the USA name them, and the ones of the database that are not what they seem."""

import re


def _names(words: str, letters: str, places: str) -> str:
    time = "( (standard|daylight))?( time)?"
    return rf"(us )?({words}){time}|{letters}[sd]?t|{letters}st ?[/-]? ?{letters}dt|{places}"


CLOCKS = {
    "America/Phoenix": r"us mountain standard time|arizona( time)?|phoenix",
    "America/Indiana/Indianapolis": r"us eastern standard time|indiana( \(east\))?",
    "America/New_York": _names(
        "eastern|east coast",
        "e",
        "new ?york( city)?|nyc|atlanta|boston|charlotte|cleveland|columbus|miami|orlando|philadelphia|tampa|washington|"
        "washington,? d\\.?c\\.?|florida|georgia|ohio|pennsylvania|virginia",
    ),
    "America/Chicago": _names(
        "central",
        "c",
        "austin|dallas|houston|kansas city|milwaukee|minneapolis|nashville|new orleans|oklahoma city|san antonio|"
        "st\\.? louis|texas|illinois|minnesota|missouri|louisiana",
    ),
    "America/Denver": _names("mountain", "m", "albuquerque|salt lake city|colorado|utah|new mexico"),
    "America/Los_Angeles": _names(
        "pacific|west coast",
        "p",
        "las vegas|portland|sacramento|san diego|san francisco|san jose|seattle|california|nevada",
    ),
    "America/Anchorage": r"alaskan?( (standard|daylight))?( time)?|ak[sd]?t",
    "Pacific/Honolulu": r"hawaii(an)?( standard)?( time)?|hdt|hawaii-aleutian( standard)?( time)?",
    "America/Puerto_Rico": r"atlantic( (standard|daylight))?( time)?|a[sd]t",
    "Pacific/Guam": r"chamorro( standard)?( time)?|chst",
    "Europe/London": r"bst|gmt standard time|british summer time",
}
"""By the zone, its other names: those of telephones, calendars and Windows, and places in it. The first counts."""
FIXED = {
    "EST": "America/New_York",
    "MST": "America/Denver, or America/Phoenix for Arizona",
    "HST": "Pacific/Honolulu",
}
"""Names of the database for a clock that is never put forward, and what is probably meant."""
BEHIND_UTC = {
    5: "America/New_York", 6: "America/Chicago", 7: "America/Denver", 8: "America/Los_Angeles", 9: "America/Anchorage",
    10: "Pacific/Honolulu",
}  # fmt: skip
OFFSET = re.compile(r"\(?(?:utc|gmt)?\s*[-−–]\s*0?([0-9]{1,2})(?::?00)?\)?")
WITH_OFFSET = re.compile(r"\((?:utc|gmt)[^)]*\)\s*(.+)")
ETC = re.compile(r"Etc/GMT([+-])([1-9][0-9]?)")


def zone_meant_by(name: str) -> str:
    """The zone that is known under another name; empty if none is."""
    text = " ".join(name.casefold().replace("_", " ").split())
    if with_offset := WITH_OFFSET.fullmatch(text):
        text = with_offset[1]
    text = re.sub(r"^(us|usa|america|pacific)/|\s*\((us|us & canada|us and canada|usa)\)", "", text).strip()
    found = next((zone for zone, names in CLOCKS.items() if re.fullmatch(names, text)), "")
    offset = OFFSET.fullmatch(text)
    return found or (BEHIND_UTC.get(int(offset[1]), "") if offset else "")


def doubt(zone: str) -> str:
    """What is probably not meant by a zone of the database; empty if nothing is."""
    if zone == "HST":
        return f"is a fixed offset; for Hawaii write {FIXED[zone]}"
    if zone in FIXED:
        return f"has no daylight saving time, and is an hour off all summer; write {FIXED[zone]}"
    if etc := ETC.fullmatch(zone):
        hours = int(etc[2])
        if etc[1] == "-":
            return f"is {hours} hours ahead of UTC: in these names the sign is reversed"
        hint = f"; write {BEHIND_UTC[hours]}" if hours in BEHIND_UTC else ""
        return f"has no daylight saving time: it is {hours} hours behind UTC all year{hint}"
    return ""
