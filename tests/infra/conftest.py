"""The templates, synthesised once. They do not need the bundle, so it is not built for them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from aws_cdk import App, Environment
from aws_cdk.assertions import Template

from infra import bundle
from infra.stack import Ringpost
from infra.stages import STAGES, Stage

ROOT = Path(__file__).parents[2]
Synthesise = Callable[[Stage], Template]


@pytest.fixture(scope="session")
def synthesise() -> Synthesise:
    """A stage's template, with the context of cdk.json."""
    context = json.loads((ROOT / "cdk.json").read_text())["context"] | {"aws:cdk:bundling-stacks": []}

    def template(stage: Stage) -> Template:
        codes = bundle.codes(bundle.target())  # they belong to the one stack that uses them first
        stack = Ringpost(App(context=context), f"ringpost-{stage.name}", stage=stage, codes=codes, env=Environment())
        return Template.from_stack(stack)

    return template


@pytest.fixture(scope="session")
def templates(synthesise: Synthesise) -> dict[str, Template]:
    return {stage.name: synthesise(stage) for stage in STAGES.values()}


@pytest.fixture(params=STAGES)
def template(request: pytest.FixtureRequest, templates: dict[str, Template]) -> Template:
    """What has to hold in every stage is tested in every stage."""
    return templates[request.param]


@pytest.fixture(scope="session")
def prod(templates: dict[str, Template]) -> Template:
    return templates["prod"]
