"""Pages: what is answered to a browser, from the templates beside this file.

Everything that comes from outside is escaped. Style and script stand in the page itself, and its
Content-Security-Policy names them by their hashes: nothing else is applied, run or loaded.
"""

from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from shared.domain.plurals import counted
from shared.pages import formats

FOLDER = Path(__file__).parent
HTML, JSON, MARKDOWN = "text/html; charset=utf-8", "application/json", "text/markdown; charset=utf-8"


def render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(values)


@cache
def inline(name: str) -> Markup:
    """A style sheet or a script, to stand in a page."""
    return Markup((FOLDER / name).read_text())  # noqa: S704 # nosec B704 - a file of ours


@cache
def policy(elsewhere: str = "") -> str:
    """For pages with style sheets and scripts of ours in them, and forms that are sent to where they came from, and
    from there on to `elsewhere`."""
    styles, scripts = (
        " ".join(map(_hash, sorted(path.name for path in FOLDER.glob(f"*.{of}")))) for of in ("css", "js")
    )
    forms = f"'self' {elsewhere}".strip()
    return (
        f"default-src 'none'; style-src {styles}; script-src {scripts}; connect-src 'self'; "
        f"form-action {forms}; base-uri 'none'; frame-ancestors 'none'"
    )


def _hash(name: str) -> str:
    return f"'sha256-{b64encode(sha256(inline(name).encode()).digest()).decode()}'"


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"inline": inline, "counted": counted}
    made.filters |= {
        "cell": formats.cell,
        "minute": formats.minute,
        "money": formats.money,
        "stamp": formats.stamp,
        "time_of_day": formats.time_of_day,
        "date": formats.date,
        "count": formats.plain,
    }
    return made
