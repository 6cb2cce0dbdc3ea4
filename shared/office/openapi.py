"""The operators' API described: OpenAPI 3.1, made of the table of operations and of the types they take and give."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from shared.office.rest import (
    BODY_BYTES,
    FILE,
    FILE_BYTES,
    HTTP_STATUS,
    READERS_BODY_BYTES,
    READERS_FILE_BYTES,
    ROOT,
    Operation,
)

ANY_OF = "AnyOf"
"""Before a schema's name: any of its members."""
REF = "#/components/schemas/{model}"
VERSION = {
    "type": "string",
    "description": "Of what was read: an update and a deletion must say it, here or in If-Match",
}
WARNINGS = {
    "type": "array",
    "items": {"$ref": REF.format(model="Warning")},
    "readOnly": True,
    "description": "What is valid in it and probably not meant: of the answer to a change, where there is some",
}
DESCRIPTION = f"""
Everything that operators configure, one resource at a time, by the rules of the YAML file.

Send `Authorization: Token …` with the token of a user whose role is operator (all), viewer (reads) or publisher (its
own user and tokens). A token with the scope `read` changes nothing, one with the scope `post` opens nothing here.
A resource has a `version`. An update or deletion says the version that it has seen; if that is not the current one, the
answer is 409 with what is current. Members without a value are left out. 422 names all that is wrong: `errors` has
sentences by path, in the resource, or in the whole configuration where it is elsewhere. What is valid and probably not
meant is in `warnings`.
An operator's body may have {BODY_BYTES // 1024} KB, a file {FILE_BYTES // 1024} KB;
other users' bodies {READERS_BODY_BYTES // 1024} KB, files {READERS_FILE_BYTES // 1024} KB.
Changes show within 10 seconds.
""".strip()


def document(
    operations: Sequence[Operation[Any]], parts: Mapping[str, type[BaseModel]], structs: Iterable[type]
) -> dict[str, Any]:
    """`parts` are the resources' models by the names of their schemas, `structs` all other types."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(ROOT + operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Ringpost: the operators' API", "version": "1", "description": DESCRIPTION},
        "paths": paths,
        "components": {
            "schemas": {**_of_parts(parts), **_of_structs(structs), "Problem": _problem()},
            "securitySchemes": {
                "token": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "`Token` and, after a space, a user's token",
                }
            },
        },
        "security": [{"token": []}],
    }


def _operation(operation: Operation[Any]) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    parameters += [{"name": name, "in": "query", "schema": schema} for name, schema in operation.query.items()]
    if operation.versioned:
        parameters.append({"name": "If-Match", "in": "header", "schema": VERSION})
        if operation.method == "DELETE":
            parameters.append({"name": "version", "in": "query", "schema": VERSION})
    described: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": _id(operation),
        "tags": [operation.path.split("/")[1]],
        "parameters": parameters,
        "responses": {
            str(operation.code): {"description": "Done", **_content(operation)},
            "default": {
                "description": "Not done, and why: " + ", ".join(map(str, sorted({*HTTP_STATUS.values()}))),
                "content": {"application/json": {"schema": _ref("Problem")}},
            },
        },
    }
    if operation.takes:
        described["requestBody"] = {"required": not operation.optional, "content": _taken(operation.takes)}
    if not operation.roles:
        described["security"] = []
    elif len(operation.roles) < 3:
        described["description"] = f"For {' and '.join(operation.roles)}."
    return described


def _id(operation: Operation[Any]) -> str:
    steps = [step.strip("{}") for step in operation.path.replace(".", "/").split("/") if step]
    return "_".join([operation.method.lower(), *steps])


def _content(operation: Operation[Any]) -> dict[str, Any]:
    if operation.code == 204:
        return {}
    if operation.gives == FILE:
        return {"content": {"application/yaml": {"schema": {"type": "object"}}}}
    schema: dict[str, Any] = _ref(operation.gives) if operation.gives else {"type": "object"}
    if operation.many:
        members = {
            "items": {"type": "array", "items": schema},
            "next": {"type": ["string", "null"], "description": "What to ask for `after`; null at the end"},
            "total": {"type": "integer", "description": "How many the whole list has, where it is known"},
        }
        schema = {"type": "object", "required": ["items", "next"], "properties": members}
    others = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in operation.other_types}
    return {"content": {"application/json": {"schema": schema}, **others}}


def _taken(takes: str) -> dict[str, Any]:
    if takes == FILE:
        return {"application/yaml": {"schema": {"type": "string"}}}
    if takes.startswith(ANY_OF):
        some = {"type": "object", "description": f"Any members of {takes.removeprefix(ANY_OF)}; null takes one out"}
        return {"application/merge-patch+json": {"schema": some}, "application/json": {"schema": some}}
    return {"application/json": {"schema": _ref(takes)}}


def _of_parts(parts: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """A buyer, which the file has in its offer, names it here."""
    _, made = models_json_schema([(model, "validation") for model in parts.values()], ref_template=REF)
    schemas: dict[str, Any] = made["$defs"]
    for name in parts:
        schemas[name]["properties"]["version"] = VERSION
        schemas[name]["properties"]["warnings"] = WARNINGS
    del schemas["Offer"]["properties"]["buyers"]
    schemas["Buyer"]["properties"] = {"offer": {"type": "string"}, **schemas["Buyer"]["properties"]}
    schemas["Buyer"]["required"].append("offer")
    return schemas


def _of_structs(structs: Iterable[type]) -> dict[str, Any]:
    _, made = msgspec.json.schema_components(structs, ref_template=REF.format(model="{name}"))
    return made


def _problem() -> dict[str, Any]:
    by_path = {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}}
    return {
        "type": "object",
        "required": ["status", "message"],
        "properties": {
            "status": {"type": "string", "description": "One word for programs"},
            "message": {"type": "string", "description": "A sentence for people"},
            "errors": {**by_path, "description": "Sentences by path; the empty path is the resource as a whole"},
            "current": {"type": "object", "description": "Of 409 `outdated`: what it is now"},
            "request_id": {"type": "string", "description": "Of 500: quote it"},
        },
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": REF.format(model=name)}
