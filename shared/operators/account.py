"""What holds for the whole account."""

from shared.configuration import account_of
from shared.operators.access import Office


def account_zone(office: Office) -> str:
    """The time zone whose days are shown where nobody chooses another."""
    return account_of(office.records.versions.last_read().parts).zone
