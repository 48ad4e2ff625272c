"""The tree of exceptions."""

from __future__ import annotations

import pickle

import pytest

import skytale_sdk
from skytale_sdk import errors

CLASSES = ["AuthError", "TransportError", "ChannelError", "QuotaExceededError", "MlsError", "UnknownChannelError"]


@pytest.mark.parametrize("name", CLASSES)
def test_every_exception_is_a_skytale_error_and_a_runtime_error(name):
    assert issubclass(getattr(skytale_sdk, name), skytale_sdk.SkytaleError)
    assert issubclass(skytale_sdk.SkytaleError, RuntimeError)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("auth", "AuthError"), ("transport", "TransportError"), ("channel", "ChannelError"), ("quota", "QuotaExceededError"),
     ("mls", "MlsError"), ("runtime", "SkytaleError"), ("of a later version", "SkytaleError")],
)  # fmt: skip
def test_every_kind_of_failure_has_its_class(kind, name):
    error = errors.of_kind(kind, "auth error: no", "unauthorized", 401)

    assert type(error).__name__ == name
    assert (str(error), error.code, error.http_status) == ("auth error: no", "unauthorized", 401)
    assert error.doc_url.endswith("#errors")


def test_an_exception_survives_pickling():
    error = pickle.loads(pickle.dumps(errors.QuotaExceededError("API error (429): enough", "quota_exceeded", 429)))

    assert (type(error), str(error)) == (errors.QuotaExceededError, "API error (429): enough")
    assert (error.code, error.http_status) == ("quota_exceeded", 429)


def test_a_channel_that_is_not_there_is_a_key_error_with_a_sentence():
    error = errors.unknown_channel("a/b/c")

    assert isinstance(error, KeyError) and isinstance(error, skytale_sdk.ChannelError)
    assert str(error) == "this agent is not in the channel a/b/c; create or join it first, see list_channels()"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.code) == (skytale_sdk.UnknownChannelError, str(error), "not_found")
