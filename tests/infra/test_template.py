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

from infra import operations
from infra.stages import STAGES, Domain, Throttle
from shared.domain.refusals import Refusal
from shared.edge import metrics
from shared.schema import PINGS
from shared.settings import Settings, read
from tests.infra.conftest import Synthesise

ANY_SECRET = re.compile(r"(?<!Buyer)(?<!SignIn)Secret[0-9A-F]{8}")
DOMAIN = "SignInPoolDomain"
PUBLISHERS_CALL, UNCOUNTED = ("Ping", "Post", "Full"), ("Sandbox", "Instructions")
FUNCTIONS = (*PUBLISHERS_CALL, *UNCOUNTED, "Api", "Dashboard", "Hourly")
TABLES = ("Config", "Pings", "Leases", "Callers", "Journal")


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


def test_there_are_five_tables_and_each_is_encrypted_on_demand_and_recoverable_to_any_second(
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


def test_production_keeps_tables_logs_and_older_versions_whatever_happens_to_the_stack(prod: Template) -> None:
    prod.all_resources_properties("AWS::DynamoDB::Table", {"DeletionProtectionEnabled": True})
    for kind in ("AWS::DynamoDB::Table", "AWS::Logs::LogGroup", "AWS::Lambda::Version"):
        prod.all_resources(kind, {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"})


def test_of_a_development_stage_nothing_stays_but_the_secret(templates: dict[str, Template]) -> None:
    dev = templates["dev"]
    dev.all_resources_properties("AWS::DynamoDB::Table", {"DeletionProtectionEnabled": False})
    for name, resource in dev.to_json()["Resources"].items():
        assert resource.get("DeletionPolicy", "Delete").startswith("Retain") == name.startswith("Secret"), name


def test_the_keys_are_those_that_the_store_writes(template: Template) -> None:
    tables = properties(template, "AWS::DynamoDB::Table")
    by_pk_and_sk = ([("pk", "HASH"), ("sk", "RANGE")], {"pk": "S", "sk": "S"})
    for name, expected in {
        "TablesConfig": by_pk_and_sk,
        "TablesLeases": by_pk_and_sk,
        "TablesPings": ([("ping_id", "HASH")], {"ping_id": "B"}),
        "TablesCallers": ([("caller", "HASH")], {"caller": "B"}),
        "TablesJournal": by_pk_and_sk,
    }.items():
        schema = [(key["AttributeName"], key["KeyType"]) for key in tables[name]["KeySchema"]]
        types = {each["AttributeName"]: each["AttributeType"] for each in tables[name]["AttributeDefinitions"]}
        assert (schema, {key: types[key] for key, _ in schema}) == expected


def test_the_indexes_are_those_that_the_local_run_makes(template: Template) -> None:
    tables = properties(template, "AWS::DynamoDB::Table")
    found = {index["IndexName"]: index for index in tables["TablesPings"]["GlobalSecondaryIndexes"]}
    assert set(found) == set(PINGS.indexes)
    for name, index in PINGS.indexes.items():
        assert [key["AttributeName"] for key in found[name]["KeySchema"]] == [*index.keys]
        assert found[name]["Projection"].get("NonKeyAttributes", []) == [*index.projected]
    assert not [name for name, table in tables.items() if "GlobalSecondaryIndexes" in table and name != "TablesPings"]


def test_pings_and_what_is_known_of_callers_are_swept_away(template: Template) -> None:
    tables = properties(template, "AWS::DynamoDB::Table")
    assert {name: table.get("TimeToLiveSpecification") for name, table in tables.items()} == {
        "TablesConfig": None,
        "TablesLeases": None,
        "TablesPings": {"AttributeName": "delete_at", "Enabled": True},
        "TablesCallers": {"AttributeName": "delete_at", "Enabled": True},
        "TablesJournal": {"AttributeName": "delete_at", "Enabled": True},
    }


# The functions


def test_a_function_is_dead_before_its_claim_can_be_taken_over(template: Template) -> None:
    timeouts = {name: function["Timeout"] for name, function in properties(template, "AWS::Lambda::Function").items()}
    others = {"FunctionsApi": 29, "FunctionsDashboard": 29, "FunctionsHourly": 900}
    assert timeouts == dict.fromkeys((f"Functions{name}" for name in FUNCTIONS), 9) | others


def test_the_functions_run_on_what_their_bundle_is_built_for(template: Template) -> None:
    template.all_resources_properties("AWS::Lambda::Function", {"Runtime": "python3.13", "Architectures": ["arm64"]})
    functions = properties(template, "AWS::Lambda::Function")
    assert {name: function["Handler"] for name, function in functions.items()} == {
        f"Functions{name}": f"functions.{name.lower()}.handler.lambda_handler" for name in FUNCTIONS
    }
    keys = {name: function["Code"]["S3Key"] for name, function in functions.items()}
    whole = {name for name, key in keys.items() if key == keys["FunctionsApi"]}
    assert whole == {"FunctionsApi", "FunctionsDashboard", "FunctionsHourly"}
    assert len(set(keys.values())) == 2


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
    template = synthesise(replace(STAGES["dev"], memory_mb=1024, snap_start=True))
    template.all_resources_properties(
        "AWS::Lambda::Function", {"MemorySize": 1024, "SnapStart": {"ApplyOn": "PublishedVersions"}}
    )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_environment_is_what_the_settings_read_and_the_name_in_the_logs(template: Template, name: str) -> None:
    variables = properties(template, "AWS::Lambda::Function")[f"Functions{name}"]["Environment"]["Variables"]
    environment = {key: written(value) for key, value in variables.items()}
    settings = Settings(
        config_table="TablesConfig",
        pings_table="TablesPings",
        leases_table="TablesLeases",
        callers_table="TablesCallers",
        journal_table="TablesJournal",
        secret_arn="Secret",
        buyer_secrets_arn="BuyerSecrets",
    )
    if name == "Dashboard":
        settings = replace(
            settings,
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


def test_the_secret_is_generated_and_outlives_the_stack(template: Template) -> None:
    secrets = resources(template, "AWS::SecretsManager::Secret")
    assert set(secrets) == {"Secret", "BuyerSecrets", "SignInSecret"}
    assert secrets["BuyerSecrets"]["Properties"]["SecretString"] == "{}"  # it is filled by hand
    assert secrets["Secret"]["Properties"]["GenerateSecretString"]["PasswordLength"] >= 64
    assert "SecretString" not in secrets["Secret"]["Properties"]
    assert (secrets["Secret"]["DeletionPolicy"], secrets["Secret"]["UpdateReplacePolicy"]) == (
        "RetainExceptOnCreate",  # of a first deployment that failed nothing is left
        "Retain",
    )


# The grants

OF_A_SELLER = {
    "TablesConfig": {"dynamodb:GetItem", "dynamodb:BatchGetItem"},
    "TablesPings": {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"},
    "TablesLeases": {"dynamodb:BatchGetItem", "dynamodb:UpdateItem"},
    "TablesCallers": {"dynamodb:BatchGetItem", "dynamodb:UpdateItem"},
    "TablesJournal": {"dynamodb:UpdateItem"},
    "Secret": {"secretsmanager:GetSecretValue"},
    "BuyerSecrets": {"secretsmanager:GetSecretValue"},
}
OF_THE_SANDBOX = {
    "TablesConfig": {"dynamodb:GetItem", "dynamodb:BatchGetItem"},
    "TablesPings": {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"},
    "TablesLeases": {"dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"},
    "TablesCallers": {"dynamodb:UpdateItem"},
    "Secret": {"secretsmanager:GetSecretValue"},
}
OF_INSTRUCTIONS = {
    "TablesConfig": {"dynamodb:GetItem", "dynamodb:BatchGetItem"},
    "TablesPings": {"dynamodb:GetItem"},
    "Secret": {"secretsmanager:GetSecretValue"},
}
OF_PING = {
    "TablesConfig": {"dynamodb:GetItem", "dynamodb:BatchGetItem"},
    "TablesPings": {"dynamodb:GetItem", "dynamodb:PutItem"},
    "TablesLeases": {"dynamodb:BatchGetItem"},
    "TablesCallers": {"dynamodb:BatchGetItem", "dynamodb:UpdateItem"},
    "TablesJournal": {"dynamodb:UpdateItem"},
    "Secret": {"secretsmanager:GetSecretValue"},
    "BuyerSecrets": {"secretsmanager:GetSecretValue"},
}
OF_THE_HOURLY = {
    "TablesConfig": {"dynamodb:GetItem", "dynamodb:Query"},
    "TablesPings": {"dynamodb:GetItem", "dynamodb:UpdateItem"},
    "TablesPings/index/by_log": {"dynamodb:Query"},
    "TablesPings/index/by_buyer": {"dynamodb:Query"},
    "TablesLeases": {"dynamodb:BatchGetItem", "dynamodb:UpdateItem"},
    "TablesJournal": {"dynamodb:GetItem", "dynamodb:PutItem"},
    "Secret": {"secretsmanager:GetSecretValue"},
}


OF_THE_API = {
    "TablesConfig": {
        "dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:PutItem",
        "dynamodb:BatchWriteItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem",
    },
    "TablesPings": {"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"},
    "TablesPings/index/by_log": {"dynamodb:Query"},
    "TablesPings/index/by_caller": {"dynamodb:Query"},
    "TablesPings/index/by_buyer": {"dynamodb:Query"},
    "TablesLeases": {"dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"},
    "TablesCallers": {
        "dynamodb:BatchGetItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"
    },
    "Secret": {"secretsmanager:GetSecretValue"},
}  # fmt: skip


OF_THE_DASHBOARD = OF_THE_API | {
    "TablesJournal": {"dynamodb:Query"},
    "SignInSecret": {"secretsmanager:GetSecretValue"},
}


def test_each_function_may_do_what_it_does_and_nothing_else(template: Template) -> None:
    write_its_log = {"logs:CreateLogStream", "logs:PutLogEvents"}
    traces = {"*": {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}}
    assert grants(template) == {
        "FunctionsPingRole": OF_PING | traces | {"FunctionsPingLog": write_its_log},
        "FunctionsPostRole": OF_A_SELLER | traces | {"FunctionsPostLog": write_its_log},
        "FunctionsFullRole": OF_A_SELLER | traces | {"FunctionsFullLog": write_its_log},
        "FunctionsSandboxRole": OF_THE_SANDBOX | traces | {"FunctionsSandboxLog": write_its_log},
        "FunctionsInstructionsRole": OF_INSTRUCTIONS | traces | {"FunctionsInstructionsLog": write_its_log},
        "FunctionsApiRole": OF_THE_API | traces | {"FunctionsApiLog": write_its_log},
        "FunctionsDashboardRole": OF_THE_DASHBOARD | traces | {"FunctionsDashboardLog": write_its_log},
        "FunctionsHourlyRole": OF_THE_HOURLY | traces | {"FunctionsHourlyLog": write_its_log},
    }


def test_ping_cannot_touch_the_rings(template: Template) -> None:
    assert grants(template)["FunctionsPingRole"]["TablesLeases"] == {"dynamodb:BatchGetItem"}


def test_no_function_may_scan_and_none_of_publishers_may_query_or_delete(template: Template) -> None:
    office = dict.fromkeys(("FunctionsApiRole", "FunctionsDashboardRole"), r"Scan|\*")
    never = office | {"FunctionsHourlyRole": r"Delete|Scan|\*"}
    for role, granted in grants(template).items():
        forbidden = never.get(role, r"Delete|Scan|Query|\*")
        assert not [action for actions in granted.values() for action in actions if re.search(forbidden, action)]


def test_the_hourly_function_comes_every_hour(template: Template) -> None:
    [rule] = properties(template, "AWS::Events::Rule").values()
    [of_rule] = rule["Targets"]
    assert (rule["ScheduleExpression"], rule["State"]) == ("rate(1 hour)", "ENABLED")
    assert invoked(of_rule["Arn"], template) == "FunctionsHourly"


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
        hourly = invoked(permission["FunctionName"], template) == "FunctionsHourly"
        principal = "events.amazonaws.com" if hourly else "apigateway.amazonaws.com"
        assert (permission["Action"], permission["Principal"]) == ("lambda:InvokeFunction", principal)


# The API


def test_each_route_leads_to_its_function_and_all_the_rest_to_ping(template: Template) -> None:
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
        "ANY /sandbox/{path+}": "FunctionsSandbox",
        "ANY /posting_instructions/{path+}": "FunctionsInstructions",
        "ANY /api/v1/inbound_webhooks/{path+}": "FunctionsPing",
        "ANY /api/v1/{path+}": "FunctionsApi",
        "ANY /dashboard": "FunctionsDashboard",
        "ANY /dashboard/{path+}": "FunctionsDashboard",
        "$default": "FunctionsPing",
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
        ["ANY /api/v1/inbound_webhooks/{path+}", "ANY /sandbox/{path+}", "ANY /posting_instructions/{path+}"],
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
    assert set(template.find_outputs("*")) == {
        "Url",
        "DashboardUrl",
        "UserPoolId",
        "ConfigTable",
        "PingsTable",
        "LeasesTable",
        "CallersTable",
        "JournalTable",
        "SecretArn",
        "BuyerSecretsArn",
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
    "Errors", "Slow", "Throttled", "TablesThrottled", "PoolNearlyFull", "PoolExhausted", "NoSales", "HourlyFailed"
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
    assert watched == ("AWS/ApiGateway", "5xx", "Sum", operations.ERRORS)
    assert [(each["Name"], target(each["Value"])) for each in found["Dimensions"]] == [("ApiId", "ApiHttp")]


def test_the_slowest_of_what_publishers_wait_for_is_watched(template: Template) -> None:
    found = alarm(template, "Slow")
    metrics = metrics_of(found).values()
    assert {(each["dimensions"]["function"], each["name"], each["statistic"]) for each in metrics} == {
        (verb, "Latency", "p99") for verb in ("ping", "post", "full")
    }
    assert (expression(found), found["Threshold"]) == ("MAX(METRICS())", operations.P99_MS)


@pytest.mark.parametrize(
    ("name", "dimension", "watched"),
    [
        ("Throttled", "FunctionName", {(f"Functions{name}", "Throttles") for name in FUNCTIONS if name != "Hourly"}),
        (
            "TablesThrottled",
            "TableName",
            {(f"Tables{name}", event) for name in TABLES for event in ("ReadThrottleEvents", "WriteThrottleEvents")},
        ),
    ],
)
def test_a_call_that_lambda_or_dynamodb_throttles_is_an_alarm(
    template: Template, name: str, dimension: str, watched: set[tuple[str, str]]
) -> None:
    found = alarm(template, name)
    metrics = metrics_of(found).values()
    assert {(target(each["dimensions"][dimension]), each["name"]) for each in metrics} == watched
    assert {each["statistic"] for each in metrics} == {"Sum"}
    assert (expression(found), found["Threshold"]) == ("SUM(METRICS())", 1)


def test_a_pool_that_fills_up_is_an_alarm_before_it_is_exhausted(template: Template) -> None:
    found = alarm(template, "PoolNearlyFull")
    assert [*metrics_of(found).values()] == ours(template, "PoolUse", ("post", "full"), "p90", 300)
    assert (expression(found), found["Threshold"]) == ("MAX(METRICS())", 75)


def test_an_exhausted_pool_is_an_alarm_at_once(template: Template) -> None:
    found = alarm(template, "PoolExhausted")
    assert [*metrics_of(found).values()] == ours(template, "PoolExhausted", operations.VERBS, "Sum", 300)
    assert (expression(found), found["Threshold"], found["EvaluationPeriods"]) == ("SUM(METRICS())", 1, 1)


def test_pings_of_which_none_is_sold_are_an_alarm(template: Template) -> None:
    found = alarm(template, "NoSales")
    watched = metrics_of(found)
    pings, sales = ([name for name in watched if name.startswith(kind)] for kind in ("pings", "sales"))
    assert [watched[name] for name in pings] == ours(template, "Pings", operations.VERBS, "Sum", 3600)
    assert [watched[name] for name in sales] == ours(template, "Sales", operations.VERBS, "Sum", 3600)
    assert expression(found) == f"IF(SUM([{', '.join(pings)}]) >= 20 AND SUM([{', '.join(sales)}]) < 1, 1, 0)"
    assert found["Threshold"] == 1


def test_alarms_may_write_to_the_topic_and_nothing_may_without_tls(template: Template) -> None:
    (policy,) = properties(template, "AWS::SNS::TopicPolicy").values()
    deny, allow = sorted(policy["PolicyDocument"]["Statement"], key=lambda statement: statement["Effect"], reverse=True)
    assert allow["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
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
    shown = ("Pings", "Bids", "Sales", "PoolUse", "PoolExhausted", "Latency", "5xx", "4xx", "Count", "Throttles")
    for name in (*shown, "WriteThrottleEvents", *(f"Refused_{status}" for status in operations.REFUSALS)):
        assert f'\\"{name}\\"' in body, name


def test_the_refusals_on_the_page_are_statuses_of_ours() -> None:
    assert operations.NAMESPACE == metrics.NAMESPACE
    assert set(operations.REFUSALS) <= {refusal.status for refusal in Refusal.__subclasses__()}


# The whole


def test_cfn_lint_finds_nothing(template: Template, tmp_path: Path) -> None:
    file = tmp_path / "template.json"
    file.write_text(json.dumps(template.to_json()))
    # W3005: the CDK itself makes a function depend on its role, which it also refers to.
    cfn_lint = str(Path(sys.executable).with_name("cfn-lint"))
    lint = [cfn_lint, "--ignore-checks", "W3005", "--template", str(file)]
    result = subprocess.run(lint, capture_output=True, text=True, check=False)
    assert (result.stdout + result.stderr, result.returncode) == ("", 0)
