"""The values that an operator writes, as the configuration's parts are made of them."""

import re
from decimal import Decimal, InvalidOperation
from typing import Annotated

import phonenumbers
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema
from pydantic import Field as Limits

from shared.domain import phone, schedule

DAY = 24 * 3600
MAX_RANGE = 10_000
MAX_CENTS = 100_000_000
ANYWHERE = "ZZ"
"""The region in which only numbers with a country code are understood."""


def _shaped(expression: str, message: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(expression, text):
            raise ValueError(message)
        return text

    return AfterValidator(check)


def _cents(value: object) -> int:
    whole, _, part = str(value).partition(".")
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,2})?", str(value)):
        raise ValueError("must be an amount like 25.00, at most two decimals")
    cents = int(whole) * 100 + int(f"{part:0<2}")
    if cents > MAX_CENTS:
        raise ValueError(f"must be at most {amount(MAX_CENTS)}")
    return cents


def _signed(value: object) -> int:
    text = str(value)
    return -_cents(text[1:]) if text.startswith("-") else _cents(value)


def amount(hundredths: int) -> str:
    """With two places: cents as dollars, basis points as percent."""
    return f"{'-' if hundredths < 0 else ''}{abs(hundredths) // 100}.{abs(hundredths) % 100:02}"


def _number(text: str) -> str:
    try:
        if phone.e164(text, ANYWHERE) == text:
            return text
    except ValueError:
        pass
    raise ValueError("must be a telephone number in E.164, like +18005550100")


def _numbers(text: str) -> str:
    first, dash, last = (end.strip() for end in text.partition("-"))
    _number(first)
    if dash:
        _number(last)
        if len(first) != len(last) or not int(first) < int(last):
            raise ValueError("must be a range of numbers of one length, the lower one first")
        if int(last) - int(first) >= MAX_RANGE:
            raise ValueError(f"must be a range of at most {MAX_RANGE} numbers")
    return text


def _region(text: str) -> str:
    if text not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError("must be a country code of two capital letters, like US")
    return text


def _decimal(text: str) -> str:
    try:
        finite = Decimal(text).is_finite()
    except InvalidOperation:
        finite = False
    if not finite:
        raise ValueError("must be a number")
    return text


def _decimals(sign: str, example: str) -> WithJsonSchema:
    pattern = f"^{sign}[0-9]{{1,9}}([.][0-9]{{1,2}})?$"
    return WithJsonSchema({"type": ["string", "number"], "pattern": pattern, "examples": [example]})


Money = Annotated[int, BeforeValidator(_cents), PlainSerializer(amount), _decimals("", "25.00")]
Hundredths = Annotated[int, BeforeValidator(_signed), PlainSerializer(amount), _decimals("-?", "15.00")]
Number = Annotated[str, AfterValidator(_number)]
Numbers = Annotated[str, AfterValidator(_numbers)]
Bound = Annotated[str, AfterValidator(_decimal)]
Region = Annotated[str, AfterValidator(_region)]
Zone = Annotated[str, AfterValidator(schedule.read_zone)]
Date = Annotated[str, AfterValidator(schedule.read_date)]
Label = Annotated[str, Limits(min_length=1, max_length=100)]
Name = Annotated[
    str,
    _shaped(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", "must be 1 to 64 letters, digits, dots, hyphens and underscores"),
]
ListName = Name
"""Of a suppression list."""
VanityUri = Annotated[
    str, _shaped(r"[A-Za-z0-9_.~-]{1,64}", "must be 1 to 64 letters, digits, dots, hyphens, underscores and tildes")
]
FieldName = Annotated[
    str,
    _shaped(
        r"[A-Za-z_][A-Za-z0-9_.-]{0,63}",
        "must be 1 to 64 letters, digits, dots, hyphens and underscores, the first a letter or underscore",
    ),
]
Origin = Annotated[
    str, _shaped(r"\*|https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?", "must be * or an origin like https://www.example.com")
]
Keys = Annotated[str, _shaped(r"[0-9*#]{1,8}", "must be 1 to 8 keys of a telephone: digits, * and #")]
Sentence = Annotated[str, Limits(max_length=500)]
"""What is said to somebody on the telephone."""
Sip = Annotated[
    str,
    _shaped(
        r"sips?:([A-Za-z0-9_.!~*'()&=+$,;?/%-]|\{number\}){1,128}"
        r"@[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?(;[A-Za-z0-9=;.-]{1,100})?",
        "must be a SIP address like sip:{number}@buyer.example",
    ),
]
SecretName = Annotated[
    str, _shaped(r"\{secret\.[A-Za-z0-9_.-]{1,64}\}", "must name a secret, like {secret.main}; its value is never here")
]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
