"""Regular expressions that an operator writes and a publisher's text meets: RE2, whose time is linear in the text."""

import re
from functools import lru_cache

KEPT = 1024


@lru_cache(KEPT)
def pattern(expression: str) -> "re.Pattern[str]":
    """Raises ValueError if it is not one of RE2's."""
    import re2  # by the first that needs one: it is slow to start

    options = re2.Options()
    options.log_errors = False
    try:
        compiled: re.Pattern[str] = re2.compile(expression, options)
    except re2.error:
        raise ValueError("not a regular expression of RE2") from None
    return compiled
