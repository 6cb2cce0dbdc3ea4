"""The environment of a deployed function, in one class: `infra` and the local run write it, functions read it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

PREFIX = "RINGPOST_"
VERSION = f"{PREFIX}VERSION"
"""Of Ringpost; it is also read where there are no other settings yet."""

ORIGIN, VIEWER, HOST = "x-ringpost-origin", "x-ringpost-viewer", "x-ringpost-host"
"""The headers in which CloudFront sends the origin secret, the visitor's address, and the host of the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Names of the tables, and where the secrets are: ours, and those that the templates of live buyers name, as a JSON
    object.

    `secret_arn` and `buyer_secrets_arn` name secrets in Secrets Manager (deployed), `secret_file` a file (local run);
    `secret` and `buyer_secrets` are themselves. Exactly one of `secret_arn`, `secret_file` and `secret` is set.
    Only the dashboard has `session_secret_…`, which signs its visitors' sessions. `origin_secret_arns`, with commas
    between them, name the secrets that CloudFront sends if it is in front of the API.

    Only functions that have to do with calls have `calls_table`; only `call` has the secrets of telephony providers,
    `provider_secrets_arn` (deployed) or `provider_secrets` (a JSON object, as those of live buyers).

    The journal is in `journal_table`, its files in `journal_bucket` (deployed) or `journal_folder` (local run);
    functions that publishers call have none of them.

    `cognito_…` are the dashboard's in a deployed stage: the address of the managed login, whose tokens we take, and who
    we are there. Without `cognito_url` a printed link alone signs in.
    """

    config_table: str
    pings_table: str
    leases_table: str
    callers_table: str
    sandbox_pings_table: str
    sandbox_leases_table: str
    sandbox_callers_table: str
    calls_table: str = ""
    journal_table: str = ""
    secret_arn: str = ""
    secret_file: str = ""
    secret: str = ""
    session_secret_arn: str = ""
    session_secret_file: str = ""
    origin_secret_arns: str = ""
    buyer_secrets_arn: str = ""
    buyer_secrets: str = ""
    provider_secrets_arn: str = ""
    provider_secrets: str = ""
    journal_bucket: str = ""
    journal_folder: str = ""
    cognito_url: str = ""
    cognito_issuer: str = ""
    cognito_client_id: str = ""
    cognito_secret_arn: str = ""
    cognito_secret: str = ""
    demo: str = ""
    version: str = ""

    def environment(self) -> dict[str, str]:
        """The variables from which `read` makes an equal object."""
        return {PREFIX + name.upper(): value for name, value in asdict(self).items() if value}

    def of_sandbox(self) -> "Settings":
        """These settings with the tables of the sandbox."""
        return replace(
            self,
            pings_table=self.sandbox_pings_table,
            leases_table=self.sandbox_leases_table,
            callers_table=self.sandbox_callers_table,
        )


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

    secret_arn, secret_file = choice("SECRET_ARN"), choice("SECRET_FILE")
    return Settings(
        config_table=variable("CONFIG_TABLE"),
        pings_table=variable("PINGS_TABLE"),
        leases_table=variable("LEASES_TABLE"),
        callers_table=variable("CALLERS_TABLE"),
        sandbox_pings_table=variable("SANDBOX_PINGS_TABLE"),
        sandbox_leases_table=variable("SANDBOX_LEASES_TABLE"),
        sandbox_callers_table=variable("SANDBOX_CALLERS_TABLE"),
        calls_table=choice("CALLS_TABLE"),
        journal_table=choice("JOURNAL_TABLE"),
        secret_arn=secret_arn,
        secret_file="" if secret_arn else secret_file,
        secret="" if secret_arn or secret_file else variable("SECRET"),
        session_secret_arn=choice("SESSION_SECRET_ARN"),
        session_secret_file=choice("SESSION_SECRET_FILE"),
        origin_secret_arns=choice("ORIGIN_SECRET_ARNS"),
        buyer_secrets_arn=choice("BUYER_SECRETS_ARN"),
        buyer_secrets=choice("BUYER_SECRETS"),
        provider_secrets_arn=choice("PROVIDER_SECRETS_ARN"),
        provider_secrets=choice("PROVIDER_SECRETS"),
        journal_bucket=choice("JOURNAL_BUCKET"),
        journal_folder=choice("JOURNAL_FOLDER"),
        cognito_url=choice("COGNITO_URL"),
        cognito_issuer=choice("COGNITO_ISSUER"),
        cognito_client_id=choice("COGNITO_CLIENT_ID"),
        cognito_secret_arn=choice("COGNITO_SECRET_ARN"),
        cognito_secret=choice("COGNITO_SECRET"),
        demo=choice("DEMO"),
        version=choice("VERSION"),
    )
