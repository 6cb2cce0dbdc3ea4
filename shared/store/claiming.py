"""The numbers of a new version are claimed for their owners, and those of the one before that left are given up."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from shared import configuration
from shared.configuration import Configuration, InvalidConfiguration, Problem
from shared.domain.leasing import Lease
from shared.domain.refusals import TemporarilyUnavailable
from shared.store.dynamo import ConditionFailed, Item
from shared.store.items import as_bytes, as_number, bytes_of, number_or, table_key, text_of
from shared.store.layouts import clock_time
from shared.store.owners import Place, owner_fields, owner_key, place_fields
from shared.store.versions import CurrentVersion, GivenUp, Versions

FORGOTTEN_SECONDS = 15
"""After that no process works by an old configuration: 5 s in memory, and a request that began in the last of them."""
TRANSACTION = 100
"""The most items of one transaction."""

NO_LATER_VERSION_HAS_IT = "(attribute_not_exists(since) OR since <= :version)"
NUMBER_IS_FREE = (
    "(attribute_not_exists(pk) OR attribute_not_exists(free_at) OR free_at <= :now OR #owner = :owner) "
    f"AND {NO_LATER_VERSION_HAS_IT}"
)
"""For numbers that are not in the live configuration. An owner that never gave its number up is left from an apply that
died. An owner that gave it up may have it back at once."""
NUMBER_WAS_GIVEN_UP = f"#owner = :owner AND attribute_not_exists(free_at) AND {NO_LATER_VERSION_HAS_IT}"
NUMBER_STANDS_ELSEWHERE = (
    "attribute_exists(pk) AND attribute_not_exists(free_at) AND (attribute_not_exists(placed) OR placed < :version) "
    f"AND {NO_LATER_VERSION_HAS_IT}"
)

T = TypeVar("T")


class Claiming:
    def __init__(self, versions: Versions) -> None:
        self.dynamo = versions.dynamo
        self.table = versions.table
        self.now = versions.now

    def check_owners(self, wanted: Configuration, live: CurrentVersion) -> dict[str, Lease]:
        """The last leases of the numbers that come back to who gave them up. Raises `InvalidConfiguration` with all
        that others have, or lately had."""
        ours = live.numbers()
        placed = {number: (path, owner) for path, number, owner in configuration.owned_numbers(wanted)}
        problems = [
            Problem(path, f"{number} belongs to {ours[number].owner} now; take it out there and apply that first")
            for number, (path, owner) in placed.items()
            if number in ours and ours[number].owner != owner
        ]
        last: dict[str, Lease] = {}
        forgotten = self.now() + FORGOTTEN_SECONDS
        not_freed = {number.number: number.free_from(forgotten) for number in live.given_up}
        for number, item in self._owners([number for number in placed if number not in ours]).items():
            path, owner = placed[number]
            free_at = number_or(item, "free_at", not_freed.get(number, 0))
            if text_of(item, "owner") == owner and "ping_id" in item:
                last[number] = Lease(number, bytes_of(item, "ping_id"), free_at)
            elif free_at > self.now():
                problems.append(
                    Problem(
                        path,
                        f"{number} was given up by {item['owner']['S']}, where it is held until {clock_time(free_at)}; "
                        "nobody else can have it before",
                    )
                )
        if problems:
            raise InvalidConfiguration(problems)
        return last

    def claim(self, wanted: Configuration, live: CurrentVersion, version: int, places: Mapping[str, Place]) -> None:
        """Take the numbers that are new, for their owners and as of this version."""
        ours = live.numbers()
        new = [(number, owner) for _, number, owner in configuration.owned_numbers(wanted) if number not in ours]
        for some in _batches(new):
            self.dynamo.transact(
                [
                    self._owner(
                        number,
                        {**owner_fields(owner), **(place_fields(places[number], version) if number in places else {})},
                        NUMBER_IS_FREE,
                        version,
                        self.now(),
                    )
                    for number, owner in some
                ]
            )

    def free(self, version: int, given_up: list[GivenUp]) -> None:
        """Set the time from which each number that left the configuration may be claimed again."""
        if not given_up:
            return
        forgotten = self.now() + FORGOTTEN_SECONDS
        writes = [
            self._owner(
                number.number,
                {
                    **owner_fields(number.owner),
                    "free_at": as_number(number.free_from(forgotten)),
                    "ping_id": as_bytes(number.entry),
                },
                NUMBER_WAS_GIVEN_UP,
                version,
            )
            for number in given_up
        ]
        for some in _batches(writes):
            try:
                self.dynamo.transact(some)
            except ConditionFailed:  # some of them are free already, or somebody's again
                for write in some:
                    with suppress(ConditionFailed):
                        self.dynamo.transact([write])
        with suppress(ConditionFailed):  # the next version has its own
            self.dynamo.call(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key=table_key("CONFIG", "LIVE"),
                UpdateExpression="REMOVE given_up",
                ConditionExpression="#version = :version",
                ExpressionAttributeNames={"#version": "version"},
                ExpressionAttributeValues={":version": as_number(version)},
            )

    def move(self, version: int, moved: Mapping[str, Place]) -> None:
        """Note where numbers stand that have moved to other shards of their pool. If that fails, or is late, their
        leases are found by the configuration."""
        for some in _batches(moved.items()):
            with suppress(ConditionFailed, TemporarilyUnavailable):
                self.dynamo.transact([self._moved(number, place, version) for number, place in some])

    def _moved(self, number: str, place: Place, version: int) -> dict[str, Any]:
        values = {f":{name}": value for name, value in place_fields(place, version).items()}
        return {
            "Update": {
                "TableName": self.table,
                "Key": owner_key(number),
                "UpdateExpression": "SET " + ", ".join(f"#{name[1:]} = {name}" for name in values),
                "ConditionExpression": NUMBER_STANDS_ELSEWHERE,
                "ExpressionAttributeNames": {f"#{name[1:]}": name[1:] for name in values},
                "ExpressionAttributeValues": {**values, ":version": as_number(version)},
            }
        }

    def _owners(self, numbers: Collection[str]) -> dict[str, Item]:
        """Who has, or has had, each of these numbers."""
        items = self.dynamo.batch_get(self.table, [owner_key(number) for number in numbers], ConsistentRead=True)
        return {text_of(item, "pk").removeprefix("NUMBER#"): item for item in items}

    def _owner(
        self, number: str, attributes: dict[str, Any], condition: str, version: int, now: int | None = None
    ) -> dict[str, Any]:
        """As a part of a transaction: who has a number, on a condition."""
        return {
            "Put": {
                "TableName": self.table,
                "Item": {**owner_key(number), "since": as_number(version), **attributes},
                "ConditionExpression": condition,
                "ExpressionAttributeNames": {"#owner": "owner"},
                "ExpressionAttributeValues": {
                    ":owner": attributes["owner"],
                    ":version": as_number(version),
                    **({} if now is None else {":now": as_number(now)}),
                },
            }
        }


def given_up_elsewhere(wanted: Configuration, live: CurrentVersion) -> list[GivenUp]:
    """Static and overflow numbers that leave the configuration."""
    stay = {number for _, number, _ in configuration.owned_numbers(wanted)}
    return [owned for number, owned in live.numbers().items() if owned.held_seconds and number not in stay]


def _batches(entries: Collection[T], size: int = TRANSACTION) -> list[Sequence[T]]:
    listed = list(entries)
    return [listed[start : start + size] for start in range(0, len(listed), size)]
