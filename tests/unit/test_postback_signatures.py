"""Signatures of postbacks, held to the public package that receivers verify with."""

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from shared.postbacks import signing
from shared.postbacks.signing import BadSecret
from tests.build import KEYS

VECTOR = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""A public one: of the specification's own tests."""
OTHER = "whsec_" + base64.b64encode(bytes(range(32))).decode()


def test_the_public_vector_is_signed_as_it_says() -> None:
    headers = signing.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', [VECTOR])
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@given(body=st.text(max_size=200), key=st.binary(min_size=24, max_size=64))
def test_the_public_package_verifies_whatever_is_sent(body: str, key: bytes) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    headers = signing.sign("msg_1", int(time.time()), body.encode(), [secret])
    Webhook(secret).verify(body.encode(), headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body + " ", headers, json_parse=False)


@pytest.mark.parametrize("secret", [VECTOR, OTHER])
def test_both_secrets_verify_while_one_is_changed(secret: str) -> None:
    headers = signing.sign("msg_1", int(time.time()), b"{}", [OTHER, VECTOR])
    assert headers["webhook-signature"].count("v1,") == 2
    Webhook(secret).verify(b"{}", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(base64.b64encode(bytes(24)).decode()).verify(b"{}", headers)


def test_a_receiver_without_a_secret_has_one_of_its_own_that_verifies() -> None:
    secret = signing.own_secret(KEYS, "tracker")
    Webhook(secret).verify(b"{}", signing.sign("msg_1", int(time.time()), b"{}", [secret]))
    assert secret != signing.own_secret(KEYS, "tracker2")


def test_an_id_is_the_same_for_one_event_and_receiver_alone_and_has_no_dots() -> None:
    ids = {signing.message_id(KEYS, event, name) for event in (b"a", b"b") for name in ("x", "y")}
    assert len(ids) == 4
    assert not any("." in each for each in ids)
    assert signing.message_id(KEYS, b"a", "x") in ids


@pytest.mark.parametrize("secret", ["", "whsec_", "not base64!", "whsec_YQ=="])
def test_a_secret_that_is_none_is_told_without_it(secret: str) -> None:
    with pytest.raises(BadSecret) as raised:
        signing.read_secret(secret)
    assert not secret or secret not in str(raised.value)
