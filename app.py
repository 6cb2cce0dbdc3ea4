"""Chooses a stage and writes its CloudFormation template, to `cdk.out` unless the CDK's command wants it elsewhere."""

import json
import os
from pathlib import Path

from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks

from infra.stack import Ringpost
from infra.stages import STAGES

# The CDK's command passes the context of cdk.json on. Without it we do, or the stage and every feature flag were unset.
CONTEXT = json.loads((Path(__file__).parent / "cdk.json").read_text())["context"]

app = App(outdir=os.environ.get("CDK_OUTDIR", "cdk.out"), context=CONTEXT)
stage = app.node.get_context("stage")
if stage not in STAGES:
    raise SystemExit(f"there is no stage {stage!r}; infra/stages.py has {', '.join(STAGES)}")
Ringpost(app, f"ringpost-{stage}", stage=STAGES[stage])
Validations.of(app).add_plugins(AwsSolutionsChecks(app))
app.synth()
