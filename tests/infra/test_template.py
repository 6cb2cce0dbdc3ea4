"""What CloudFormation is told. Names of resources are their path in the stack: `TablesConfig`, `FunctionsPing`."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aws_cdk.assertions import Template

from shared.settings import Settings, read

FUNCTIONS = ("Ping", "Post", "Full")
TABLES = ("Config", "Pings", "Leases")


def resources(template: Template, kind: str) -> dict[str, Any]:
    """By name; the last eight characters of a logical id are a hash."""
    return {logical_id[:-8]: resource for logical_id, resource in template.find_resources(kind).items()}


def properties(template: Template, kind: str) -> dict[str, Any]:
    return {name: resource.get("Properties", {}) for name, resource in resources(template, kind).items()}


def target(value: Any) -> str:
    """The name of the resource that a `Ref` or the `Arn` of a `Fn::GetAtt` leads to."""
    logical_id: str = value["Ref"] if "Ref" in value else value["Fn::GetAtt"][0]
    return logical_id[:-8]


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
                    of_role.setdefault(target(resource), set()).update(listed(statement["Action"]))
    return found


# The tables


def test_there_are_three_tables_and_each_is_encrypted_on_demand_and_recoverable_to_any_second(
    template: Template,
) -> None:
    assert set(resources(template, "AWS::DynamoDB::Table")) == {f"Tables{name}" for name in TABLES}
    template.all_resources_properties(
        "AWS::DynamoDB::Table",
        {
            "BillingMode": "PAY_PER_REQUEST",
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
            "SSESpecification": {"SSEEnabled": True},
        },
    )


def test_production_keeps_its_tables_and_its_logs_whatever_happens_to_the_stack(prod: Template) -> None:
    prod.all_resources_properties("AWS::DynamoDB::Table", {"DeletionProtectionEnabled": True})
    for kind in ("AWS::DynamoDB::Table", "AWS::Logs::LogGroup"):
        prod.all_resources(kind, {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"})


def test_the_keys_are_those_that_the_store_writes(template: Template) -> None:
    tables = properties(template, "AWS::DynamoDB::Table")
    by_pk_and_sk = ([("pk", "HASH"), ("sk", "RANGE")], {"pk": "S", "sk": "S"})
    for name, expected in {
        "TablesConfig": by_pk_and_sk,
        "TablesLeases": by_pk_and_sk,
        "TablesPings": ([("ping_id", "HASH")], {"ping_id": "B"}),
    }.items():
        table = tables[name]
        schema = [(key["AttributeName"], key["KeyType"]) for key in table["KeySchema"]]
        types = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}
        assert (schema, types) == expected


def test_only_pings_are_swept_away(template: Template) -> None:
    tables = properties(template, "AWS::DynamoDB::Table")
    assert {name: table.get("TimeToLiveSpecification") for name, table in tables.items()} == {
        "TablesConfig": None,
        "TablesLeases": None,
        "TablesPings": {"AttributeName": "delete_at", "Enabled": True},
    }


# The functions


def test_a_function_is_dead_before_its_claim_can_be_taken_over(template: Template) -> None:
    template.all_resources_properties("AWS::Lambda::Function", {"Timeout": 9})


def test_the_functions_run_on_what_their_bundle_is_built_for(template: Template) -> None:
    template.all_resources_properties(
        "AWS::Lambda::Function", {"Runtime": "python3.13", "Architectures": ["arm64"], "MemorySize": 512}
    )
    functions = properties(template, "AWS::Lambda::Function")
    assert {name: function["Handler"] for name, function in functions.items()} == {
        f"Functions{name}": f"functions.{name.lower()}.handler.lambda_handler" for name in FUNCTIONS
    }
    assert len({json.dumps(function["Code"]) for function in functions.values()}) == 1


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_environment_is_what_the_settings_read_and_the_name_in_the_logs(template: Template, name: str) -> None:
    variables = properties(template, "AWS::Lambda::Function")[f"Functions{name}"]["Environment"]["Variables"]
    environment = {key: value if isinstance(value, str) else target(value) for key, value in variables.items()}
    settings = Settings(
        config_table="TablesConfig", pings_table="TablesPings", leases_table="TablesLeases", secret_arn="Secret"
    )
    assert read(environment) == settings
    assert environment == settings.environment() | {"POWERTOOLS_SERVICE_NAME": "ringpost"}


def test_every_log_ends_some_day(template: Template) -> None:
    logs = properties(template, "AWS::Logs::LogGroup")
    assert set(logs) == {"ApiAccessLog", *(f"Functions{name}Log" for name in FUNCTIONS)}
    assert all(log["RetentionInDays"] > 0 for log in logs.values())
    functions = properties(template, "AWS::Lambda::Function")
    assert {name: target(function["LoggingConfig"]["LogGroup"]) for name, function in functions.items()} == {
        f"Functions{name}": f"Functions{name}Log" for name in FUNCTIONS
    }


def test_the_secret_is_generated_and_outlives_the_stack(template: Template) -> None:
    secrets = resources(template, "AWS::SecretsManager::Secret")
    assert set(secrets) == {"Secret"}
    assert secrets["Secret"]["Properties"]["GenerateSecretString"]["PasswordLength"] >= 64
    assert "SecretString" not in secrets["Secret"]["Properties"]
    assert secrets["Secret"]["DeletionPolicy"] == secrets["Secret"]["UpdateReplacePolicy"] == "Retain"


# The grants

OF_A_SELLER = {
    "TablesConfig": {"dynamodb:GetItem", "dynamodb:BatchGetItem"},
    "TablesPings": {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"},
    "TablesLeases": {"dynamodb:BatchGetItem", "dynamodb:UpdateItem"},
    "Secret": {"secretsmanager:GetSecretValue"},
}
OF_PING = {
    "TablesConfig": {"dynamodb:GetItem", "dynamodb:BatchGetItem"},
    "TablesPings": {"dynamodb:PutItem"},
    "Secret": {"secretsmanager:GetSecretValue"},
}


def test_each_function_may_do_what_it_does_and_nothing_else(template: Template) -> None:
    write_its_log = {"logs:CreateLogStream", "logs:PutLogEvents"}
    assert grants(template) == {
        "FunctionsPingRole": OF_PING | {"FunctionsPingLog": write_its_log},
        "FunctionsPostRole": OF_A_SELLER | {"FunctionsPostLog": write_its_log},
        "FunctionsFullRole": OF_A_SELLER | {"FunctionsFullLog": write_its_log},
    }


def test_ping_cannot_touch_the_rings(template: Template) -> None:
    assert "TablesLeases" not in grants(template)["FunctionsPingRole"]


def test_no_function_may_delete_or_scan(template: Template) -> None:
    actions = {action for role in grants(template).values() for actions in role.values() for action in actions}
    assert not [action for action in actions if re.search(r"Delete|Scan|Query|\*", action)]


def test_nothing_is_granted_but_by_these_policies(template: Template) -> None:
    functions = properties(template, "AWS::Lambda::Function")
    assert {name: target(function["Role"]) for name, function in functions.items()} == {
        f"Functions{name}": f"Functions{name}Role" for name in FUNCTIONS
    }
    roles = properties(template, "AWS::IAM::Role")
    assert set(roles) == {f"Functions{name}Role" for name in FUNCTIONS}
    assert all(set(role) == {"AssumeRolePolicyDocument"} for role in roles.values())
    template.resource_count_is("AWS::IAM::ManagedPolicy", 0)
    template.all_resources_properties(
        "AWS::Lambda::Permission", {"Action": "lambda:InvokeFunction", "Principal": "apigateway.amazonaws.com"}
    )


# The API


def test_each_route_leads_to_its_function_and_all_the_rest_to_ping(template: Template) -> None:
    integrations = template.find_resources("AWS::ApiGatewayV2::Integration")
    routes = {}
    for route in properties(template, "AWS::ApiGatewayV2::Route").values():
        integration = integrations[route["Target"]["Fn::Join"][1][1]["Ref"]]["Properties"]
        assert integration["PayloadFormatVersion"] == "2.0"
        routes[route["RouteKey"]] = target(integration["IntegrationUri"])
    assert routes == {
        "ANY /api/v1/inbound_webhooks/ping/{path+}": "FunctionsPing",
        "ANY /api/v1/inbound_webhooks/post/{path+}": "FunctionsPost",
        "ANY /api/v1/inbound_webhooks/full/{path+}": "FunctionsFull",
        "$default": "FunctionsPing",
    }


def test_the_functions_alone_answer_cors(template: Template) -> None:
    assert [set(api) for api in properties(template, "AWS::ApiGatewayV2::Api").values()] == [{"Name", "ProtocolType"}]


def test_the_one_stage_leaves_the_path_alone_and_is_throttled(template: Template) -> None:
    (stage,) = properties(template, "AWS::ApiGatewayV2::Stage").values()
    assert stage["StageName"] == "$default"
    assert stage["AutoDeploy"] is True
    assert stage["DefaultRouteSettings"]["ThrottlingRateLimit"] > 0
    assert stage["DefaultRouteSettings"]["ThrottlingBurstLimit"] > 0


def test_the_access_log_is_json_and_says_nothing_of_the_lead(template: Template) -> None:
    (stage,) = properties(template, "AWS::ApiGatewayV2::Stage").values()
    assert target(stage["AccessLogSettings"]["DestinationArn"]) == "ApiAccessLog"
    line = json.loads(stage["AccessLogSettings"]["Format"])
    assert line["requestId"] == "$context.requestId"
    assert not re.search(r"query|body|header|identity|\.integration\.", " ".join(line.values()), re.IGNORECASE)


def test_the_outputs_are_what_an_operator_asks_for(template: Template) -> None:
    assert set(template.find_outputs("*")) == {"Url", "ConfigTable", "PingsTable", "LeasesTable", "SecretArn"}


# The whole


def test_cfn_lint_finds_nothing(template: Template, tmp_path: Path) -> None:
    file = tmp_path / "template.json"
    file.write_text(json.dumps(template.to_json()))
    # W3005: the CDK itself makes a function depend on its role, which it also refers to.
    cfn_lint = str(Path(sys.executable).with_name("cfn-lint"))
    lint = [cfn_lint, "--ignore-checks", "W3005", "--template", str(file)]
    result = subprocess.run(lint, capture_output=True, text=True, check=False)
    assert (result.stdout + result.stderr, result.returncode) == ("", 0)
