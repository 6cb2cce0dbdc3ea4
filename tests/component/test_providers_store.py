"""The accounts at telephony providers, as the function that takes calls reads them."""

import pytest

from shared import configuration
from shared.domain.models import Provider
from shared.store.dynamo import Dynamo
from shared.store.providers import PROVIDER_SECONDS, Memory, Providers
from shared.store.records import Records
from tests.build import KEYS, SETTINGS, START, Counting, Stage
from tests.configurations import Plain, a_document, a_provider, a_ring_pool, an_endpoint

MAIN = Provider("main", "twilio", f"AC{0:032}", ("main",))


@pytest.fixture
def counting(stage: Stage) -> Counting:
    return Counting(stage.client, SETTINGS)


@pytest.fixture
def providers(counting: Counting) -> Providers:
    return Providers(counting, Memory())


def apply(stage: Stage, *listed: Plain, **overrides: object) -> None:
    records = Records(Dynamo(stage.client, SETTINGS), KEYS, stage.clock)
    wanted = configuration.read(a_document(providers=[*listed], **overrides))
    assert records.applying.apply(wanted, "somebody")


def test_a_provider_is_found_with_the_names_of_its_secrets(stage: Stage, providers: Providers) -> None:
    telnyx = a_provider(name="second", kind="telnyx", account="0123", previous_token="{secret.old-one}")
    apply(stage, a_provider(), telnyx)
    assert providers.find("main", START) == MAIN
    assert providers.find("second", START) == Provider("second", "telnyx", "0123", ("main", "old-one"))
    assert providers.find("third", START) is None


def test_it_is_read_once_in_five_seconds_whatever_is_asked_for(
    stage: Stage, counting: Counting, providers: Providers
) -> None:
    apply(stage, a_provider())
    for n in range(1000):
        assert providers.find("main", START + 4.9) == MAIN
        assert providers.find(f"name-{n}", START + 4.9) is None
    assert counting.calls == 2
    providers.find("main", START + 4.9 + PROVIDER_SECONDS)
    assert counting.calls == 3, "the version is the same: only the pointer is read"


def test_a_change_holds_after_five_seconds(stage: Stage, providers: Providers) -> None:
    assert providers.find("main", START) is None, "nothing is applied yet"
    apply(stage, a_provider())
    assert providers.find("main", START + 4) is None
    assert providers.find("main", START + 5) == MAIN
    apply(stage, a_provider(account=f"AC{1:032}"))
    assert providers.find("main", START + 9) == MAIN
    found = providers.find("main", START + 10)
    assert found
    assert found.account == f"AC{1:032}"
    apply(stage)
    assert providers.find("main", START + 15) is None


def test_a_clock_that_was_set_back_reads_again(stage: Stage, providers: Providers) -> None:
    providers.find("main", START + 1000)
    apply(stage, a_provider())
    assert providers.find("main", START) == MAIN


def test_a_change_of_something_else_keeps_it(stage: Stage, providers: Providers) -> None:
    apply(stage, a_provider(), endpoints=[an_endpoint(calls={"provider": "main"})])
    assert providers.find("main", START) == MAIN
    longer = a_ring_pool(cooldown_seconds=90)
    apply(stage, a_provider(), endpoints=[an_endpoint(calls={"provider": "main"})], ring_pools=[longer])
    assert providers.find("main", START + 5) == MAIN
