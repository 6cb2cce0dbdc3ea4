"""Contact fields: what a publisher sent, read by the types that the offer gives them."""

import re
from collections.abc import Callable, Collection, Mapping
from datetime import date
from decimal import Decimal

from shared.domain import phone
from shared.domain.models import Field, Lead, Step
from shared.domain.patterns import pattern
from shared.domain.states import STATE_CODES, US_STATES

Problems = dict[str, list[str]]
"""What is wrong, by field: sentences that name the field and never show its value."""

TRUE = {"true", "yes", "y", "t", "1", "on"}
FALSE = {"false", "no", "n", "f", "0", "off"}

UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def read(fields: Collection[Field], sent: Mapping[str, str], region: str) -> tuple[Lead, Problems]:
    """Every value that was sent, normalised where the offer knows its name, and what could not be read."""
    lead, problems = Lead(sent), Problems()
    for field in fields:
        if field.name in sent:
            try:
                lead[field.name] = READERS[field.type](sent[field.name], field, region)
            except ValueError as wrong:
                problems[field.name] = [f"{field.name} must be {wrong}."]
                del lead[field.name]
    return lead, problems


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
    except ValueError:
        raise ValueError("a telephone number, for example +16145550123") from None


def _email(text: str, _: Field, __: str) -> str:
    from email_validator import EmailNotValidError, validate_email

    try:
        return validate_email(text, check_deliverability=False, allow_smtputf8=False).normalized
    except EmailNotValidError:
        raise ValueError("an e-mail address, for example name@example.com") from None


def _us_state(text: str, _: Field, __: str) -> str:
    code = US_STATES.get(" ".join(text.lower().split()), text.upper())
    if code not in STATE_CODES:
        raise ValueError("a US state, for example TX or Texas")
    return code


def _us_zip(text: str, _: Field, __: str) -> str:
    if not re.fullmatch(r"[0-9]{5}(-?[0-9]{4})?", text):
        raise ValueError("a US ZIP code of five digits, for example 30340")
    return text[:5]


def _date(text: str, _: Field, __: str) -> str:
    iso = re.sub(r"\A([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})\Z", lambda m: f"{m[3]}-{m[1]:0>2}-{m[2]:0>2}", text)
    try:
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", iso):
            raise ValueError
        return date.fromisoformat(iso).isoformat()
    except ValueError:
        raise ValueError("a date, for example 1985-03-27 or 03/27/1985") from None


def _integer(text: str, field: Field, _: str) -> str:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise ValueError("a whole number")
    number = int(text)
    _bounded(Decimal(number), field)
    return str(number)


def _decimal(text: str, field: Field, _: str) -> str:
    if not re.fullmatch(r"[+-]?([0-9]{1,18}(\.[0-9]{0,9})?|\.[0-9]{1,9})", text):
        raise ValueError("a number")
    number = Decimal(text)
    _bounded(number, field)
    return f"{number:f}"


def _bounded(number: Decimal, field: Field) -> None:
    if field.minimum and number < Decimal(field.minimum):
        raise ValueError(f"at least {field.minimum}")
    if field.maximum and number > Decimal(field.maximum):
        raise ValueError(f"at most {field.maximum}")


def _boolean(text: str, _: Field, __: str) -> str:
    if (word := text.lower()) not in TRUE | FALSE:
        raise ValueError("true or false")
    return "true" if word in TRUE else "false"


def _choice(text: str, field: Field, _: str) -> str:
    spelled = {choice.lower(): choice for choice in field.choices}
    if text in field.choices:
        return text
    if text.lower() not in spelled:
        raise ValueError("one of " + ", ".join(field.choices))
    return spelled[text.lower()]


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
