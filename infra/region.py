"""The AWS region in which a stage is deployed."""

import os

import botocore.session

NO_REGION = "No region is named. Give --region eu-west-1 (with make: REGION=eu-west-1), or set AWS_REGION."


def region_of_user() -> str:
    """The region of the user's environment or AWS profile; empty if there is none."""
    return os.environ.get("AWS_REGION") or botocore.session.get_session().get_config_variable("region") or ""
