"""Crowds: everybody acts at the same time."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

Actor = TypeVar("Actor")
T = TypeVar("T")


def at_once(crowd: Sequence[Actor], act: Callable[[Actor, int], T]) -> list[T]:
    """What everybody gets, in the order of the crowd; `act` is told who acts and its place."""
    start = Barrier(len(crowd))

    def one(actor: Actor, place: int) -> T:
        start.wait(60)
        return act(actor, place)

    with ThreadPoolExecutor(len(crowd)) as threads:
        return list(threads.map(one, crowd, range(len(crowd))))
