"""Chooses stage, place and bundle by context and writes the stage's CloudFormation template, to `cdk.out` unless the
CDK's command wants it elsewhere."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks

from infra import bundle, stages
from infra.stack import Ringpost

# The CDK's command passes the context of cdk.json on. Without it we do, or the stage and every feature flag were unset.
CONTEXT = json.loads((Path(__file__).parent / "cdk.json").read_text())["context"]

app = App(outdir=os.environ.get("CDK_OUTDIR", "cdk.out"), context=CONTEXT)
try:
    stage = stages.stage(app.node.get_context("stage"))
    place = stages.environment(app.node.try_get_context("account"), app.node.try_get_context("region"))
    target = bundle.target(app.node.try_get_context("bundle") or "lambda")
    if place.region:
        stages.check_region(stage, place.region)
except (stages.NoSuchPlace, stages.BadStage, bundle.BundleFailed) as fault:
    raise SystemExit(str(fault)) from None
if target.name == "host":  # for the emulator, which knows no budgets
    stage = replace(stage, monthly_budget_dollars=0)
if not target.compiler:
    sys.stderr.write(f"{bundle.NO_CACHES}\n")
Ringpost(app, f"ringpost-{stage.name}", stage=stage, codes=bundle.codes(target), env=place)
Validations.of(app).add_plugins(AwsSolutionsChecks(app))
app.synth()
