"""`python -m infra.plan deploy|destroy STAGE ACCOUNT REGION`: says what the command after it is about to do, or why it
must not. An empty account or region is the one of the credentials."""

import sys

from aws_cdk import RemovalPolicy

from infra import stages
from infra.stages import Stage


def deploy(stage: Stage, place: str) -> str:
    kept = "kept" if stage.removal_policy is RemovalPolicy.RETAIN else "deleted"
    alarms = ", ".join(stage.alarm_addresses) or "nobody: infra/stages.py has no address for it"
    return (
        f"Deploying ringpost-{stage.name} to {place}: an HTTP API, three functions, three tables, one secret, alarms.\n"
        f"When it is destroyed, its tables and logs are {kept}. Alarms tell {alarms}."
    )


def destroy(stage: Stage, place: str) -> str:
    """Raises `Protected`."""
    if stage.deletion_protection:
        raise Protected(
            f"The stage {stage.name} is protected, and nothing was done. To remove it, set deletion_protection=False "
            f"for it in infra/stages.py, make deploy STAGE={stage.name}, then destroy it."
        )
    fate = (
        "The tables and logs stay, and cost what they hold"
        if stage.removal_policy is RemovalPolicy.RETAIN
        else "The tables are deleted with every offer, ping and lease, and the logs"
    )
    return f"Destroying ringpost-{stage.name} in {place}. {fate}; the secret stays in any case."


class Protected(Exception):
    """The stage must not be destroyed; the message says how it can be."""


def main(verb: str, name: str, account: str, region: str) -> None:
    try:
        stage = stages.stage(name)
        stages.environment(account, region)
        place = f"account {account or 'of your credentials'}, region {region or 'of your credentials'}"
        said = {"deploy": deploy, "destroy": destroy}[verb](stage, place)
    except (stages.NoSuchPlace, Protected) as fault:
        raise SystemExit(str(fault)) from None
    sys.stdout.write(f"{said}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
