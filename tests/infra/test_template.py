"""What CloudFormation is told. Names of resources are their path in the stack: `TablesConfig`, `FunctionsPing`."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
from aws_cdk.assertions import Template

from infra import athena, monitoring
from infra.stages import STAGES, Domain, Throttle
from infra.version import version
from shared import functions
from shared.domain.refusals import Refusal
from shared.journal import parquet
from shared.journal.database import open_database
from shared.journal.manifest import File
from shared.journal.rows import TYPES, Asked, Row, encode
from shared.publishers import metrics
from shared.schema import SANDBOX_PINGS
from shared.settings import Settings, read
from tests.infra.conftest import ROOT, Synthesise

ANY_SECRET = re.compile(r"(?<!SignIn)Secret[0-9A-F]{8}")
DOMAIN = "SignInPoolDomain"
FUNCTIONS = [name.capitalize() for name in functions.FUNCTIONS]
UNCOUNTED = ("Sandbox", "Instructions")
UNASKED = ("Hourly", "Journal", "Minute")
"""Those that answer no request."""
BY_CLOCK = {"Hourly": "rate(1 hour)", "Minute": "rate(1 minute)"}
OPERATORS = ("Api", "Dashboard", *UNASKED)
TELEPHONY = ("Call",)
WITH_FILES = ("Api", "Dashboard", "Hourly", "Minute")
"""Those that have DuckDB at work."""
TABLES = ("Config", "Pings", "Calls", "Leases", "Callers", "Journal")
KEPT = ("Secret", "JournalFiles")
OF_SANDBOX = ("SandboxPings", "SandboxLeases", "SandboxCallers")


def resources(template: Template, kind: str) -> dict[str, Any]:
    """By name; the last eight characters of a logical id are a hash."""
    return {logical_id[:-8]: resource for logical_id, resource in template.find_resources(kind).items()}


def properties(template: Template, kind: str) -> dict[str, Any]:
    return {name: resource.get("Properties", {}) for name, resource in resources(template, kind).items()}


def target(value: Any) -> str:
    """The name of the resource that a `Ref` or the `Arn` of a `Fn::GetAtt` leads to, with what is joined to it."""
    if "Fn::Join" in value:
        first, *rest = value["Fn::Join"][1]
        return target(first) + "".join(rest)
    logical_id: str = value["Ref"] if "Ref" in value else value["Fn::GetAtt"][0]
    return logical_id[:-8]


def written(value: Any) -> str:
    """A text with the names of resources in the place of their own, and of attributes behind a dot."""
    if isinstance(value, str):
        return value
    if "Fn::Join" in value:
        return "".join(written(part) for part in value["Fn::Join"][1])
    name, *attribute = [value["Ref"]] if "Ref" in value else value["Fn::GetAtt"]
    return ".".join([name if name.startswith("AWS::") else name[:-8], *attribute])


def invoked(value: Any, template: Template) -> str:
    """The function behind the live alias that this is a `Ref` to."""
    alias = template.find_resources("AWS::Lambda::Alias")[value["Ref"]]["Properties"]
    assert alias["Name"] == "live"
    return target(alias["FunctionName"])


def service(template: Template) -> str:
    """The name of the stack, and so of all its metrics."""
    (api,) = template.find_resources("AWS::ApiGatewayV2::Api").values()
    name: str = api["Properties"]["Name"]
    return name


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def grants(template: Template) -> dict[str, dict[str, set[str]]]:
    """Role -> resource -> actions, of every statement of every policy."""
    found: dict[str, dict[str, set[str]]] = {}
    for policy in properties(template, "AWS::IAM::Policy").values():
        for role in policy["Roles"]:
            of_role = found.setdefault(target(role), {})
            for statement in policy["PolicyDocument"]["Statement"]:
                assert statement["Effect"] == "Allow"
                for resource in listed(statement["Resource"]):
                    name = resource if resource == "*" else target(resource)
                    of_role.setdefault(name, set()).update(listed(statement["Action"]))
    return found


# The tables


def test_every_table_is_encrypted_on_demand_and_recoverable_to_any_second(template: Template) -> None:
    assert set(resources(template, "AWS::DynamoDB::Table")) == {f"Tables{name}" for name in (*TABLES, *OF_SANDBOX)}
    template.all_resources_properties(
        "AWS::DynamoDB::Table",
        {
            "BillingMode": "PAY_PER_REQUEST",
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
            "SSESpecification": {"SSEEnabled": True},
        },
    )


def test_every_table_and_index_has_the_maxima_of_the_stage(template: Template) -> None:
    known = STAGES[service(template).removeprefix("ringpost-")]
    tables = properties(template, "AWS::DynamoDB::Table")
    for name in (*TABLES, *OF_SANDBOX):
        most = known.units["sandbox" if name in OF_SANDBOX else name.lower()]
        table = tables[f"Tables{name}"]
        for each in (table, *table.get("GlobalSecondaryIndexes", [])):
            assert each["OnDemandThroughput"] == {
                "MaxReadRequestUnits": most.reads,
                "MaxWriteRequestUnits": most.writes,
            }


def test_production_keeps_tables_logs_and_older_versions_whatever_happens_to_the_stack(prod: Template) -> None:
    prod.all_resources_properties("AWS::DynamoDB::Table", {"DeletionProtectionEnabled": True})
    for kind in ("AWS::DynamoDB::Table", "AWS::Logs::LogGroup", "AWS::Lambda::Version"):
        prod.all_resources(kind, {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"})


def test_of_a_development_stage_nothing_stays_but_the_secret_and_the_files(templates: dict[str, Template]) -> None:
    dev = templates["dev"]
    dev.all_resources_properties("AWS::DynamoDB::Table", {"DeletionProtectionEnabled": False})
    for name, resource in dev.to_json()["Resources"].items():
        assert resource.get("DeletionPolicy", "Delete").startswith("Retain") == (name[:-8] in KEPT), name


def test_the_keys_are_those_that_the_store_writes(template: Template) -> None:
    tables = properties(template, "AWS::DynamoDB::Table")
    by_pk_and_sk = ([("pk", "HASH"), ("sk", "RANGE")], {"pk": "S", "sk": "S"})
    for name, expected in {
        "TablesConfig": by_pk_and_sk,
        "TablesLeases": by_pk_and_sk,
        "TablesPings": ([("ping_id", "HASH")], {"ping_id": "B"}),
        "TablesCalls": ([("call_id", "HASH")], {"call_id": "B"}),
        "TablesCallers": ([("caller", "HASH")], {"caller": "B"}),
        "TablesJournal": by_pk_and_sk,
        "TablesSandboxPings": ([("ping_id", "HASH")], {"ping_id": "B"}),
        "TablesSandboxLeases": by_pk_and_sk,
        "TablesSandboxCallers": ([("caller", "HASH")], {"caller": "B"}),
    }.items():
        schema = [(key["AttributeName"], key["KeyType"]) for key in tables[name]["KeySchema"]]
        types = {each["AttributeName"]: each["AttributeType"] for each in tables[name]["AttributeDefinitions"]}
        assert (schema, {key: types[key] for key, _ in schema}) == expected


def test_only_the_sandbox_has_an_index_and_it_is_that_of_the_local_run(template: Template) -> None:
    tables = properties(template, "AWS::DynamoDB::Table")
    assert [name for name, each in tables.items() if "GlobalSecondaryIndexes" in each] == ["TablesSandboxPings"]
    found = {index["IndexName"]: index for index in tables["TablesSandboxPings"]["GlobalSecondaryIndexes"]}
    assert found.keys() == SANDBOX_PINGS.indexes.keys()
    for name, index in SANDBOX_PINGS.indexes.items():
        assert [key["AttributeName"] for key in found[name]["KeySchema"]] == [*index.keys]
        assert found[name]["Projection"] == {"ProjectionType": "KEYS_ONLY"}


def test_pings_calls_and_what_is_known_of_callers_are_deleted_in_time(template: Template) -> None:
    tables = properties(template, "AWS::DynamoDB::Table")
    assert {name: table.get("TimeToLiveSpecification") for name, table in tables.items()} == {
        "TablesConfig": None,
        "TablesLeases": None,
        "TablesPings": {"AttributeName": "delete_at", "Enabled": True},
        "TablesCalls": {"AttributeName": "delete_at", "Enabled": True},
        "TablesCallers": {"AttributeName": "delete_at", "Enabled": True},
        "TablesJournal": {"AttributeName": "delete_at", "Enabled": True},
        "TablesSandboxPings": {"AttributeName": "delete_at", "Enabled": True},
        "TablesSandboxLeases": None,
        "TablesSandboxCallers": {"AttributeName": "delete_at", "Enabled": True},
    }


# The functions


def test_a_function_is_dead_before_its_claim_can_be_taken_over(template: Template) -> None:
    timeouts = {name: function["Timeout"] for name, function in properties(template, "AWS::Lambda::Function").items()}
    others = {"Call": 5, "Api": 29, "Dashboard": 29, "Hourly": 900, "Journal": 60, "Minute": 900}
    assert timeouts == {f"Functions{name}": others.get(name, 9) for name in FUNCTIONS}


def test_the_functions_run_on_what_their_bundle_is_built_for(template: Template) -> None:
    template.all_resources_properties("AWS::Lambda::Function", {"Runtime": "python3.13", "Architectures": ["arm64"]})
    functions = properties(template, "AWS::Lambda::Function")
    assert {name: function["Handler"] for name, function in functions.items()} == {
        f"Functions{name}": f"functions.{name.lower()}.handler.lambda_handler" for name in FUNCTIONS
    }
    keys = {name: function["Code"]["S3Key"] for name, function in functions.items()}
    for first, alike in (("FunctionsApi", OPERATORS), ("FunctionsCall", TELEPHONY)):
        assert {name for name, key in keys.items() if key == keys[first]} == {f"Functions{name}" for name in alike}
    assert len(set(keys.values())) == 3


def test_the_api_calls_published_versions_by_their_live_alias(template: Template) -> None:
    versions = template.find_resources("AWS::Lambda::Version")
    aliases = properties(template, "AWS::Lambda::Alias")
    assert set(aliases) == {f"Functions{name}Live" for name in FUNCTIONS}
    for name in FUNCTIONS:
        alias = aliases[f"Functions{name}Live"]
        version = versions[alias["FunctionVersion"]["Fn::GetAtt"][0]]["Properties"]
        assert target(alias["FunctionName"]) == target(version["FunctionName"]) == f"Functions{name}"
    for permission in properties(template, "AWS::Lambda::Permission").values():
        invoked(permission["FunctionName"], template)


def test_every_function_is_traced_and_none_is_restored_from_a_snapshot(template: Template) -> None:
    for function in properties(template, "AWS::Lambda::Function").values():
        assert function["TracingConfig"] == {"Mode": "Active"}
        assert "SnapStart" not in function


def test_memory_and_snapshots_are_choices_of_the_stage(synthesise: Synthesise) -> None:
    functions = properties(synthesise(replace(STAGES["dev"], memory_mb=1024, snap_start=True)), "AWS::Lambda::Function")
    for name in FUNCTIONS:
        function = functions[f"Functions{name}"]
        assert function["MemorySize"] == (1769 if name == "Minute" else 1024)
        assert function.get("SnapStart") == (None if name in WITH_FILES else {"ApplyOn": "PublishedVersions"})


def test_where_duckdb_works_there_is_room_for_it_and_for_files(template: Template) -> None:
    functions = properties(template, "AWS::Lambda::Function")
    sizes = {name: (each["MemorySize"], each.get("EphemeralStorage")) for name, each in functions.items()}
    with_files = {"Api": (1024, 1024), "Dashboard": (1024, 1024), "Hourly": (1024, 1024), "Minute": (1769, 4096)}
    for name, (memory, disk) in with_files.items():
        assert sizes.pop(f"Functions{name}") == (memory, {"Size": disk})
    assert {*sizes.values()} == {(512, None)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_environment_is_what_the_settings_read_and_the_name_in_the_logs(template: Template, name: str) -> None:
    variables = properties(template, "AWS::Lambda::Function")[f"Functions{name}"]["Environment"]["Variables"]
    environment = {key: written(value) for key, value in variables.items()}
    settings = Settings(
        config_table="TablesConfig",
        pings_table="TablesPings",
        leases_table="TablesLeases",
        callers_table="TablesCallers",
        sandbox_pings_table="TablesSandboxPings",
        sandbox_leases_table="TablesSandboxLeases",
        sandbox_callers_table="TablesSandboxCallers",
        secret_arn="Secret",
        buyer_secrets_arn="BuyerSecrets",
        version=version(),
    )
    if name in (*OPERATORS, *TELEPHONY):
        settings = replace(settings, calls_table="TablesCalls")
    if name in OPERATORS:
        settings = replace(settings, journal_table="TablesJournal", journal_bucket="JournalFiles")
    if name == "Call":
        settings = replace(settings, provider_secrets_arn="ProviderSecrets")
    if name == "Dashboard":
        settings = replace(
            settings,
            session_secret_arn="SessionSecret",
            cognito_url=f"https://{DOMAIN}.auth.AWS::Region.amazoncognito.com",
            cognito_issuer="https://SignInPool.ProviderName",
            cognito_client_id="SignInPoolClient",
            cognito_secret_arn="SignInSecret",
        )
    assert read(environment) == settings
    uncounted = {"POWERTOOLS_METRICS_DISABLED": "true"} if name in UNCOUNTED else {}
    assert environment == settings.environment() | {"POWERTOOLS_SERVICE_NAME": service(template)} | uncounted


def test_no_environment_holds_a_secret_in_the_clear(template: Template) -> None:
    for function in properties(template, "AWS::Lambda::Function").values():
        assert "ClientSecret" not in json.dumps(function)
        variables = function["Environment"]["Variables"]
        assert variables["RINGPOST_SECRET_ARN"] == {"Ref": ANY_SECRET.findall(json.dumps(variables))[0]}
        assert "RINGPOST_SECRET" not in variables
        assert "resolve:secretsmanager" not in json.dumps(function)


def test_every_log_ends_some_day(template: Template) -> None:
    logs = properties(template, "AWS::Logs::LogGroup")
    assert set(logs) == {"ApiAccessLog", *(f"Functions{name}Log" for name in FUNCTIONS)}
    assert all(log["RetentionInDays"] > 0 for log in logs.values())
    functions = properties(template, "AWS::Lambda::Function")
    assert {name: target(function["LoggingConfig"]["LogGroup"]) for name, function in functions.items()} == {
        f"Functions{name}": f"Functions{name}Log" for name in FUNCTIONS
    }


def test_lambda_logs_of_a_request_only_what_failed(template: Template) -> None:
    for function in properties(template, "AWS::Lambda::Function").values():
        said = {name: value for name, value in function["LoggingConfig"].items() if name != "LogGroup"}
        assert said == {"LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "WARN"}


def test_the_secret_is_generated_and_outlives_the_stack(template: Template) -> None:
    secrets = resources(template, "AWS::SecretsManager::Secret")
    assert set(secrets) == {"Secret", "SessionSecret", "BuyerSecrets", "ProviderSecrets", "SignInSecret"}
    assert secrets["SessionSecret"]["Properties"]["GenerateSecretString"]["PasswordLength"] >= 64
    for filled_by_hand in ("BuyerSecrets", "ProviderSecrets"):
        assert secrets[filled_by_hand]["Properties"]["SecretString"] == "{}"
    assert secrets["Secret"]["Properties"]["GenerateSecretString"]["PasswordLength"] >= 64
    assert "SecretString" not in secrets["Secret"]["Properties"]
    assert (secrets["Secret"]["DeletionPolicy"], secrets["Secret"]["UpdateReplacePolicy"]) == (
        "RetainExceptOnCreate",  # of a first deployment that failed nothing is left
        "Retain",
    )


# The grants

OF_A_SELLER = {
    "TablesConfig": {"dynamodb:GetItem", "dynamodb:BatchGetItem"},
    "TablesPings": {"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"},
    "TablesLeases": {"dynamodb:BatchGetItem", "dynamodb:UpdateItem"},
    "TablesCallers": {"dynamodb:BatchGetItem", "dynamodb:UpdateItem"},
    "Secret": {"secretsmanager:GetSecretValue"},
    "BuyerSecrets": {"secretsmanager:GetSecretValue"},
}
OF_THE_SANDBOX = {
    "TablesConfig": {"dynamodb:GetItem", "dynamodb:BatchGetItem"},
    "TablesSandboxPings": {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"},
    "TablesSandboxLeases": {"dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"},
    "TablesSandboxCallers": {"dynamodb:UpdateItem"},
    "Secret": {"secretsmanager:GetSecretValue"},
}
OF_INSTRUCTIONS = {
    "TablesConfig": {"dynamodb:GetItem", "dynamodb:BatchGetItem"},
    "TablesPings": {"dynamodb:GetItem"},
    "TablesSandboxPings": {"dynamodb:GetItem"},
    "Secret": {"secretsmanager:GetSecretValue"},
}
OF_PING = {
    "TablesConfig": {"dynamodb:GetItem", "dynamodb:BatchGetItem"},
    "TablesPings": {"dynamodb:GetItem", "dynamodb:PutItem"},
    "TablesLeases": {"dynamodb:BatchGetItem"},
    "TablesCallers": {"dynamodb:BatchGetItem", "dynamodb:UpdateItem"},
    "Secret": {"secretsmanager:GetSecretValue"},
    "BuyerSecrets": {"secretsmanager:GetSecretValue"},
}
OF_CALL = {
    "TablesConfig": {"dynamodb:GetItem", "dynamodb:Query"},
    "TablesPings": {"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"},
    "TablesCalls": {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"},
    "TablesLeases": {"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:UpdateItem"},
    "TablesCallers": {"dynamodb:BatchGetItem", "dynamodb:UpdateItem"},
    "Secret": {"secretsmanager:GetSecretValue"},
    "BuyerSecrets": {"secretsmanager:GetSecretValue"},
    "ProviderSecrets": {"secretsmanager:GetSecretValue"},
}
OF_ITS_SHARDS = {"dynamodb:DescribeTable", "dynamodb:DescribeStream"}
OF_THE_HOURLY = {
    "TablesConfig": {"dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:UpdateItem"},
    "TablesPings": {"dynamodb:BatchGetItem", "dynamodb:PutItem", *OF_ITS_SHARDS},
    "TablesCalls": {"dynamodb:GetItem", "dynamodb:PutItem", *OF_ITS_SHARDS},
    "TablesLeases": {"dynamodb:BatchGetItem", "dynamodb:UpdateItem"},
    "TablesJournal": {"dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem"},
    "JournalFiles": {"s3:ListBucket"},
    "JournalFiles/hours/*": {"s3:GetObject"},
    "JournalFiles/days/*": {"s3:GetObject"},
    "Secret": {"secretsmanager:GetSecretValue"},
}
OF_A_STREAM = {"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"}
OF_THE_JOURNAL = {
    "TablesConfig": {"dynamodb:GetItem", "dynamodb:Query"},
    "TablesPings": {"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:UpdateItem", *OF_A_STREAM},
    "TablesCalls": OF_A_STREAM,
    "TablesLeases": {"dynamodb:UpdateItem"},
    "TablesJournal": {"dynamodb:PutItem", "dynamodb:UpdateItem"},
    "JournalFiles": {"s3:ListBucket"},
    "JournalFiles/*": {"s3:PutObject"},
    "Secret": {"secretsmanager:GetSecretValue"},
    "*": {"dynamodb:ListStreams", "xray:PutTraceSegments", "xray:PutTelemetryRecords"},
}
OF_THE_MINUTE = {
    "TablesConfig": {"dynamodb:GetItem", "dynamodb:Query", "dynamodb:UpdateItem"},
    "TablesPings": {
        "dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem",
        *OF_ITS_SHARDS,
    },
    "TablesSandboxPings": {"dynamodb:GetItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"},
    "TablesSandboxPings/index/of_caller": {"dynamodb:Query"},
    "TablesCalls": {
        "dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", *OF_ITS_SHARDS,
    },
    "TablesLeases": {"dynamodb:UpdateItem"},
    "TablesCallers": {"dynamodb:DeleteItem"},
    "Secret": {"secretsmanager:GetSecretValue"},
    "TablesJournal": {"dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:UpdateItem"},
    "JournalFiles": {"s3:ListBucket"},
    "JournalFiles/*": {"s3:GetObject", "s3:PutObject", "s3:DeleteObject"},
}  # fmt: skip


OF_THE_API = {
    "TablesConfig": {
        "dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:PutItem",
        "dynamodb:BatchWriteItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem",
    },
    "TablesPings": {"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"},
    "TablesSandboxPings": {"dynamodb:GetItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"},
    "TablesSandboxPings/index/of_caller": {"dynamodb:Query"},
    "TablesCalls": {"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:UpdateItem"},
    "TablesLeases": {"dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"},
    "TablesCallers": {
        "dynamodb:BatchGetItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"
    },
    "TablesJournal": {"dynamodb:GetItem", "dynamodb:Query"},
    "JournalFiles": {"s3:ListBucket"},
    "JournalFiles/hours/*": {"s3:GetObject"},
    "JournalFiles/days/*": {"s3:GetObject"},
    "JournalFiles/cubes/*": {"s3:GetObject"},
    "Secret": {"secretsmanager:GetSecretValue"},
}  # fmt: skip


OF_THE_DASHBOARD = OF_THE_API | {
    "SessionSecret": {"secretsmanager:GetSecretValue"},
    "SignInSecret": {"secretsmanager:GetSecretValue"},
}


def test_each_function_may_do_what_it_does_and_nothing_else(template: Template) -> None:
    write_its_log = {"logs:CreateLogStream", "logs:PutLogEvents"}
    traces = {"*": {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}}
    assert grants(template) == {
        "FunctionsPingRole": OF_PING | traces | {"FunctionsPingLog": write_its_log},
        "FunctionsPostRole": OF_A_SELLER | traces | {"FunctionsPostLog": write_its_log},
        "FunctionsFullRole": OF_A_SELLER | traces | {"FunctionsFullLog": write_its_log},
        "FunctionsCallRole": OF_CALL | traces | {"FunctionsCallLog": write_its_log},
        "FunctionsSandboxRole": OF_THE_SANDBOX | traces | {"FunctionsSandboxLog": write_its_log},
        "FunctionsInstructionsRole": OF_INSTRUCTIONS | traces | {"FunctionsInstructionsLog": write_its_log},
        "FunctionsApiRole": OF_THE_API | traces | {"FunctionsApiLog": write_its_log},
        "FunctionsDashboardRole": OF_THE_DASHBOARD | traces | {"FunctionsDashboardLog": write_its_log},
        "FunctionsHourlyRole": OF_THE_HOURLY | traces | {"FunctionsHourlyLog": write_its_log},
        "FunctionsJournalRole": OF_THE_JOURNAL | {"FunctionsJournalLog": write_its_log},
        "FunctionsMinuteRole": OF_THE_MINUTE | traces | {"FunctionsMinuteLog": write_its_log},
    }


def test_ping_cannot_touch_the_rings(template: Template) -> None:
    assert grants(template)["FunctionsPingRole"]["TablesLeases"] == {"dynamodb:BatchGetItem"}


def test_the_sandbox_can_write_no_live_table(template: Template) -> None:
    granted = grants(template)["FunctionsSandboxRole"]
    live = {name: actions for name, actions in granted.items() if name.removeprefix("Tables") in TABLES}
    assert live == {"TablesConfig": {"dynamodb:GetItem", "dynamodb:BatchGetItem"}}


def test_only_the_dashboard_can_read_what_its_cookies_are_signed_with(template: Template) -> None:
    assert [role for role, granted in grants(template).items() if "SessionSecret" in granted] == [
        "FunctionsDashboardRole"
    ]
    named = {
        name
        for name, function in properties(template, "AWS::Lambda::Function").items()
        if "SessionSecret" in json.dumps(function)
    }
    assert named == {"FunctionsDashboard"}


def test_only_call_can_read_what_webhooks_are_checked_with(template: Template) -> None:
    assert [role for role, granted in grants(template).items() if "ProviderSecrets" in granted] == ["FunctionsCallRole"]
    named = {
        name
        for name, function in properties(template, "AWS::Lambda::Function").items()
        if "ProviderSecrets" in json.dumps(function)
    }
    assert named == {"FunctionsCall"}


def test_no_function_may_scan_and_none_that_publishers_call_may_query_or_delete(template: Template) -> None:
    office = dict.fromkeys(("FunctionsApiRole", "FunctionsDashboardRole"), r"Scan|\*")
    never = office | {"FunctionsHourlyRole": r"Delete|Scan|\*", "FunctionsMinuteRole": r"Scan|\*"}
    never |= dict.fromkeys(("FunctionsCallRole", "FunctionsJournalRole"), r"Delete|Scan|\*")
    for role, granted in grants(template).items():
        forbidden = never.get(role, r"Delete|Scan|Query|\*")
        assert not [action for actions in granted.values() for action in actions if re.search(forbidden, action)]


def test_the_clock_calls_what_has_no_other_caller(template: Template) -> None:
    called = {}
    for rule in properties(template, "AWS::Events::Rule").values():
        [of_rule] = rule["Targets"]
        assert rule["State"] == "ENABLED"
        called[invoked(of_rule["Arn"], template)] = rule["ScheduleExpression"]
    assert called == {f"Functions{name}": rate for name, rate in BY_CLOCK.items()}


# The journal


def test_pings_and_calls_have_a_stream_and_no_other_table_has_one(template: Template) -> None:
    streams = {
        name: table.get("StreamSpecification") for name, table in properties(template, "AWS::DynamoDB::Table").items()
    }
    for name in ("TablesPings", "TablesCalls"):
        assert streams.pop(name) == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert not any(streams.values())


@pytest.mark.parametrize("name", ["Pings", "Calls"])
def test_a_stream_comes_to_the_journal_until_it_has_gone_through_or_lies_in_the_bucket(
    template: Template, name: str
) -> None:
    mapping = mapping_of(template, name)
    assert invoked(mapping.pop("FunctionName"), template) == "FunctionsJournal"
    assert mapping.pop("EventSourceArn")["Fn::GetAtt"][1] == "StreamArn"
    assert target(mapping.pop("DestinationConfig")["OnFailure"]["Destination"]) == "JournalFiles"
    mapping.pop("FilterCriteria")
    assert mapping == {
        "BatchSize": 1000,
        "MaximumBatchingWindowInSeconds": 1,
        "ParallelizationFactor": 1,
        "BisectBatchOnFunctionError": True,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "MaximumRecordAgeInSeconds": 12 * 3600,
        "StartingPosition": "TRIM_HORIZON",
    }


def mapping_of(template: Template, table: str) -> dict[str, Any]:
    """What brings the stream of a table to the journal."""
    mappings = properties(template, "AWS::Lambda::EventSourceMapping").values()
    assert len(mappings) == 2
    [found] = [each for each in mappings if target(each["EventSourceArn"]) == f"Tables{table}"]
    return dict(found)


PING, SALE, REFUSED = {"ping": {"B": "eA=="}}, {"sale": {"B": "eA=="}}, {"kind": {"S": "refusal"}}
CALL, ATTEMPT, SETTLED = {"call": {"B": "eA=="}}, {"a1": {"B": "eA=="}}, {"settled": {"N": "1"}}


@pytest.mark.parametrize(
    ("table", "name", "image", "passes"),
    [
        ("Pings", "INSERT", PING, True),
        ("Pings", "MODIFY", PING | SALE, True),
        ("Pings", "INSERT", REFUSED, True),
        ("Pings", "REMOVE", None, False),
        ("Pings", "INSERT", {"route": {"B": "eA=="}}, False),
        ("Pings", "INSERT", {"claim": {"B": "eA=="}}, False),
        ("Calls", "INSERT", CALL, True),
        ("Calls", "INSERT", CALL | ATTEMPT, True),
        ("Calls", "MODIFY", CALL | ATTEMPT, True),
        ("Calls", "MODIFY", CALL | ATTEMPT | SETTLED, True),
        ("Calls", "INSERT", {"kind": {"S": "probe"}}, True),
        ("Calls", "REMOVE", None, False),
    ],
)
def test_the_filters_let_through_what_becomes_a_row(
    template: Template, table: str, name: str, image: dict[str, Any] | None, passes: bool
) -> None:
    filters = mapping_of(template, table)["FilterCriteria"]["Filters"]
    patterns = [json.loads(each["Pattern"]) for each in filters]
    record = {"eventName": name, "dynamodb": {"NewImage": image} if image else {}}
    assert any(matches(pattern, record) for pattern in patterns) == passes


def matches(pattern: Any, found: Any) -> bool:
    """As EventBridge has it, of what our filters use."""
    if isinstance(pattern, list):
        return any(found is not None if each == {"exists": True} else found == each for each in pattern)
    return all(matches(each, (found or {}).get(key)) for key, each in pattern.items())


def test_the_bucket_is_private_encrypted_reached_by_tls_alone_and_forgets_for_good(template: Template) -> None:
    [bucket] = properties(template, "AWS::S3::Bucket").values()
    assert all(bucket["PublicAccessBlockConfiguration"].values())
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["BucketEncryption"]
    assert "VersioningConfiguration" not in bucket
    [policy] = properties(template, "AWS::S3::BucketPolicy").values()
    [statement] = policy["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    ends = {rule.get("Prefix", ""): rule["ExpirationInDays"] for rule in bucket["LifecycleConfiguration"]["Rules"]}
    assert ends == {"": 3700, "dead/": 30, "aws/lambda/": 30, athena.RESULTS: 7}


# Athena


def test_the_columns_of_the_table_are_those_of_the_files_that_are_written(template: Template) -> None:
    [table] = properties(template, "AWS::Glue::Table").values()
    described = table["TableInput"]["StorageDescriptor"]["Columns"]
    row = Row(event="e", at=1, kind="ping", live=(Asked(1, "bid", 2),), fields=("zip",))
    with open_database() as database:
        file = parquet.write_rows(database, [], encode([row]), "day.parquet")
        found = database.connection.execute("DESCRIBE SELECT * FROM read_parquet($file)", {"file": str(file)})
        written = [(name, athena.GLUE[kind]) for name, kind, *_ in found.fetchall()]
    assert [(each["Name"], each["Type"]) for each in described] == written


def test_the_partitions_of_the_table_are_where_files_of_days_are(template: Template) -> None:
    [database] = properties(template, "AWS::Glue::Database").values()
    [table] = template.find_resources("AWS::Glue::Table").values()
    described = table["Properties"]["TableInput"]
    assert (
        table["Properties"]["DatabaseName"] == database["DatabaseInput"]["Name"] == service(template).replace("-", "_")
    )
    assert described["PartitionKeys"] == [{"Name": "day", "Type": "string"}]
    parameters = described["Parameters"]
    assert (parameters["projection.enabled"], parameters["projection.day.type"]) == ("true", "date")
    assert parameters["projection.day.range"] == "2026-01-01,NOW"
    place = written(parameters["storage.location.template"])
    name = File("day", 1_793_491_200, "id", 1, 1).name
    assert f"{place.replace('${day}', '2026-11-01')}id.parquet" == f"s3://JournalFiles/{name}"
    assert next(iter(template.find_resources("AWS::Glue::Database"))) in listed(table["DependsOn"])


def test_a_query_reads_so_much_at_most_and_its_result_is_encrypted_and_ends(template: Template) -> None:
    [group] = properties(template, "AWS::Athena::WorkGroup").values()
    limits = group["WorkGroupConfiguration"]
    assert (limits["BytesScannedCutoffPerQuery"], limits["EnforceWorkGroupConfiguration"]) == (athena.MOST_BYTES, True)
    result = limits["ResultConfiguration"]
    assert written(result["OutputLocation"]) == f"s3://JournalFiles/{athena.RESULTS}"
    assert result["EncryptionConfiguration"] == {"EncryptionOption": "SSE_S3"}


def test_the_queries_of_the_documentation_know_the_columns() -> None:
    page = (ROOT / "docs" / "how-to" / "ask-athena.md").read_text()
    queries = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    assert len(queries) == 3
    known = {*TYPES, "day"}
    for query in queries:
        made = set(re.findall(r'AS "?(\w+)', query))
        strings = re.sub(r"'[^']*'", "", query)
        words = {word for word in re.findall(r'"(\w+)"|\b([a-z_]+)\b(?!\()', strings) for word in word if word}
        assert words <= known | made | {"days"}, words - known - made
        assert "WHERE day BETWEEN '" in query


def test_nothing_is_granted_but_by_these_policies(template: Template) -> None:
    functions = properties(template, "AWS::Lambda::Function")
    assert {name: target(function["Role"]) for name, function in functions.items()} == {
        f"Functions{name}": f"Functions{name}Role" for name in FUNCTIONS
    }
    roles = properties(template, "AWS::IAM::Role")
    assert set(roles) == {f"Functions{name}Role" for name in FUNCTIONS}
    assert all(set(role) == {"AssumeRolePolicyDocument"} for role in roles.values())
    template.resource_count_is("AWS::IAM::ManagedPolicy", 0)
    for permission in properties(template, "AWS::Lambda::Permission").values():
        by_clock = invoked(permission["FunctionName"], template).removeprefix("Functions") in BY_CLOCK
        principal = "events.amazonaws.com" if by_clock else "apigateway.amazonaws.com"
        assert (permission["Action"], permission["Principal"]) == ("lambda:InvokeFunction", principal)


# The API


def test_each_route_leads_to_its_function_and_all_the_rest_to_full(template: Template) -> None:
    integrations = template.find_resources("AWS::ApiGatewayV2::Integration")
    routes = {}
    for route in properties(template, "AWS::ApiGatewayV2::Route").values():
        integration = integrations[route["Target"]["Fn::Join"][1][1]["Ref"]]["Properties"]
        assert integration["PayloadFormatVersion"] == "2.0"
        routes[route["RouteKey"]] = invoked(integration["IntegrationUri"], template)
    assert routes == {
        "ANY /api/v1/inbound_webhooks/ping/{path+}": "FunctionsPing",
        "ANY /api/v1/inbound_webhooks/post/{path+}": "FunctionsPost",
        "ANY /api/v1/inbound_webhooks/full/{path+}": "FunctionsFull",
        "ANY /calls/{path+}": "FunctionsCall",
        "ANY /sandbox/{path+}": "FunctionsSandbox",
        "ANY /posting_instructions/{path+}": "FunctionsInstructions",
        "ANY /api/v1/inbound_webhooks/{path+}": "FunctionsFull",
        "ANY /api/v1/{path+}": "FunctionsApi",
        "ANY /dashboard": "FunctionsDashboard",
        "ANY /dashboard/{path+}": "FunctionsDashboard",
        "ANY /": "FunctionsInstructions",
        "$default": "FunctionsFull",
    }


def test_the_functions_alone_answer_cors(template: Template) -> None:
    assert [set(api) for api in properties(template, "AWS::ApiGatewayV2::Api").values()] == [{"Name", "ProtocolType"}]


def test_the_one_stage_leaves_the_path_alone(template: Template) -> None:
    (stage,) = properties(template, "AWS::ApiGatewayV2::Stage").values()
    assert stage["StageName"] == "$default"
    assert stage["AutoDeploy"] is True


def test_each_route_has_a_throttle_of_its_own_and_is_there_before_it(template: Template) -> None:
    (stage,) = template.find_resources("AWS::ApiGatewayV2::Stage").values()
    routes = template.find_resources("AWS::ApiGatewayV2::Route")
    known = STAGES[service(template).removeprefix("ringpost-")]

    def settings(throttle: Throttle) -> dict[str, int]:
        return {"ThrottlingRateLimit": throttle.requests_per_second, "ThrottlingBurstLimit": throttle.burst}

    throttled = stage["Properties"]["RouteSettings"]
    others = dict.fromkeys(
        ["ANY /", "ANY /api/v1/inbound_webhooks/{path+}", "ANY /sandbox/{path+}", "ANY /posting_instructions/{path+}"],
        settings(known.throttle_elsewhere),
    )
    operators = dict.fromkeys(
        ["ANY /api/v1/{path+}", "ANY /dashboard", "ANY /dashboard/{path+}"], settings(known.throttle_operators)
    )
    assert throttled == dict.fromkeys(throttled, settings(known.throttle)) | others | operators
    assert stage["Properties"]["DefaultRouteSettings"] == settings(known.throttle_elsewhere)
    of_verbs = {name: route["Properties"]["RouteKey"] for name, route in routes.items()}
    assert set(throttled) == set(of_verbs.values()) - {"$default"}
    assert {name for name, key in of_verbs.items() if key in throttled} <= set(stage["DependsOn"])


def test_without_a_domain_the_api_has_the_name_that_aws_gives(template: Template) -> None:
    template.resource_count_is("AWS::ApiGatewayV2::DomainName", 0)
    assert "DomainTarget" not in template.find_outputs("*")


def test_a_domain_of_the_operators_own_leads_to_the_stage(synthesise: Synthesise) -> None:
    domain = Domain(name="calls.example.com", certificate_arn="arn:aws:acm:eu-west-1:111122223333:certificate/1")
    template = synthesise(replace(STAGES["dev"], domain=domain))
    (named,) = properties(template, "AWS::ApiGatewayV2::DomainName").values()
    assert named["DomainName"] == domain.name
    assert named["DomainNameConfigurations"][0]["CertificateArn"] == domain.certificate_arn
    (mapping,) = properties(template, "AWS::ApiGatewayV2::ApiMapping").values()
    assert {key: target(value) for key, value in mapping.items()} == {
        "ApiId": "ApiHttp", "DomainName": "ApiDomain", "Stage": "ApiStage"
    }  # fmt: skip
    outputs = template.find_outputs("*")
    assert outputs["Url"]["Value"] == "https://calls.example.com"
    assert outputs["DomainTarget"]["Value"]["Fn::GetAtt"][1] == "RegionalDomainName"


def test_the_access_log_is_json_and_says_nothing_of_the_lead(template: Template) -> None:
    (stage,) = properties(template, "AWS::ApiGatewayV2::Stage").values()
    assert target(stage["AccessLogSettings"]["DestinationArn"]) == "ApiAccessLog"
    line = json.loads(stage["AccessLogSettings"]["Format"])
    assert line["requestId"] == "$context.requestId"
    assert not re.search(r"query|body|header|identity|\.integration\.", " ".join(line.values()), re.IGNORECASE)


def test_the_outputs_are_what_an_operator_asks_for(template: Template) -> None:
    outputs = template.find_outputs("*")
    assert outputs["Version"]["Value"] == version()
    assert set(outputs) == {
        "Version",
        "Url",
        "DashboardUrl",
        "UserPoolId",
        "ConfigTable",
        "PingsTable",
        "CallsTable",
        "LeasesTable",
        "CallersTable",
        "JournalTable",
        "JournalBucket",
        "AthenaDatabase",
        "AthenaWorkGroup",
        "SandboxPingsTable",
        "SandboxLeasesTable",
        "SandboxCallersTable",
        "SecretArn",
        "SessionSecretArn",
        "BuyerSecretsArn",
        "ProviderSecretsArn",
    }


# Signing in


def test_nobody_makes_a_user_of_itself_and_passwords_are_strong(template: Template) -> None:
    (pool,) = properties(template, "AWS::Cognito::UserPool").values()
    assert pool["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}
    policy = pool["Policies"]["PasswordPolicy"]
    assert policy["MinimumLength"] >= 12
    assert all(policy[f"Require{kind}"] for kind in ("Lowercase", "Numbers", "Symbols", "Uppercase"))
    assert pool["EnabledMfas"] == ["SOFTWARE_TOKEN_MFA"]
    assert pool["UsernameConfiguration"] == {"CaseSensitive": True}


def test_production_wants_a_second_factor(templates: dict[str, Template]) -> None:
    for name, wanted in (("prod", "ON"), ("dev", "OPTIONAL")):
        (pool,) = properties(templates[name], "AWS::Cognito::UserPool").values()
        assert pool["MfaConfiguration"] == wanted


def test_the_users_of_production_outlive_its_stack(templates: dict[str, Template]) -> None:
    for name, kept, protection in (("prod", "Retain", "ACTIVE"), ("dev", "Delete", "INACTIVE")):
        (pool,) = resources(templates[name], "AWS::Cognito::UserPool").values()
        assert (pool["DeletionPolicy"], pool["UpdateReplacePolicy"]) == (kept, kept)
        assert pool["Properties"]["DeletionProtection"] == protection


def test_the_dashboard_gets_a_code_and_nothing_else(template: Template) -> None:
    (client,) = properties(template, "AWS::Cognito::UserPoolClient").values()
    assert (client["AllowedOAuthFlows"], client["AllowedOAuthScopes"]) == (["code"], ["openid"])
    assert client["GenerateSecret"] is True
    assert (client["RefreshTokenValidity"], client["EnableTokenRevocation"]) == (12 * 60, True)
    assert client["PreventUserExistenceErrors"] == "ENABLED"
    assert [written(url) for url in client["CallbackURLs"]] == ["ApiHttp.ApiEndpoint/dashboard/signed_in"]
    assert [written(url) for url in client["LogoutURLs"]] == ["ApiHttp.ApiEndpoint/dashboard/signed_out"]
    secret = properties(template, "AWS::SecretsManager::Secret")["SignInSecret"]
    assert written(secret["SecretString"]) == "SignInPoolClient.ClientSecret"


def test_one_signs_in_at_a_domain_of_its_own_that_has_pages(template: Template) -> None:
    (domain,) = properties(template, "AWS::Cognito::UserPoolDomain").values()
    assert (written(domain["Domain"]), domain["ManagedLoginVersion"]) == (f"{service(template)}-ApiHttp", 2)
    (branding,) = properties(template, "AWS::Cognito::ManagedLoginBranding").values()
    assert (written(branding["ClientId"]), branding["UseCognitoProvidedValues"]) == ("SignInPoolClient", True)


def test_with_a_domain_one_signs_in_from_either_address(synthesise: Synthesise) -> None:
    domain = Domain(name="calls.example.com", certificate_arn="arn:aws:acm:eu-west-1:111122223333:certificate/1")
    template = synthesise(replace(STAGES["dev"], domain=domain))
    (client,) = properties(template, "AWS::Cognito::UserPoolClient").values()
    assert [written(url) for url in client["CallbackURLs"]] == [
        "https://calls.example.com/dashboard/signed_in",
        "ApiHttp.ApiEndpoint/dashboard/signed_in",
    ]
    assert template.find_outputs("*")["DashboardUrl"]["Value"] == "https://calls.example.com/dashboard"


def test_nothing_waits_for_itself(template: Template) -> None:
    """A circle is found by CloudFormation only when it is asked to make it."""
    made = template.to_json()["Resources"]

    def named(value: Any) -> set[str]:
        if isinstance(value, dict):
            here = {value["Ref"]} if "Ref" in value else {value["Fn::GetAtt"][0]} if "Fn::GetAtt" in value else set()
            return here.union(*map(named, value.values()))
        return set().union(*map(named, value)) if isinstance(value, list) else set()

    waits = {key: (named(each) | set(each.get("DependsOn", []))) & set(made) for key, each in made.items()}
    TopologicalSorter(waits).prepare()


# What an operator is told

ALARMS = {
    "Errors", "Slow", "Throttled", "ReadsThrottled", "WritesThrottled", "PoolNearlyFull", "PoolExhausted", "ClockSkew",
    "NoSales", "HourlyFailed", "MinuteFailed", "JournalLate", "JournalSetAside", "JournalSilent", "Refused401",
    "Refused429", "CallsNotConnected", "NeverCalled", "WebhooksRefused",
}  # fmt: skip


def metrics_of(alarm: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By id, of an alarm over several metrics: name, namespace, statistic, period and dimensions."""
    found = {}
    for each in alarm["Metrics"]:
        if "MetricStat" in each:
            stat = each["MetricStat"]
            dimensions = {one["Name"]: one["Value"] for one in stat["Metric"]["Dimensions"]}
            found[each["Id"]] = {
                "name": stat["Metric"]["MetricName"],
                "namespace": stat["Metric"]["Namespace"],
                "statistic": stat["Stat"],
                "seconds": stat["Period"],
                "dimensions": dimensions,
            }
    return found


def expression(alarm: dict[str, Any]) -> str:
    (found,) = (each["Expression"] for each in alarm["Metrics"] if "Expression" in each)
    return str(found)


def alarm(template: Template, name: str) -> dict[str, Any]:
    found: dict[str, Any] = properties(template, "AWS::CloudWatch::Alarm")[f"Operations{name}"]
    return found


def ours(template: Template, name: str, verbs: tuple[str, ...], statistic: str, seconds: int) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "namespace": metrics.NAMESPACE,
            "statistic": statistic,
            "seconds": seconds,
            "dimensions": {"service": service(template), "function": verb},
        }
        for verb in verbs
    ]


def test_every_alarm_tells_the_topic_when_it_begins_and_ends_and_silence_is_no_alarm(template: Template) -> None:
    alarms = properties(template, "AWS::CloudWatch::Alarm")
    assert set(alarms) == {f"Operations{name}" for name in ALARMS}
    for each in alarms.values():
        assert [target(action) for action in each["AlarmActions"] + each["OKActions"]] == ["OperationsTopic"] * 2
        assert each["TreatMissingData"] == "notBreaching"
        assert each["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
        assert len(each["AlarmDescription"]) > 40


def test_answers_that_failed_are_watched_at_the_api(template: Template) -> None:
    found = alarm(template, "Errors")
    watched = (found["Namespace"], found["MetricName"], found["Statistic"], found["Threshold"])
    assert watched == ("AWS/ApiGateway", "5xx", "Sum", monitoring.ERRORS)
    assert [(each["Name"], target(each["Value"])) for each in found["Dimensions"]] == [("ApiId", "ApiHttp")]


def test_the_slowest_of_what_publishers_wait_for_is_watched(template: Template) -> None:
    found = alarm(template, "Slow")
    metrics = metrics_of(found).values()
    assert {(each["dimensions"]["function"], each["name"], each["statistic"]) for each in metrics} == {
        (verb, "Latency", "p99") for verb in ("ping", "post", "full")
    }
    assert (expression(found), found["Threshold"]) == ("MAX(METRICS())", monitoring.P99_MS)


@pytest.mark.parametrize(
    ("name", "dimension", "watched"),
    [
        ("Throttled", "FunctionName", {(f"Functions{name}", "Throttles") for name in FUNCTIONS if name not in UNASKED}),
        ("ReadsThrottled", "TableName", {(f"Tables{name}", "ReadThrottleEvents") for name in TABLES}),
        ("WritesThrottled", "TableName", {(f"Tables{name}", "WriteThrottleEvents") for name in TABLES}),
    ],
)
def test_a_call_that_lambda_or_dynamodb_throttles_is_an_alarm(
    template: Template, name: str, dimension: str, watched: set[tuple[str, str]]
) -> None:
    found = alarm(template, name)
    metrics = metrics_of(found).values()
    assert len(metrics) <= 10  # AWS refuses more
    assert {(target(each["dimensions"][dimension]), each["name"]) for each in metrics} == watched
    assert {each["statistic"] for each in metrics} == {"Sum"}
    assert (expression(found), found["Threshold"]) == ("SUM(METRICS())", 1)


def test_a_pool_that_fills_up_is_an_alarm_before_it_is_exhausted(template: Template) -> None:
    found = alarm(template, "PoolNearlyFull")
    assert [*metrics_of(found).values()] == ours(template, "PoolUse", ("post", "full"), "p90", 300)
    assert (expression(found), found["Threshold"]) == ("MAX(METRICS())", 75)


def test_an_exhausted_pool_is_an_alarm_at_once(template: Template) -> None:
    found = alarm(template, "PoolExhausted")
    assert [*metrics_of(found).values()] == ours(template, "PoolExhausted", monitoring.VERBS, "Sum", 300)
    assert (expression(found), found["Threshold"], found["EvaluationPeriods"]) == ("SUM(METRICS())", 1, 1)


def test_a_wrong_clock_is_an_alarm_at_once(template: Template) -> None:
    found = alarm(template, "ClockSkew")
    assert [*metrics_of(found).values()] == ours(template, "ClockSkew", monitoring.VERBS, "Sum", 300)
    assert (expression(found), found["Threshold"], found["EvaluationPeriods"]) == ("SUM(METRICS())", 1, 1)


@pytest.mark.parametrize("status", [401, 429])
def test_many_refusals_of_a_kind_are_an_alarm_whoever_refused(template: Template, status: int) -> None:
    found, name = alarm(template, f"Refused{status}"), f"Answered{status}"
    [of] = [each["MetricStat"] for each in found["Metrics"]]
    assert (of["Metric"]["MetricName"], of["Stat"], of["Period"]) == (name, "Sum", 300)
    counted = properties(template, "AWS::Logs::MetricFilter")[f"Operations{name}"]
    assert target(counted["LogGroupName"]) == "ApiAccessLog"
    assert counted["FilterPattern"] == f'{{ $.status = "{status}" }}'
    [made] = counted["MetricTransformations"]
    assert (made["MetricNamespace"], made["MetricName"], made["MetricValue"]) == (of["Metric"]["Namespace"], name, "1")
    (stage,) = properties(template, "AWS::ApiGatewayV2::Stage").values()
    assert json.loads(stage["AccessLogSettings"]["Format"])["status"] == "$context.status"


def test_what_the_account_spends_has_a_budget_that_tells_the_topic(template: Template) -> None:
    (budget,) = properties(template, "AWS::Budgets::Budget").values()
    known = STAGES[service(template).removeprefix("ringpost-")]
    assert budget["Budget"] == {
        "BudgetName": service(template),
        "BudgetType": "COST",
        "TimeUnit": "MONTHLY",
        "BudgetLimit": {"Amount": known.monthly_budget_dollars, "Unit": "USD"},
    }
    notices = budget["NotificationsWithSubscribers"]
    kinds = [(each["Notification"]["NotificationType"], each["Notification"]["Threshold"]) for each in notices]
    assert kinds == [("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100)]
    for [subscriber] in (each["Subscribers"] for each in notices):
        assert (subscriber["SubscriptionType"], target(subscriber["Address"])) == ("SNS", "OperationsTopic")


def test_pings_of_which_none_is_sold_are_an_alarm(template: Template) -> None:
    found = alarm(template, "NoSales")
    assert [*metrics_of(found).values()] == [
        *ours(template, "Pings", ("journal",), "Sum", 3600),
        *ours(template, "Sales", ("journal",), "Sum", 3600),
    ]
    assert expression(found) == "IF(pings >= 20 AND sales < 1, 1, 0)"
    assert found["Threshold"] == 1


def test_calls_that_reach_no_buyer_are_an_alarm(template: Template) -> None:
    found = alarm(template, "CallsNotConnected")
    assert [*metrics_of(found).values()] == [
        *ours(template, "Calls", ("journal",), "Sum", 3600),
        *ours(template, "ConnectedCalls", ("journal",), "Sum", 3600),
    ]
    assert expression(found) == "IF(arrived >= 20 AND connected * 100 < arrived * 20, 1, 0)"
    assert found["Threshold"] == 1


def test_sales_that_nobody_calls_are_an_alarm(template: Template) -> None:
    found = alarm(template, "NeverCalled")
    assert [*metrics_of(found).values()] == [
        *ours(template, "NeverCalled", ("journal",), "Sum", 3600),
        *ours(template, "Calls", ("journal",), "Sum", 3600),
    ]
    assert expression(found) == "IF(never + arrived >= 20 AND never * 100 >= (never + arrived) * 50, 1, 0)"
    assert found["Threshold"] == 1


def test_webhooks_without_a_right_signature_are_an_alarm(template: Template) -> None:
    found = alarm(template, "WebhooksRefused")
    assert [*metrics_of(found).values()] == ours(template, "WebhooksRefused", ("call",), "Sum", 300)
    assert found["Threshold"] == monitoring.WEBHOOKS_REFUSED


def test_alarms_may_write_to_the_topic_and_nothing_may_without_tls(template: Template) -> None:
    (policy,) = properties(template, "AWS::SNS::TopicPolicy").values()
    deny, allow = sorted(policy["PolicyDocument"]["Statement"], key=lambda statement: statement["Effect"], reverse=True)
    assert allow["Principal"] == {"Service": ["budgets.amazonaws.com", "cloudwatch.amazonaws.com"]}
    assert allow["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert target(policy["Topics"][0]) == target(allow["Resource"]) == target(deny["Resource"]) == "OperationsTopic"


def test_every_address_of_the_stage_is_told(synthesise: Synthesise, template: Template) -> None:
    template.resource_count_is("AWS::SNS::Subscription", 0)
    addresses = ("operator@example.com", "night@example.com")
    told = synthesise(replace(STAGES["dev"], alarm_addresses=addresses))
    subscriptions = properties(told, "AWS::SNS::Subscription").values()
    assert {(each["Protocol"], each["Endpoint"], target(each["TopicArn"])) for each in subscriptions} == {
        ("email", address, "OperationsTopic") for address in addresses
    }


def test_one_page_shows_what_the_alarms_watch(template: Template) -> None:
    (page,) = properties(template, "AWS::CloudWatch::Dashboard").values()
    assert page["DashboardName"] == service(template)
    body = json.dumps(page["DashboardBody"])
    shown = (
        *monitoring.HAPPENED,
        *monitoring.MONEY,
        *monitoring.CALLS,
        "WebhooksRefused",
        "PoolUse",
        "PoolExhausted",
        "Latency",
        "5xx",
        "4xx",
        "Count",
        "Throttles",
    )
    for name in (*shown, "ClockSkew", "WriteThrottleEvents", *(f"Refused_{status}" for status in monitoring.REFUSALS)):
        assert f'\\"{name}\\"' in body, name


def test_the_refusals_on_the_page_are_statuses_of_ours() -> None:
    assert monitoring.NAMESPACE == metrics.NAMESPACE
    assert set(monitoring.REFUSALS) <= {refusal.status for refusal in Refusal.__subclasses__()}


# The whole


def test_cfn_lint_finds_nothing(template: Template, tmp_path: Path) -> None:
    file = tmp_path / "template.json"
    file.write_text(json.dumps(template.to_json()))
    # W3005: the CDK itself makes a function depend on its role, which it also refers to.
    cfn_lint = str(Path(sys.executable).with_name("cfn-lint"))
    lint = [cfn_lint, "--ignore-checks", "W3005", "--template", str(file)]
    result = subprocess.run(lint, capture_output=True, text=True, check=False)
    assert (result.stdout + result.stderr, result.returncode) == ("", 0)


def test_files_that_are_not_made_for_an_hour_are_an_alarm(template: Template) -> None:
    found = alarm(template, "MinuteFailed")
    assert [target(each["Value"]) for each in found["Dimensions"] if each["Name"] == "FunctionName"] == [
        "FunctionsMinute"
    ]
    assert (found["MetricName"], found["Statistic"], found["Period"]) == ("Errors", "Sum", 3600)
    assert found["Threshold"] == monitoring.MINUTES_FAILED


def test_a_journal_that_is_late_or_sets_something_aside_is_an_alarm(template: Template) -> None:
    late, aside = alarm(template, "JournalLate"), alarm(template, "JournalSetAside")
    assert (late["MetricName"], late["Statistic"], late["Threshold"]) == ("IteratorAge", "Maximum", 60_000)
    assert [*metrics_of(aside).values()] == ours(template, "SetAside", ("journal",), "Sum", 300)
    assert aside["Threshold"] == 1


def test_pings_without_a_page_are_an_alarm(template: Template) -> None:
    found = alarm(template, "JournalSilent")
    assert [*metrics_of(found).values()] == [
        *ours(template, "Priced", monitoring.VERBS, "Sum", 60),
        *ours(template, "JournalPages", ("journal",), "Sum", 60),
    ]
    verbs = "priced_ping, priced_post, priced_full"
    assert expression(found) == f"IF(SUM([{verbs}]) > 0 AND SUM([{verbs}, pages]) <= SUM([{verbs}]), 1, 0)"
    assert (found["Threshold"], found["EvaluationPeriods"]) == (1, 2)
