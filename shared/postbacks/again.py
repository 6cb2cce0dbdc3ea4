"""Postbacks that are tried no more are sent again, however many a receiver has, without a queue: they wait for their
receiver, and the minute function takes them up."""

from collections.abc import Iterator, Sequence

from shared.store.postbacks import Listed, Postback, Postbacks

AT_ONCE = 100


def find_dead(postbacks: Postbacks, receiver: str) -> Iterator[tuple[Listed, Postback]]:
    """All of a receiver with their entries, the newest first. Raises `TemporarilyUnavailable`."""
    before = ""
    while listed := postbacks.dead(receiver, AT_ONCE, before):
        yield from _with_entries(postbacks, listed)
        before = listed[-1].place


def newest_dead(postbacks: Postbacks, receiver: str) -> list[tuple[Listed, Postback]]:
    """The newest hundred. Raises `TemporarilyUnavailable`."""
    return [*_with_entries(postbacks, postbacks.dead(receiver, AT_ONCE))]


def wait_again(postbacks: Postbacks, entry: Listed, postback: Postback, now: int) -> None:
    """Let a dead postback wait, as if it were new. It may be repeated: the entry goes last, so that one that was begun
    is found again. Raises `TemporarilyUnavailable`."""
    revived = postbacks.revive(postback.id, postback.tries, now)
    if revived and revived.state == "waiting":
        postbacks.note_waiting(revived)
    postbacks.forget_dead(postback.receiver, entry)


def _with_entries(postbacks: Postbacks, listed: Sequence[Listed]) -> Iterator[tuple[Listed, Postback]]:
    found = {each.id: each for each in postbacks.find_all([each.id for each in listed])}
    return ((entry, found[entry.id]) for entry in listed if entry.id in found)
