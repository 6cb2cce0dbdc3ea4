"""A count with its noun."""


def counted(count: int, noun: str, plural: str = "") -> str:
    """Like "1 ping" and "2 pings"; `plural` is for a noun that takes more than an s."""
    return f"{count} {noun if count == 1 else plural or f'{noun}s'}"
