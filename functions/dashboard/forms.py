"""Forms for parts of the configuration. An input is named by the path of what it sets: that is how errors find it.

A form turns content into texts and texts into content. What the content may be is for `resources` to say; here is read
only what a text cannot carry as it is: lists, rows of tables, YAML, and what people type in ways of their own
(`typed`). What was not touched stays as it was, however it was written.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import yaml
from msgspec import Struct

from functions.dashboard import typed
from shared.configuration import Plain, dotted_path
from shared.domain import schedule
from shared.domain.objections import Errors
from shared.domain.schedule import DAY_MINUTES, WEEKDAYS
from shared.operators import yaml_document

Texts = Mapping[str, str]
"""By the name of the input; an input of several values has one in each line."""
Mistakes = dict[str, list[str]]
InputKind = Literal["text", "area", "lines", "long", "hours", "check", "checks", "select", "yaml"]
"""`lines` and `long` are lists with an entry in each line, `area` is one text of several lines."""
BLANK_ROWS, MORE_ROWS = 1, 5
HOURS = range(24)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
WORKDAYS = WEEKDAYS[:5]


class Input(Struct, frozen=True):
    """`path` is in the resource, or in the row of a table. `default` is what an absent value means; `also` is another
    path where the value may stand. `typed` is how a text is read (`typed.READERS`); of `words` and `numbers` a line may
    have several. `shown` is how options are shown."""

    path: str
    label: str
    kind: InputKind = "text"
    hint: str = ""
    options: tuple[str, ...] = ()
    default: str = ""
    also: str = ""
    typed: str = ""
    shown: Mapping[str, str] = {}

    def names(self, _: Texts) -> list[str]:
        return [self.path]

    def write_into(self, content: Plain, into: dict[str, str], prefix: str = "") -> None:
        value = at(content, self.path)
        into[prefix + self.path] = self._text(at(content, self.also) if value is None else value)

    def read(self, texts: Texts, mistakes: Mistakes, prefix: str = "") -> Any:
        """None if nothing is said."""
        text = texts.get(prefix + self.path, "")
        if self.kind == "check":
            said = "true" if text else "false"
            return None if said == (self.default or "false") else said
        if self.kind == "hours":
            return typed.hours(text) or None
        if self.kind in ("lines", "long", "checks"):
            return [self._typed(entry) for entry in self.entries(text)] or None
        if self.kind == "select" and text == self.default:
            return None
        if self.kind == "yaml" and text.strip():
            return self._yaml(text, mistakes, prefix)
        return self._typed(text.strip()) or None

    def entries(self, text: str) -> list[str]:
        """Those of a list, as they were typed."""
        several = "[,;\n]" if self.typed in ("words", "numbers") else "\n"
        return [entry.strip() for entry in re.split(several, text) if entry.strip()]

    def _typed(self, text: str) -> str:
        return typed.read(self.typed, text) if self.typed in typed.READERS else text

    def _text(self, value: Any) -> str:
        if self.kind == "check":
            return "true" if as_text(value, self.default) == "true" else ""
        if value is None:
            return self.default if self.kind == "select" else ""
        if self.kind == "yaml":
            dumped: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
            return dumped
        if isinstance(value, list):
            return (", " if self.kind == "hours" else "\n").join(map(str, value))
        return as_text(value)

    def _yaml(self, text: str, mistakes: Mistakes, prefix: str) -> Any:
        try:
            found = yaml_document.document(text.encode())
        except yaml_document.Unreadable as wrong:
            mistakes[prefix + self.path] = [f"line {wrong.line}: {wrong}"]
            return None
        if found.problems:
            mistakes[prefix + self.path] = [f"{dotted_path(each.path)} {each.message}" for each in found.problems]
        return found.value


class Table(Struct, frozen=True):
    """Records in rows. With a `key` they are a mapping by this column, of the other columns or of `value` alone."""

    path: str
    label: str
    columns: tuple[Input, ...]
    key: str = ""
    value: str = ""
    ordered: bool = False
    hint: str = ""

    def rows(self, texts: Texts) -> list[str]:
        """What the names in each row begin with, in order."""
        row = re.compile(re.escape(self.path) + r"\[[0-9]{1,5}\]")
        return [*dict.fromkeys(found[0] for name in texts if (found := row.match(name)))]

    def names(self, texts: Texts) -> list[str]:
        return [f"{row}.{column.path}" for row in self.rows(texts) for column in self.columns]

    def labels(self, texts: Texts) -> dict[str, str]:
        return {
            f"{row}.{column.path}": f"{self.label}, row {place}, {column.label}"
            for place, row in enumerate(self.rows(texts), 1)
            for column in self.columns
        }

    def write_into(self, content: Plain, into: dict[str, str]) -> None:
        listed = at(content, self.path) or []
        if self.key:
            listed = [{self.key: key, **({self.value: of} if self.value else of)} for key, of in dict(listed).items()]
        for place, row in enumerate(listed):
            for column in self.columns:
                column.write_into(row, into, f"{self.path}[{place}].")

    def read(self, texts: Texts, mistakes: Mistakes) -> Any:
        listed, keyed = [], {}
        for row in self.rows(texts):
            content: Plain = {}
            for column in self.columns:
                put(content, column.path, column.read(texts, mistakes, f"{row}."))
            listed.append(content)
            if self.key:
                key = content.pop(self.key, "")
                if key in keyed:
                    mistakes[f"{row}.{self.key}"] = [f"`{key}` is there twice"]
                keyed[key] = content.get(self.value) if self.value else content
        return (keyed if self.key else listed) or None

    def renumber(self, texts: Texts) -> dict[str, str]:
        """The rows in which something stands, numbered from nought."""
        kept: dict[str, str] = {}
        place = 0
        for row in self.rows(texts):
            entries = {column.path: texts.get(f"{row}.{column.path}", "") for column in self.columns}
            if any(entries[column.path].strip() for column in self.columns if column.kind != "select"):
                kept |= {f"{self.path}[{place}].{path}": text for path, text in entries.items()}
                place += 1
        return kept


class Week(Struct, frozen=True):
    """Opening hours: a text for each weekday, a picture of the week, and a box that says that there are none at all.
    `others` are those of single dates: with them alone, the week has none."""

    path: str
    label: str
    others: str

    @property
    def never(self) -> str:
        return f"{self.path}.never"

    @property
    def days(self) -> dict[str, str]:
        """The names of the weekdays' inputs, and what they are called."""
        return {f"{self.path}.{day}": name for day, name in zip(WEEKDAYS, DAYS, strict=True)}

    def names(self, _: Texts) -> list[str]:
        return [*self.days, self.never]

    def labels(self, _: Texts) -> dict[str, str]:
        return {**self.days, self.never: "Never open"}

    def write_into(self, content: Plain, into: dict[str, str]) -> None:
        rows: dict[str, list[str]] = {day: [] for day in WEEKDAYS}
        opening = at(content, self.path)
        for days, texts in (opening or {}).items():
            for day in schedule.read_days(days):
                rows[WEEKDAYS[day]] += texts
        into |= {f"{self.path}.{day}": ", ".join(texts) for day, texts in rows.items()}
        never = opening is not None and not any(rows.values()) and not at(content, self.others)
        into[self.never] = "true" if never else ""

    def read(self, texts: Texts, mistakes: Mistakes) -> Any:
        """Days in a row with the same hours go together, as one would write them."""
        hours = [self._hours(texts, day) for day in WEEKDAYS]
        if texts.get(self.never) and any(hours):
            mistakes[self.never] = ["is ticked, and there are hours: take out one of them"]
        if self.state(texts) == "never":
            return {}
        if None in map(_rows, hours):  # each day for itself, so that its error finds it
            return {day: rows for day, rows in zip(WEEKDAYS, hours, strict=True) if rows}
        days_by_rows: dict[tuple[str, ...], list[list[str]]] = {}
        for place, (day, rows) in enumerate(zip(WEEKDAYS, hours, strict=True)):
            if rows and place and hours[place - 1] == rows:
                days_by_rows[tuple(rows)][-1].append(day)
            elif rows:
                days_by_rows.setdefault(tuple(rows), []).append([day])
        return {
            ",".join(days[0] if len(days) == 1 else f"{days[0]}-{days[-1]}" for days in runs): [*rows]
            for rows, runs in days_by_rows.items()
        } or ({} if any(name.startswith(f"{self.others}[") for name in texts) else None)

    def state(self, texts: Texts) -> str:
        """`hours` where some are written, else `never` or `always`. Who writes `closed` at a day and no hours anywhere
        means never."""
        if any(self._hours(texts, day) for day in WEEKDAYS) or any(
            name.startswith(f"{self.others}[") for name in texts
        ):
            return "hours"
        return "never" if any(texts.get(name, "").strip() for name in self.names(texts)) else "always"

    def opening(self, texts: Texts) -> list[list[int]]:
        """How many minutes of each hour of the week are open; a day that cannot be read has none."""
        week = [_rows(self._hours(texts, day)) or () for day in WEEKDAYS]
        spans = [
            [(row.first_minute, row.last_minute) for row in rows]
            + [(row.first_minute - DAY_MINUTES, row.last_minute - DAY_MINUTES) for row in week[place - 1]]
            for place, rows in enumerate(week)
        ]
        return [[_minutes(hour * 60, (hour + 1) * 60, day) for hour in HOURS] for day in spans]

    def _hours(self, texts: Texts, day: str) -> list[str]:
        return typed.hours(texts.get(f"{self.path}.{day}", ""))


Part = Input | Table | Week


class Group(Struct, frozen=True):
    """`always` shows it, whether or not anything is set in it."""

    title: str
    parts: tuple[Part, ...]
    hint: str = ""
    always: bool = False


class Form(Struct, frozen=True):
    groups: tuple[Group, ...]

    @property
    def parts(self) -> Iterator[Part]:
        return (part for group in self.groups for part in group.parts)

    @property
    def tables(self) -> Iterator[Table]:
        return (part for part in self.parts if isinstance(part, Table))

    def texts_for(self, content: Plain) -> dict[str, str]:
        texts: dict[str, str] = {}
        for part in self.parts:
            part.write_into(content, texts)
        return texts

    def read(self, texts: Texts, was: Plain) -> tuple[Plain, Mistakes]:
        """The content, and what could not be read. `was` is what the form was made from."""
        shown = self.texts_for(was)
        content: Plain = {}
        mistakes: Mistakes = {}
        moved: list[tuple[Input, Any]] = []
        for part in self.parts:
            same = [texts.get(name, "") for name in part.names(texts)] == [shown[name] for name in part.names(shown)]
            value = at(was, part.path) if same else part.read(texts, mistakes)
            if same and isinstance(part, Input) and part.also and value is None:
                moved.append((part, at(was, part.also)))
            put(content, part.path, value)
        for part, value in moved:
            stays = at(content, part.also.rpartition(".")[0]) is not None
            put(content, part.also if stays else part.path, value)
        return content, mistakes

    def own_texts(self, texts: Texts) -> dict[str, str]:
        """The form's own texts as they are shown again."""
        kept: dict[str, str] = {}
        for part in self.parts:
            if isinstance(part, Table):
                kept |= part.renumber(texts)
            else:
                kept |= {name: texts.get(name, "") for name in part.names(texts)}
        return kept

    def labels(self, texts: Texts) -> dict[str, str]:
        """What is written beside each input."""
        found: dict[str, str] = {}
        for part in self.parts:
            found |= {part.path: part.label} if isinstance(part, Input) else part.labels(texts)
        return found

    def place_errors(self, texts: Texts, errors: Errors) -> tuple[Mistakes, Mistakes]:
        """Errors by the name of their input; and those of no input, by their path."""
        inputs = {name: part for part in self.parts for name in part.names(texts)}
        placed: Mistakes = {}
        elsewhere: Mistakes = {}
        for path, sentences in errors.items():
            name, prefix = self._place(path, texts, inputs)
            (placed if name else elsewhere).setdefault(name or path, []).extend(f"{prefix}{each}" for each in sentences)
        return placed, elsewhere

    def _place(self, path: str, texts: Texts, inputs: Mapping[str, Part]) -> tuple[str, str]:
        for table in self.tables:
            path = _in_its_row(table, path, texts)
        path = next((part.path for part in self.parts if isinstance(part, Input) and part.also == path and path), path)
        if path in inputs:
            return path, ""
        above = [name for name in inputs if path.startswith((f"{name}.", f"{name}["))]
        if above:
            name = max(above, key=len)
            return name, _entry(inputs[name], path.removeprefix(name), texts.get(name, ""))
        return next((name for name in inputs if path and name.startswith((f"{path}.", f"{path}["))), ""), ""

    def merge(self, was: Texts, now: Texts, wanted: Texts) -> tuple[dict[str, str], list[tuple[str, str, str]]]:
        """`wanted`, with what others have changed since `was` and it has not; and what both have changed: the name of
        the input, what is there now, what is wanted."""
        texts: dict[str, str] = {}
        both: list[tuple[str, str, str]] = []
        for part in self.parts:
            here = [{name: each.get(name, "").strip() for name in part.names(each)} for each in (was, now, wanted)]
            if here[2] == here[0]:
                texts |= {name: now[name] for name in here[1]}
                continue
            texts |= {name: wanted.get(name, "") for name in here[2]}
            if here[1] != here[0]:
                names = dict.fromkeys([*here[2], *here[1]])
                found = [(name, here[1].get(name, ""), here[2].get(name, "")) for name in names]
                both += [each for each in found if each[1] != each[2]]
        return texts, both


def texts_of(form: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What a browser sent, by name."""
    texts: dict[str, str] = {}
    for name, sent in form:
        text = sent.replace("\r\n", "\n")
        texts[name] = f"{texts[name]}\n{text}" if name in texts else text
    return texts


def arrange(texts: Texts, wish: str) -> dict[str, str]:
    """The rows as a button of a table wishes them: `drop fields[2]`, `up fields[2]`; the hours of a day at Monday to
    Friday: `copy schedule.open.sat`. Others change nothing."""
    verb, _, row = wish.partition(" ")
    if verb == "copy":
        week = row.rpartition(".")[0]
        return {**texts, **{f"{week}.{day}": texts.get(row, "") for day in WORKDAYS}}
    others = {name: text for name, text in texts.items() if not name.startswith(f"{row}.")}
    if verb == "drop":
        return others
    if verb == "up":
        moved = {name: text for name, text in texts.items() if name not in others}
        table = row.partition("[")[0]
        rows = [*dict.fromkeys(name.partition("]")[0] + "]" for name in texts if name.startswith(f"{table}["))]
        before = rows[rows.index(row) - 1] if row in rows[1:] else row
        at_row = next((place for place, name in enumerate(others) if name.startswith(f"{before}.")), len(others))
        listed = [*others.items()]
        return dict([*listed[:at_row], *moved.items(), *listed[at_row:]])
    return dict(texts)


def at(content: Any, path: str) -> Any:
    """None if nothing is there."""
    for step in path.split("."):
        content = content.get(step) if isinstance(content, dict) else None
    return content


def put(content: Plain, path: str, value: Any) -> None:
    """None is left out."""
    if value is not None:
        *above, last = path.split(".")
        for step in above:
            content = content.setdefault(step, {})
        content[last] = value


def as_text(value: Any, default: str = "") -> str:
    """A value as it would stand in the file."""
    if value is None:
        return default
    return str(value).lower() if isinstance(value, bool) else str(value)


def _in_its_row(table: Table, path: str, texts: Texts) -> str:
    """The path of an entry of a mapping, by the row in which it was written."""
    inside = path.removeprefix(f"{table.path}.")
    if not table.key or inside == path:
        return path
    for row in table.rows(texts):
        key = texts.get(f"{row}.{table.key}", "").strip()
        if inside == key or inside.startswith(f"{key}."):
            column = table.value or inside.removeprefix(key).removeprefix(".") or table.key
            return f"{row}.{column}"
    return path


def _entry(part: Part, rest: str, text: str) -> str:
    """What an error is about, inside of an input: the entry of a list itself, or the place in a YAML text."""
    place = re.fullmatch(r"\[([0-9]+)\]", rest)
    entries = part.entries(text) if isinstance(part, Input) else []
    if place and int(place[1]) < len(entries):
        return f"`{entries[int(place[1])]}` "
    return f"{rest.removeprefix('.')} " if rest else ""


def _rows(texts: Iterable[str]) -> schedule.Rows | None:
    try:
        return schedule.read_rows(texts)
    except ValueError:
        return None


def _minutes(first: int, last: int, spans: Iterable[tuple[int, int]]) -> int:
    return min(last - first, sum(max(0, min(last, end) - max(first, start)) for start, end in spans))
