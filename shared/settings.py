"""The environment of a deployed function, in one class: `infra` and the local run write it, functions read it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

PREFIX = "RINGPOST_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Names of the tables, and where the secrets are: ours, and those that the templates of live buyers name, as a JSON
    object.

    `secret_arn` and `buyer_secrets_arn` name secrets in Secrets Manager (deployed); `secret` and `buyer_secrets` are
    themselves (local run and tests). Exactly one of `secret_arn` and `secret` is set.

    `cognito_…` are the dashboard's in a deployed stage: the address of the managed login, whose tokens we take, and who
    we are there. Without `cognito_url` a printed link alone signs in.
    """

    config_table: str
    pings_table: str
    leases_table: str
    callers_table: str
    journal_table: str
    secret_arn: str = ""
    secret: str = ""
    buyer_secrets_arn: str = ""
    buyer_secrets: str = ""
    cognito_url: str = ""
    cognito_issuer: str = ""
    cognito_client_id: str = ""
    cognito_secret_arn: str = ""
    cognito_secret: str = ""

    def environment(self) -> dict[str, str]:
        """The variables from which `read` makes an equal object."""
        return {PREFIX + name.upper(): value for name, value in asdict(self).items() if value}


class MissingSetting(Exception):
    """An environment variable that the function cannot work without is absent; the message names it."""


def read(environment: Mapping[str, str]) -> Settings:
    """Raises `MissingSetting` with the variable's name."""

    def variable(name: str) -> str:
        value = environment.get(PREFIX + name, "")
        if not value:
            raise MissingSetting(f"the environment variable {PREFIX}{name} is not set")
        return value

    def choice(name: str) -> str:
        return environment.get(PREFIX + name, "")

    secret_arn = choice("SECRET_ARN")
    return Settings(
        config_table=variable("CONFIG_TABLE"),
        pings_table=variable("PINGS_TABLE"),
        leases_table=variable("LEASES_TABLE"),
        callers_table=variable("CALLERS_TABLE"),
        journal_table=variable("JOURNAL_TABLE"),
        secret_arn=secret_arn,
        secret="" if secret_arn else variable("SECRET"),
        buyer_secrets_arn=choice("BUYER_SECRETS_ARN"),
        buyer_secrets=choice("BUYER_SECRETS"),
        cognito_url=choice("COGNITO_URL"),
        cognito_issuer=choice("COGNITO_ISSUER"),
        cognito_client_id=choice("COGNITO_CLIENT_ID"),
        cognito_secret_arn=choice("COGNITO_SECRET_ARN"),
        cognito_secret=choice("COGNITO_SECRET"),
    )
