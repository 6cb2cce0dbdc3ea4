"""An endpoint's contract as OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.1), with its contact fields as schemas."""

from typing import Any

import msgspec

from shared.domain.models import Field, Step
from shared.publishers.posting_instructions import COLUMNS, Guide
from shared.publishers.requests import SANDBOX

Schema = dict[str, Any]

TEXTS: dict[str, Schema] = {
    "phone": {"type": "string"},
    "email": {"type": "string", "format": "email"},
    "us_state": {"type": "string"},
    "us_zip": {"type": "string", "pattern": "^[0-9]{5}(-?[0-9]{4})?$"},
    "date": {"type": "string", "description": "1985-03-27 or 03/27/1985"},
    "integer": {"type": "integer"},
    "decimal": {"type": "number"},
    "boolean": {"type": "boolean"},
    "choice": {"type": "string"},
    "text": {"type": "string"},
}
MONEY = {"type": "number"}
PLACES: Schema = {"type": ["integer", "null"]}
COLUMN_TYPES: dict[str, Schema] = {
    "buyer_id": {"type": "integer"},
    "id": {"type": "integer"},
    "name": {"type": "string"},
    "bid": MONEY,
    "bid_price": MONEY,
    "ping_id": {"type": "string"},
    "tier": {"type": "integer"},
    "offer_conversion_payout": MONEY,
    "current_conversion_duration": {"type": "integer"},
    "forwarding_number": {"type": ["string", "null"]},
    "price": MONEY,
    "payout": MONEY,
    "offer_conversion_duplicate_timeframe": {"type": "integer"},
    "concurrency_cap_limit": PLACES,
    "concurrency_cap_available": PLACES,
}
WARNINGS: Schema = {
    "type": "object",
    "additionalProperties": {"type": "array", "items": {"type": "string"}},
    "description": "Sentences about values that could not be read and were left out, by field",
}
FAULTS = {"400": "malformed_request", "401": "unauthorized", "413": "request_too_large", "429": "rate_limited",
          "500": "internal_error", "503": "temporarily_unavailable"}  # fmt: skip


def document(guide: Guide) -> str:
    endpoint = guide.endpoint
    steps: dict[str, tuple[Step, ...]] = {"ping": ("ping",), "post": ("post",), "full": ("ping", "post")}
    return msgspec.json.format(
        msgspec.json.encode(
            {
                "openapi": "3.1.0",
                "info": {
                    "title": f"Ringpost: {endpoint.vanity_uri}",
                    "version": str(endpoint.version),
                    "description": f"Posting instructions: {guide.base}{guide.path}",
                },
                "servers": [
                    {"url": guide.base, "description": "Live: calls are sold"},
                    {"url": guide.base + SANDBOX, "description": "Sandbox: the same answers, and nothing is sold"},
                ],
                "security": _security(guide.needs_token),
                "paths": {guide.calls[verb].path: _path(guide, verb, steps[verb]) for verb in steps},
                "components": {
                    "schemas": _answers(guide) | {_named(verb): _request(guide, verb, steps[verb]) for verb in steps},
                    "securitySchemes": {
                        "token": {"type": "apiKey", "in": "header", "name": "Authorization", "description": "Token …"},
                        "basic": {"type": "http", "scheme": "basic", "description": "The token as password"},
                    },
                },
            }
        ),
        indent=2,
    ).decode()


def _security(required: bool) -> list[Schema]:
    return [{"token": []}, {"basic": []}, *([] if required else [{}])]


def _named(verb: str) -> str:
    return f"{verb.capitalize()}Request"


def _path(guide: Guide, verb: str, steps: tuple[Step, ...]) -> Schema:
    schema = {"$ref": f"#/components/schemas/{_named(verb)}"}
    request = _request(guide, verb, steps)
    parameters = [
        {"name": name, "in": "query", "schema": part, "required": name in request.get("required", ())}
        for name, part in request["properties"].items()
    ]
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "schema": {"type": "string"},
        "description": "The same key and lead are one sale",
    }
    headers = [] if verb == "ping" else [key]
    responses = _responses(guide, verb)
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    return {
        "get": {"operationId": f"{verb}_by_query", "parameters": [*parameters, *headers], "responses": responses},
        "post": {"operationId": verb, "parameters": headers, "requestBody": body, "responses": responses},
    }


def _responses(guide: Guide, verb: str) -> Schema:
    def answer(description: str, *schemas: str) -> Schema:
        refs = [{"$ref": f"#/components/schemas/{name}"} for name in schemas]
        schema = refs[0] if len(refs) == 1 else {"anyOf": refs}
        return {"description": description, "content": {"application/json": {"schema": schema}}}

    fields = "FieldErrors" if guide.endpoint.field_errors == "by_field" else "Refusal"
    return {
        "200": answer("An answer, or a refusal with success false", f"{verb.capitalize()}Answer", "Refusal"),
        "422": answer("Fields that are missing or not valid", fields),
        **{code: answer(status, "Refusal") for code, status in FAULTS.items()},
    }


def _request(guide: Guide, verb: str, steps: tuple[Step, ...]) -> Schema:
    endpoint = guide.endpoint
    documented = {row.name for row in guide.rows}
    properties: Schema = {field.name: _property(field) for field in endpoint.fields if field.name in documented}
    controls = {"auth_token": {"type": "string", "description": "Where no Authorization header is sent"}}
    required = [field.name for field in endpoint.fields if field.name in documented and {*steps} & {*field.required_on}]
    if endpoint.require_caller_id and "caller_id" not in required:
        required.append("caller_id")
    if verb == "post":
        controls["ping_id"] = {"type": "string", "description": "Of a buyer, or try_all_buyers_ping_id"}
        controls["buyer_id"] = {"type": "string", "description": "The buyer of the ping_id"}
        required = [*required, "ping_id"] if guide.tracking.needs_ping_id else required
    return {
        "type": "object",
        "properties": properties | controls,
        **({"required": required} if required else {}),
        "additionalProperties": True,
    }


def _property(field: Field) -> Schema:
    made = TEXTS[field.type] | ({"description": field.description} if field.description else {})
    if field.choices:
        made["enum"] = list(field.choices)
    for key, text in (("minimum", field.minimum), ("maximum", field.maximum)):
        if text:
            made[key] = msgspec.json.decode(text)
    if field.type == "text":
        made |= {"maxLength": field.max_length} | ({"minLength": field.min_length} if field.min_length else {})
    if field.pattern:
        made["pattern"] = f"^(?:{field.pattern})$"
    return made


def _answers(guide: Guide) -> dict[str, Schema]:
    texts, text = {"type": "array", "items": {"type": "string"}}, {"type": "string"}
    success: Schema = {
        "success": {"type": "boolean"},
        "status": {"type": "string", "enum": [guide.endpoint.success_status]},
        "errors": texts,
        "sandbox": {"type": "boolean", "description": "Only in the sandbox"},
        "warnings": WARNINGS,
    }
    try_all = {"type": "object", "properties": {"ping_id": text}, "required": ["ping_id"]}
    columns = guide.endpoint.columns
    row: Schema = {column: COLUMN_TYPES[column] | {"description": COLUMNS[column]} for column in columns}
    auction: Schema = {
        "try_all_buyers_ping_id": text,
        "try_all_buyers": try_all,
        "buyers": {"type": "array", "items": {"$ref": "#/components/schemas/Buyer"}},
    }
    sale: Schema = {
        "trackdrive_number": {"type": "string", "description": "Connect the caller to this number"},
        "forwarding_number": text,
        "forwarding_number_status": text,
        "buyer_name": text,
        "buyer_id": {"type": "integer"},
        "number_expires_at": {"type": "string", "format": "date-time"},
    }
    expiry: Schema = {"ping_ids_expiry_in_seconds": {"type": "integer"}}
    return {
        "Buyer": _object(row),
        "PingAnswer": _object(success | auction | expiry),
        "PostAnswer": _object(success | sale),
        "FullAnswer": _object(success | auction | sale),
    } | _refusals(guide)


def _refusals(guide: Guide) -> dict[str, Schema]:
    texts, text = {"type": "array", "items": {"type": "string"}}, {"type": "string"}
    return {
        "Refusal": {
            "type": "object",
            "properties": {
                "success": {"type": "boolean"},
                "status": {"type": "string", "enum": [status for status, *_ in guide.refusals if status != "422"]},
                "errors": texts,
                "buyers": {"type": "array", "items": {"type": "object"}, "maxItems": 0},
                "retry_after_seconds": {"type": "integer"},
                "request_id": text,
                "sandbox": {"type": "boolean"},
            },
            "required": ["success", "status", "errors", "buyers"],
        },
        "FieldErrors": {
            "type": "object",
            "properties": {
                "status": {"type": "integer", "enum": [422]},
                "success": {"type": "boolean"},
                "errors": {"type": "object", "additionalProperties": texts},
            },
            "required": ["status", "success", "errors"],
        },
    }


def _object(properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in ("sandbox", "warnings")],
    }
