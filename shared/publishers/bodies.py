"""The parameters in a body: a JSON object, a URL-encoded form, or the text parts of multipart/form-data.

Patterns here are texts: `re` compiles each for the first who needs it, and keeps it. A function's start needs none.
"""

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import parse_qsl

from shared.domain.refusals import MalformedRequest

FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
FIELDS = 64 * 1024
SHOWN = 100
"""Of a content type, in a sentence about it."""

CHARSETS = (
    r"utf-?(8|16|16-?le|16-?be|32)|iso-?8859-?[0-9]{1,2}|latin-?1|(windows-|cp)125[0-8]|(us-)?ascii|macintosh|koi8-[ru]"
    r"|shift-?jis|euc-(jp|kr)|gbk|gb2312|gb18030|big5"
)
AS_WINDOWS = r"iso-?8859-?1|latin-?1|(us-)?ascii|windows-1252|cp1252"
"""What browsers take for Windows-1252, of which it is a part: https://encoding.spec.whatwg.org/#names-and-labels."""
MARKS = ((codecs.BOM_UTF8, ""), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))

PARAMETER = r";\s*([A-Za-z-]+)\s*=\s*(?:\"([^\"]*)\"|([^\s;\"]+))"
PAIRS = r"[^\s{}<>\"'&=]{1,200}=[^<>{}&\r\n]*(?:&[^\s{}<>\"'&=]{0,200}(?:=[^<>{}&\r\n]*)?)*"
DISPOSITION = r"(?im)^content-disposition:[ \t]*form-data[ \t]*(;.*)$"
CONTENT_TYPE = r"(?im)^content-type:[^;\n]*(;.*)$"
NOT_ASCII = re.compile(b"[\x80-\xff]+")
HEAD_BYTES = 1024
SHORTEST = 3


def _as_windows(error: UnicodeError) -> tuple[str, int]:
    """Bytes that are not UTF-8 as browsers read them: those that Windows-1252 leaves open are control characters."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    run = NOT_ASCII.match(error.object, error.start)
    end = run.end() if run else error.end  # many at once: each call takes its time
    return "".join(map(_WINDOWS.__getitem__, error.object[error.start : end])), end


_WINDOWS = [bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(256)]
codecs.register_error("windows-1252", _as_windows)


def form(raw: str, charset: str = "") -> dict[str, str]:
    """The parameters of a query or a form. What is not UTF-8 in it is Windows-1252."""
    encoding = charset if charset and not charset.startswith("utf") else "utf-8"
    return _with_value(parse_qsl(raw, encoding=encoding, errors="windows-1252", max_num_fields=FIELDS))


def read(raw: bytes, content_type: str) -> dict[str, str]:
    """Raises `MalformedRequest`, ValueError and RecursionError."""
    kind, _, rest = content_type.partition(";")
    kind, said = kind.strip().lower(), _parameters(f";{rest}")
    if not (bare := raw.strip()):
        return {}
    charset = _charset(raw, said.get("charset", ""))
    if kind == MULTIPART or bare.startswith(b"--"):
        parts = _parts(bare, said.get("boundary", ""))
        if parts is not None:
            return _with_value((name, _text(value, said_of_part or charset)) for name, value, said_of_part in parts)
    text = _text(raw, charset).strip("\ufeff \t\r\n")
    try:
        found = json.loads(text, parse_int=str, parse_float=str, parse_constant=_nothing, strict=False)
    except ValueError:
        if text[:1] not in "{[" and (kind == FORM or (kind != MULTIPART and re.fullmatch(PAIRS, _joined(text)))):
            return form(_joined(text), charset)
        raise
    if not isinstance(found, dict):
        raise MalformedRequest("It is JSON, but not an object.")
    return _with_value((key, _json_text(value)) for key, value in found.items())


def sentence_on_type(content_type: str) -> str:
    """What a body came as that cannot be read."""
    shown = _shown(content_type)
    return f"It came as {shown} and cannot be read as that." if shown else "It came without a content type."


def _shown(text: str) -> str:
    return re.sub("[^ -~]", "", text)[:SHOWN]


def _joined(text: str) -> str:
    """A form of one pair a line, as browsers send it in text/plain, is one like others."""
    return re.sub(r"\r?\n", "&", text)


def _parameters(text: str) -> dict[str, str]:
    return {name.lower(): quoted or bare for name, quoted, bare in re.findall(PARAMETER, text)}


def _charset(raw: bytes, declared: str) -> str:
    """Python's name of the charset; empty for UTF-8. Raises `MalformedRequest`."""
    for mark, charset in MARKS:
        if raw.startswith(mark):
            return charset
    name = declared.strip().lower().replace("_", "-")
    if name in ("", "utf-8", "utf8"):
        return ""
    if re.fullmatch(AS_WINDOWS, name):
        return "cp1252"
    try:
        if re.fullmatch(CHARSETS, name):
            return codecs.lookup(name).name
    except LookupError:
        pass
    raise MalformedRequest(f"Its charset {_shown(name)} is not supported; send UTF-8.")


def _text(raw: bytes, charset: str) -> str:
    """Raises ValueError."""
    return raw.decode(charset or "utf-8", "windows-1252" if charset in ("", "cp1252") else "strict")


def _parts(raw: bytes, boundary: str) -> list[tuple[str, bytes, str]] | None:
    """Name, content and charset of every text part; files are left out. None if it has no part and no end. Who writes
    the content type without the boundary has it in the first line of the body."""
    whole, delimiter = b"\n" + raw, b"--" + boundary.encode()
    if not boundary or b"\n" + delimiter not in whole:
        delimiter = raw.partition(b"\n")[0].strip()
    if len(delimiter) < SHORTEST or not delimiter.startswith(b"--"):
        return None
    _, *parts = re.split(b"\n" + re.escape(delimiter) + b"(?=--|[ \t]*\r?\n|\\Z)", whole)
    named = list(_named_parts(parts))
    return named if named or any(part.startswith(b"--") for part in parts) else None


def _named_parts(parts: Iterable[bytes]) -> Iterator[tuple[str, bytes, str]]:
    for part in parts:
        if part.startswith(b"--"):
            return
        head, blank, content = part.replace(b"\r\n\r\n", b"\n\n", 1).partition(b"\n\n")
        lines = head[:HEAD_BYTES].decode("utf-8", "windows-1252").replace("\r", "")
        match = re.search(DISPOSITION, lines)
        said = _parameters(match[1]) if match else {}
        if blank and said.get("name") and not said.keys() & {"filename", "filename*"}:
            typed = re.search(CONTENT_TYPE, lines)
            declared = _parameters(typed[1]).get("charset", "") if typed else ""
            yield said["name"], content.removesuffix(b"\r"), _charset(b"", declared)


def _with_value(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {key: stripped for key, value in pairs if (stripped := value.strip())}


def _json_text(value: object) -> str:
    """A JSON value as the text that a form would have sent; numbers were kept as they were written."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _nothing(_: str) -> None:
    """NaN and Infinity are what some programs write for a number that they do not have."""
