"""Attributes of DynamoDB's items, in and out, and the expressions of an update."""

from collections.abc import Sequence
from typing import Any, TypeVar

from shared.store.dynamo import Item

Value = dict[str, Any]
T = TypeVar("T")


def as_text(text: str) -> Value:
    return {"S": text}


def as_number(number: int) -> Value:
    return {"N": str(number)}


def as_bytes(some: bytes) -> Value:
    return {"B": some}


def table_key(pk: str, sk: str) -> Value:
    return {"pk": as_text(pk), "sk": as_text(sk)}


def ping_key(ping_id: bytes) -> Value:
    """The key of an item in the table of pings."""
    return {"ping_id": as_bytes(ping_id)}


def text_of(item: Item, name: str) -> str:
    """Empty where there is none."""
    text: str = item[name]["S"] if name in item else ""
    return text


def bytes_of(item: Item, name: str) -> bytes:
    """Empty where there are none."""
    some: bytes = item[name]["B"] if name in item else b""
    return some


def number_of(item: Item, name: str) -> int:
    return int(item[name]["N"])


def number_or(item: Item, name: str, otherwise: T) -> int | T:
    return int(item[name]["N"]) if name in item else otherwise


def update_expression(setting: Sequence[str], removing: Sequence[str]) -> str:
    written = f"SET {', '.join(setting)} " if setting else ""
    return written + (f"REMOVE {', '.join(removing)}" if removing else "")


class Update:
    """An UpdateItem as it is put together. Names have placeholders: expressions allow few signs in them."""

    def __init__(self) -> None:
        self.clauses: dict[str, list[str]] = {"SET": [], "ADD": [], "REMOVE": []}
        self.conditions: list[str] = []
        self.placeholders: dict[str, str] = {}
        self.values: dict[str, Any] = {}

    def name(self, *path: str) -> str:
        return ".".join(self.placeholders.setdefault(name, f"#n{len(self.placeholders)}") for name in path)

    def number(self, number: int) -> str:
        return self._value(as_number(number))

    def condition(self, condition: str) -> None:
        self.conditions.append(condition)

    def set(self, path: str, value: Item) -> None:
        self.clauses["SET"].append(f"{path} = {self._value(value)}")

    def set_once(self, path: str, value: Item) -> None:
        self.clauses["SET"].append(f"{path} = if_not_exists({path}, {self._value(value)})")

    def add(self, key: str, amount: int) -> None:
        self.clauses["ADD"].append(f"{self.name(key)} {self.number(amount)}")

    def remove(self, *path: str) -> None:
        self.clauses["REMOVE"].append(self.name(*path))

    def expressions(self) -> dict[str, Any]:
        found = {
            "UpdateExpression": " ".join(f"{verb} {', '.join(parts)}" for verb, parts in self.clauses.items() if parts),
            "ConditionExpression": " AND ".join(self.conditions),
            "ExpressionAttributeNames": {placeholder: name for name, placeholder in self.placeholders.items()},
            "ExpressionAttributeValues": self.values,
        }
        return {name: value for name, value in found.items() if value}  # DynamoDB refuses empty ones

    def _value(self, value: Item) -> str:
        known = (placeholder for placeholder, other in self.values.items() if other == value)
        placeholder = next(known, f":v{len(self.values)}")
        self.values[placeholder] = value
        return placeholder
