"""What webhooks of calls work with, made once per process and webhook."""

import time
from functools import cache

from shared import runtime
from shared.domain.models import Provider
from shared.domain.refusals import TemporarilyUnavailable
from shared.domain.templates import Unaskable
from shared.flows.telephony import KnownVersions, Telephony
from shared.providers.webhooks import Secrets
from shared.store.calls import Calls
from shared.store.dynamo import Dynamo
from shared.store.owners import Known, Owners
from shared.store.providers import Memory, Providers

CALL_SECONDS = 4
"""For a webhook of a call; the function has 5. A provider waits for 15 in all."""


def telephony(seconds: float = CALL_SECONDS) -> Telephony:
    """The world of one webhook, or of what is due of calls."""
    made, (owners, versions) = runtime.world(seconds), _known_of_calls()
    dynamo = made.compiled.dynamo
    return Telephony(made, Calls(dynamo), Owners(dynamo, owners), versions)


@cache
def _known_of_calls() -> tuple[dict[str, Known], KnownVersions]:
    return {}, {}


def find_provider(name: str) -> tuple[Provider, Secrets] | None:
    """An account at a provider of telephony, with what its signatures are checked with; None if there is none. Raises
    `TemporarilyUnavailable`."""
    process, *_ = runtime.open_process()
    dynamo = Dynamo(process.client, process.settings, time.monotonic() + CALL_SECONDS)
    provider = Providers(dynamo, _known_providers()).find(name, runtime.read_clock())
    if provider is None:
        return None
    try:
        keys = tuple(_provider_secrets()(token) for token in provider.tokens)
    except Unaskable as missing:
        raise TemporarilyUnavailable from missing
    return provider, Secrets(account=provider.account, keys=keys)


@cache
def _known_providers() -> Memory:
    return Memory()


@cache
def _provider_secrets() -> runtime.BuyerSecrets:
    process, *_ = runtime.open_process()
    arn, text = process.settings.provider_secrets_arn, process.settings.provider_secrets or "{}"
    return runtime.BuyerSecrets(lambda: runtime.read_secret(arn, runtime.BUYER_SECRETS) if arn else text.encode())
