"""Why a live buyer did not bid, as people may read it: in fixed words of ours, or in the buyer's words from the place
that the dialect names, without what we sent (`bidders.echoes`). Other texts, which 0.1.0 stored, are not shown."""

import re
from typing import Literal

from shared.domain.live_bids import No, Yes

Outcome = Literal["bid", "declined", "timed_out", "broken"]

NOT_SHOWN = "the buyer gave a reason in words of its own, which an earlier release stored and which are not shown"
FAULT = "|".join(
    [
        r"HTTP [0-9]{3}",
        r"a bid of (0|[0-9]+\.[0-9]{2} is above the max_bid of [0-9]+\.[0-9]{2})",
        r"it has expired already",
        r"the answer has no bid",
        r"the answer has no yes( at [A-Za-z0-9_.$'\[\]-]{1,100})?",
        r"the answer is (no JSON object|no form|not in UTF-8|nested too deeply|larger than [0-9]+ KB"
        r"|compressed, which nobody asked for)",
        r"(bid|reference|number|sip|conversion_seconds|expires_in_seconds|expires_at) must (not be negative"
        r"|be (at most [0-9,]+ dollars|an amount in dollars|a number of seconds( from 0 up)?|a telephone number"
        r"|a time like 2026-01-01T12:00:00Z|a time with its zone, like 2026-01-01T12:00:00Z"
        r"|a printable text of at most 1000 characters|a SIP address, like name@sip\.example))",
        r"no answer (in time|within [0-9]+ ms)",
        r"there was no time left to ask it",
        r"(the connection broke|asking it failed)( \([A-Za-z]{1,60}\))?",
        r"it cannot be reached",
        r"its (name is not found|certificate is not good, or it speaks no TLS|address is not a public one|URL is none"
        r"|URL must be https|URL must have no user and password|"
        r"URL has a value that (the lead has not|cannot stand there))",
        r"the secret [A-Za-z0-9_.-]{1,100} is not set",
        r"the store of secrets (does not answer|holds no JSON object of texts)",
    ]
)
FIXED = rf"({FAULT})|skipped for [0-9]+ s more after [0-9]+ failures( of posts)? in a row, the last: ({FAULT})"
"""Compiled when a reason is shown: publishers' functions start without it."""


def reason_to_show(said: No) -> str:
    """The buyer's own words, else ours."""
    return said.words or (said.reason if re.fullmatch(FIXED, said.reason) else NOT_SHOWN)


def outcome_of(said: Yes | No) -> Outcome:
    """What became of asking a live buyer for a bid."""
    if isinstance(said, Yes):
        return "bid"
    if said.reason.startswith("no answer"):
        return "timed_out"
    return "broken" if said.broken or said.unasked else "declined"
