"""The environment is written by one class and read by it again."""

from dataclasses import replace

import pytest

from shared import settings
from shared.settings import MissingSetting, Settings

LOCAL = Settings(
    config_table="config",
    pings_table="pings",
    leases_table="leases",
    callers_table="callers",
    sandbox_pings_table="sandbox-pings",
    sandbox_leases_table="sandbox-leases",
    sandbox_callers_table="sandbox-callers",
    secret="00ff",
)
WITH_JOURNAL = replace(LOCAL, journal_table="journal", journal_folder="/data/journal")
VERSIONED = replace(LOCAL, version="1.2.3")
DEPLOYED = replace(LOCAL, secret="", secret_arn="arn:aws:secretsmanager:us-east-1:123456789012:secret:ringpost")
FILE = replace(LOCAL, secret="", secret_file="/data/secret", session_secret_file="/data/session-secret")
DASHBOARD = replace(
    DEPLOYED,
    session_secret_arn="arn:aws:secretsmanager:us-east-1:123456789012:secret:sessions",
    cognito_url="https://ringpost-dev.auth.us-east-1.amazoncognito.com",
    cognito_issuer="https://cognito-idp.us-east-1.amazonaws.com/us-east-1_example",
    cognito_client_id="example",
    cognito_secret_arn="arn:aws:secretsmanager:us-east-1:123456789012:secret:dashboard",
    origin_secret_arns="arn:aws:secretsmanager:us-east-1:123456789012:secret:1,arn:aws:secretsmanager:us-east-1:1:secret:2",
)


@pytest.mark.parametrize("written", [LOCAL, WITH_JOURNAL, VERSIONED, FILE, DEPLOYED, DASHBOARD], ids=str)
def test_what_was_written_to_the_environment_is_read_from_it(written: Settings) -> None:
    assert settings.read({**written.environment(), "PATH": "/usr/bin"}) == written


@pytest.mark.parametrize("variable", LOCAL.environment())
@pytest.mark.parametrize("empty", [True, False], ids=["empty", "absent"])
def test_a_missing_variable_stops_the_function_and_is_named(variable: str, empty: bool) -> None:
    environment = LOCAL.environment()
    if empty:
        environment[variable] = ""
    else:
        del environment[variable]
    with pytest.raises(MissingSetting, match=rf"\b{variable}\b"):
        settings.read(environment)


def test_a_secret_in_secrets_manager_is_preferred_to_one_in_the_environment() -> None:
    assert settings.read(LOCAL.environment() | DEPLOYED.environment()) == DEPLOYED
