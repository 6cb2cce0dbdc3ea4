"""What functions do not import, because it would make their start slower: those that publishers wait for, and the
dashboard's."""

import subprocess
import sys

import pytest

from tests.build import SETTINGS

SIGNING = ("authlib", "cryptography", "joserfc")
SLOW = ("jinja2", "itsdangerous", "pydantic", "yaml", "phonenumbers", "email_validator", "re2", "aiohttp", "boto3",
        "shared.operators", "shared.store.versions")  # fmt: skip


@pytest.mark.parametrize("function", ["ping", "post", "full"])
def test_a_hot_function_starts_without_what_only_pages_and_rare_leads_need(function: str) -> None:
    assert imported(function, (*SLOW, *SIGNING)) == "[]"


def test_the_dashboard_starts_without_what_only_signing_in_needs() -> None:
    assert imported("dashboard", SIGNING) == "[]"


def imported(function: str, names: tuple[str, ...]) -> str:
    says = f"import sys, functions.{function}.handler; print([n for n in {names!r} if n in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", says], env=SETTINGS.environment(), capture_output=True, text=True, check=True
    )
    return run.stdout.strip()
