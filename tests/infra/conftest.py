"""The templates, synthesised once. They do not need the bundle, so it is not built for them."""

import json
from pathlib import Path

import pytest
from aws_cdk import App
from aws_cdk.assertions import Template

from infra.stack import Ringpost
from infra.stages import STAGES

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def templates() -> dict[str, Template]:
    """One per stage, with the context of cdk.json."""
    context = json.loads((ROOT / "cdk.json").read_text())["context"] | {"aws:cdk:bundling-stacks": []}
    return {
        stage.name: Template.from_stack(Ringpost(App(context=context), f"ringpost-{stage.name}", stage=stage))
        for stage in STAGES.values()
    }


@pytest.fixture(params=STAGES)
def template(request: pytest.FixtureRequest, templates: dict[str, Template]) -> Template:
    """What has to hold in every stage is tested in every stage."""
    return templates[request.param]


@pytest.fixture(scope="session")
def prod(templates: dict[str, Template]) -> Template:
    return templates["prod"]
