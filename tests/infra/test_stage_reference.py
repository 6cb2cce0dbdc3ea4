"""The reference names every value of a stage and every field of the access log, and no other."""

from dataclasses import MISSING, Field, fields
from typing import Any

import pytest

from infra.api import ACCESS_LOG
from infra.stages import STAGES, UNITS_OF, CloudFront, Domain, Stage, Throttle, Units
from tests.reference import names, table, tables


def default(field: "Field[Any]") -> str:
    return "required" if field.default is MISSING else f"`{field.default!r}`".replace("'", '"')


@pytest.mark.parametrize("part", [Stage, Throttle, Units, Domain, CloudFront])
def test_every_value_of_a_stage_is_documented_with_its_default(part: type[Any]) -> None:
    rows = table("settings.md", "Value", f"`{part.__name__}`").by_name()
    assert {name: row["Default"] for name, row in rows.items()} == {each.name: default(each) for each in fields(part)}


def test_the_values_of_the_stages_are_the_documented_ones() -> None:
    rows = table("settings.md", "Value", "`Stage`").by_name()
    assert tuple(names(rows["units"]["What it takes"])) == ("Units", *UNITS_OF)
    for stage in STAGES.values():
        for name, row in rows.items():
            value = getattr(stage, name)
            if isinstance(value, Throttle):
                value = f"{value.requests_per_second}, {value.burst}"
            if row[f"`{stage.name}`"]:
                assert row[f"`{stage.name}`"].strip("`") == str(getattr(value, "name", value)), (stage.name, name)


def test_every_field_of_the_access_log_is_documented() -> None:
    assert [*tables("metrics.md", "Field")[1].by_name()] == [*ACCESS_LOG]
