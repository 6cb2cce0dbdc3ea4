"""Why what an operator asked for was not done. Nothing has changed then, but where it was `Interrupted`. Every class
has a public status, and `office.rest` gives each its HTTP code.

Objection
├── TokenUnknown · NotAllowed · TooOften           not by you, or not so often
├── NotFound · MethodUnknown                       nothing is there, or not to be used so
├── Malformed · TooLarge · NotValid               we cannot read it, or it breaks a rule
├── NameTaken · VersionMissing · Outdated          it is there already, or has changed since you saw it
├── NotUndoable · Refused · Overtaken              it does not go together with what is there
├── Unconfirmed                                    it would lock an operator out, and nobody said that this is meant
├── Busy                                           somebody else is at it
└── Interrupted                                    it ended half way: the message says what stands
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

Errors = Mapping[str, Sequence[str]]
"""Sentences by the path of what they are about; the empty path is the resource as a whole."""


class Objection(Exception):
    """The message is for the operator."""

    status: ClassVar[str]


class TokenUnknown(Objection):
    status = "unauthorized"

    def __init__(self) -> None:
        super().__init__("A valid token is required: `Authorization: Token …`.")


class NotAllowed(Objection):
    status = "not_allowed"


class TooOften(Objection):
    """`retry_after_seconds` is when the minute is over."""

    status = "rate_limited"

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__("There were too many requests in this minute.")
        self.retry_after_seconds = retry_after_seconds


class NotFound(Objection):
    status = "not_found"


class MethodUnknown(Objection):
    """`methods` are those that are there."""

    status = "method_not_allowed"

    def __init__(self, methods: Sequence[str]) -> None:
        super().__init__(f"Use {' or '.join(methods)}.")
        self.methods = methods


class Malformed(Objection):
    status = "malformed"


class TooLarge(Objection):
    status = "too_large"


class NotValid(Objection):
    """`errors` names everything that is wrong: by its path in the resource, or by its whole path in the configuration
    where it is elsewhere."""

    status = "not_valid"

    def __init__(self, errors: Errors) -> None:
        super().__init__("Something is missing or not valid.")
        self.errors = errors


class NameTaken(Objection):
    status = "name_taken"


class VersionMissing(Objection):
    status = "version_missing"

    def __init__(self) -> None:
        super().__init__("Say which version you have seen: the header If-Match, or the member `version`.")


class Outdated(Objection):
    """Somebody else has changed it since; `current` is what it is now."""

    status = "outdated"

    def __init__(self, current: Mapping[str, Any]) -> None:
        super().__init__("It has been changed since you saw it. Look at what it is now, and try again.")
        self.current = current


class NotUndoable(Objection):
    """`errors` names what has been changed since."""

    status = "not_undoable"

    def __init__(self, message: str, errors: Errors) -> None:
        super().__init__(message)
        self.errors = errors


class Refused(Objection):
    """It cannot be done now. The message says why, and what to do."""

    status = "refused"


class Overtaken(Objection):
    """Another version of the configuration was applied since the one that was looked at."""

    status = "overtaken"


class Unconfirmed(Objection):
    """Operators would lose their role by it. `word` is what to type to do it all the same."""

    status = "unconfirmed"

    def __init__(self, message: str, word: str) -> None:
        super().__init__(message)
        self.word = word


class Busy(Objection):
    """Somebody else applies a configuration now."""

    status = "busy"


class Interrupted(Objection):
    """An apply ended before it was done. The message says whether it is live, and whether sales stand still."""

    status = "temporarily_unavailable"
