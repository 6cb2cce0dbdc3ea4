"""Contact fields: what a publisher sent, read by the types that the offer gives them."""

import re
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal

from shared.domain import phone, values
from shared.domain.models import Field, Lead, Step
from shared.domain.patterns import pattern
from shared.domain.states import state_code

Problems = dict[str, list[str]]
"""What is wrong, by field: sentences that name the field and never show its value."""

UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
SEPARATORS = re.compile(r"[\s_.,/-]+")
MISLEADING = re.compile("accept|success|matched", re.IGNORECASE)
"""Words that clients look for in an answer to see whether a lead is sold."""

IMPLICIT = ("caller_id", "trackdrive_number", "traffic_source_id")
"""Fields that Ringpost itself reads, whatever the offer lists."""
UNKNOWN_BYTES = 2 * 1024
"""How much Ringpost keeps of the fields that an offer does not know: names and values, in UTF-8."""
LEAD_BYTES = 16 * 1024
"""How long the values of all other fields may be together."""
NAMES_SHOWN = 10
NAME_LETTERS = 64
OTHERS = "unknown_fields"
NO_ROOM = f"Unknown fields are kept up to {UNKNOWN_BYTES // 1024} KB in all, the shortest first."


def read(fields: Collection[Field], sent: Mapping[str, str], region: str) -> tuple[Lead, Problems]:
    """Every value that was sent, normalized where the offer knows its name, and what could not be read. What says that
    there is no value is absent."""
    lead, problems = Lead(sent), Problems()
    for field in fields:
        if field.name in sent:
            text = values.compose(sent[field.name])
            try:
                lead[field.name] = READERS[field.type](text, field, region)
            except ValueError as wrong:
                del lead[field.name]
                if not (isinstance(wrong, phone.NoCaller) or (field.type != "text" and _is_nothing(text, field))):
                    problems[field.name] = [f"{field.name} must be {wrong}."]
    return lead, problems | _too_long(fields, lead)


def _too_long(fields: Collection[Field], lead: Lead) -> Problems:
    """Take the longest values out of a lead that is too long in all."""
    sizes = {field.name: len(lead[field.name].encode()) for field in fields if field.name in lead}
    problems, length = Problems(), sum(sizes.values())
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        if length <= LEAD_BYTES:
            break
        length -= sizes[name]
        del lead[name]
        problems[name] = [f"{name} must be shorter: the fields of a lead have {LEAD_BYTES // 1024} KB in all."]
    return problems


def known(fields: Collection[Field]) -> set[str]:
    """The names that the offer knows."""
    return {*IMPLICIT, *(field.name for field in fields)}


def keep(fields: Collection[Field], sent: Lead, stored: Mapping[str, str]) -> tuple[Lead, Lead]:
    """The sent values that are kept, and the rest. Unknown fields are kept as far as there is room beside those that
    are `stored` already: the shortest first, equally short ones by name. A field that is stored with the same value is
    in neither."""
    names = known(fields)
    room = UNKNOWN_BYTES - sum(_bytes(name, value) for name, value in stored.items() if name not in names)
    kept, rest = Lead({name: value for name, value in sent.items() if name in names}), Lead()
    unknown = {name: _bytes(name, value) for name, value in sent.items() if name not in names}
    for name in sorted(unknown, key=lambda name: (unknown[name], name)):
        if stored.get(name) == sent[name]:
            continue
        room -= unknown[name]
        (kept if room >= 0 else rest)[name] = sent[name]
    return kept, rest


def _bytes(name: str, value: str) -> int:
    return len(name.encode()) + len(value.encode())


def not_kept(rest: Collection[str]) -> Problems:
    """The warnings about unknown fields that are not kept, by name; names that are too many or too long share one."""
    names = sorted(name for name in rest if len(name) <= NAME_LETTERS and not MISLEADING.search(name))[:NAMES_SHOWN]
    said = {name: [f"{NO_ROOM} It was left out."] for name in names}
    if others := len(rest) - len(names):
        said[OTHERS] = [f"{NO_ROOM} {others} {'field was' if others == 1 else 'fields were'} left out."]
    return said


def _is_nothing(text: str, field: Field) -> bool:
    """Also its own label, which a choice says that nobody has touched."""
    return values.is_nothing(text) or SEPARATORS.sub("", text).casefold() == SEPARATORS.sub("", field.name).casefold()


def warnings(fields: Collection[Field], problems: Problems, steps: tuple[Step, ...], also: Collection[str]) -> Problems:
    """What is said of values that could not be read and may be left out: none of the steps requires them, and they are
    none of `also`."""
    needed = {*also, *(field.name for field in fields if not {*steps}.isdisjoint(field.required_on))}
    return {name: [_left_out(sentences[0])] for name, sentences in problems.items() if name not in needed}


def _left_out(sentence: str) -> str:
    return f"{'The value cannot be read.' if MISLEADING.search(sentence) else sentence} It was left out."


def complete(fields: Collection[Field], lead: Lead) -> Lead:
    """The lead with the defaults of the fields that it lacks."""
    return Lead({field.name: field.default for field in fields if field.default} | lead)


def missing(fields: Collection[Field], lead: Lead, steps: tuple[Step, ...]) -> Problems:
    """The fields that one of the steps requires and the lead lacks."""
    problems = Problems()
    for field in fields:
        step = next((step for step in steps if step in field.required_on), None)
        if step and field.name not in lead:
            problems[field.name] = [required(field.name, step)]
    return problems


def required(name: str, step: Step) -> str:
    return f"{name} is required on {step}. You did not send a value."


def _phone(text: str, _: Field, region: str) -> str:
    try:
        return phone.e164(text, region)
    except phone.NoCaller:
        raise
    except ValueError:
        raise ValueError("a telephone number, for example +16145550123") from None


def _email(text: str, _: Field, __: str) -> str:
    from email_validator import EmailNotValidError, validate_email

    try:
        return validate_email(_address(text), check_deliverability=False, allow_smtputf8=False).normalized
    except EmailNotValidError:
        raise ValueError("an e-mail address, for example name@example.com") from None


def _address(text: str) -> str:
    """Without what surrounds it where it is copied from a letter: `Name <name@example.com>`, `mailto:`."""
    inside = text.partition("<")[2].partition(">")[0] if text.endswith(">") else text
    return re.sub(r"\Amailto:", "", inside.strip(), flags=re.IGNORECASE).rstrip(".,;")


def _us_state(text: str, _: Field, __: str) -> str:
    code = state_code(text)
    if code is None:
        raise ValueError("a US state, for example TX or Texas")
    return code


def _us_zip(text: str, _: Field, __: str) -> str:
    try:
        return values.us_zip(text)
    except ValueError:
        raise ValueError("a US ZIP code of five digits, for example 30340") from None


def _date(text: str, _: Field, __: str) -> str:
    try:
        return values.day(text).isoformat()
    except ValueError:
        raise ValueError("a date, for example 1985-03-27 or 03/27/1985") from None


def _integer(text: str, field: Field, _: str) -> str:
    number = _number(text, "a whole number")
    if number % 1:
        raise ValueError("a whole number")
    _bounded(number, field)
    return str(int(number))


def _decimal(text: str, field: Field, _: str) -> str:
    number = _number(text, "a number")
    _bounded(number, field)
    return f"{number:f}"


def _number(text: str, what: str) -> Decimal:
    try:
        return Decimal(values.number(text))
    except ValueError:
        raise ValueError(what) from None


def _bounded(number: Decimal, field: Field) -> None:
    if field.minimum and number < Decimal(field.minimum):
        raise ValueError(f"at least {field.minimum}")
    if field.maximum and number > Decimal(field.maximum):
        raise ValueError(f"at most {field.maximum}")


def _boolean(text: str, _: Field, __: str) -> str:
    try:
        return "true" if values.boolean(text) else "false"
    except ValueError:
        raise ValueError("true or false") from None


def _choice(text: str, field: Field, _: str) -> str:
    if text in field.choices:
        return text
    spelled = {values.compose(choice).lower(): choice for choice in field.choices}
    if text.lower() in spelled:
        return spelled[text.lower()]
    letters = _letters(text)
    meant = [choice for choice in field.choices if _letters(choice) == letters]
    if len(meant) != 1 or not any(map(str.isalpha, text)):
        raise ValueError("one of " + ", ".join(field.choices))
    return meant[0]


def _letters(text: str) -> str:
    """Without spaces, hyphens and such, in which forms differ: `full_coverage` is `Full Coverage`."""
    return SEPARATORS.sub("", values.compose(text)).casefold()


def _text(text: str, field: Field, _: str) -> str:
    if UNPRINTABLE.search(text):
        raise ValueError("free of control characters")
    if len(text) < field.min_length:
        raise ValueError(f"at least {field.min_length} characters long")
    if len(text) > field.max_length:
        raise ValueError(f"at most {field.max_length} characters long")
    if field.pattern and not pattern(field.pattern).fullmatch(text):
        raise ValueError("in the form that the posting instructions give")
    return text


READERS: dict[str, Callable[[str, Field, str], str]] = {
    "phone": _phone,
    "email": _email,
    "us_state": _us_state,
    "us_zip": _us_zip,
    "date": _date,
    "integer": _integer,
    "decimal": _decimal,
    "boolean": _boolean,
    "choice": _choice,
    "text": _text,
}
