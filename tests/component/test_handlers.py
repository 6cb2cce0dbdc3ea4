"""Every handler that API Gateway calls is guarded."""

import ast
from pathlib import Path

import pytest

from shared.functions import FUNCTIONS
from tools.engine import ROOT

HANDLERS = [ROOT / "functions" / function.name / "handler.py" for function in FUNCTIONS.values() if function.routes]


@pytest.mark.parametrize("path", HANDLERS, ids=lambda path: path.parent.name)
def test_every_handler_of_requests_is_guarded(path: Path) -> None:
    [handler] = [
        node
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name == "lambda_handler"
    ]
    assert [ast.unparse(each) for each in handler.decorator_list] == ["front.guard_handler(runtime.origin_secrets)"]
