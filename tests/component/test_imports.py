"""What the three functions that publishers wait for do not import: it would make their start slower."""

import subprocess
import sys

import pytest

from tests.build import SETTINGS

SLOW = ("jinja2", "itsdangerous", "pydantic", "yaml", "phonenumbers", "email_validator", "re2", "aiohttp", "boto3")


@pytest.mark.parametrize("function", ["ping", "post", "full"])
def test_a_hot_function_starts_without_what_only_pages_and_rare_leads_need(function: str) -> None:
    says = f"import sys, functions.{function}.handler; print([n for n in {SLOW!r} if n in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", says], env=SETTINGS.environment(), capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"
