"""Example requests in the languages of publishers' developers: text that runs as it is."""

import json
import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

LANGUAGES = {"curl": "curl", "python": "Python", "javascript": "JavaScript", "php": "PHP", "get": "GET URL"}


def in_all_languages(url: str, values: Mapping[str, Any]) -> dict[str, str]:
    """The same request in each of `LANGUAGES`."""
    return {
        "curl": _curl(url, values),
        "python": _python(url, values),
        "javascript": _javascript(url, values),
        "php": _php(url, values),
        "get": f"{url}?{urlencode({name: _plain(value) for name, value in values.items()})}",
    }


def _curl(url: str, values: Mapping[str, Any]) -> str:
    body = shlex.quote(json.dumps(values, indent=2, ensure_ascii=False))
    return f"curl -X POST {shlex.quote(url)} \\\n  -H 'Content-Type: application/json' \\\n  -d {body}"


def _python(url: str, values: Mapping[str, Any]) -> str:
    sent = "".join(f"    {name!r}: {value!r},\n" for name, value in values.items())
    return (
        f"import requests\n\nanswer = requests.post({url!r}, timeout=10, json={{\n{sent}}}).json()\n"
        "print(answer['status'], answer)"
    )


def _javascript(url: str, values: Mapping[str, Any]) -> str:
    sent = json.dumps(values, indent=2, ensure_ascii=False).replace("\n", "\n  ")
    return (
        f"const response = await fetch({json.dumps(url)}, {{\n"
        "  method: 'POST',\n"
        "  headers: {'Content-Type': 'application/json'},\n"
        f"  body: JSON.stringify({sent}),\n"
        "});\n"
        "const answer = await response.json();\n"
        "console.log(answer.status, answer);"
    )


def _php(url: str, values: Mapping[str, Any]) -> str:
    sent = "".join(f"        {_php_text(name)} => {_php_value(value)},\n" for name, value in values.items())
    return (
        f"<?php\n$request = curl_init({_php_text(url)});\n"
        "curl_setopt_array($request, [\n"
        "    CURLOPT_RETURNTRANSFER => true,\n"
        "    CURLOPT_TIMEOUT => 10,\n"
        "    CURLOPT_HTTPHEADER => ['Content-Type: application/json'],\n"
        f"    CURLOPT_POSTFIELDS => json_encode([\n{sent}    ]),\n"
        "]);\n"
        "$answer = json_decode(curl_exec($request), true);\n"
        "echo $answer['status'];"
    )


def _php_value(value: Any) -> str:
    return _php_text(value) if isinstance(value, str) else json.dumps(value)


def _php_text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
