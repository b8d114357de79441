"""Keys: found where they are declared, shown nowhere."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from itertools import count

import pytest

from llm_multi_core.embedder import Credentials, EncoderConfig, MissingCredentialsError, Secret

KEY = "sk-proj-0123456789"


class SecretStr:
    """Like pydantic's."""

    def __init__(self, value):
        self._value = value

    def get_secret_value(self):
        return self._value


@pytest.mark.parametrize("source", [KEY, SecretStr(KEY), lambda: KEY, Secret(KEY)])
def test_a_secret_reveals_what_it_was_given(source):
    assert Secret(source).reveal() == KEY


@pytest.mark.parametrize("source", [None, 7, b"sk-bytes", ["sk"], SecretStr(None), object()])
def test_a_secret_is_a_string_or_gives_one(source):
    with pytest.raises(TypeError, match="a string or a callable"):
        Secret(source)


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        "{}".format,
        "{!r:>40}".format,
        "%s".__mod__,
        lambda s: f"{s}",
        lambda s: repr([s]),
        lambda s: repr({s}),
    ],
)
def test_a_secret_is_masked_however_it_is_shown(show):
    shown = show(Secret(KEY))
    assert KEY not in shown
    assert "Secret('**********')" in shown


def test_a_secret_has_no_attributes_to_list():
    assert not hasattr(Secret(KEY), "__dict__")
    with pytest.raises(TypeError):
        json.dumps(Secret(KEY))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_refuses_to_be_pickled(protocol):
    with pytest.raises(TypeError, match="the copy reads the environment again") as caught:
        pickle.dumps(Secret(KEY), protocol)
    assert KEY not in str(caught.value)


def test_what_holds_a_secret_cannot_be_pickled_or_copied_either():
    config = EncoderConfig("openai", "llm-multi-core-openai", "m", secret=Secret(KEY))
    assert KEY not in repr(config)
    for travel in (pickle.dumps, copy.deepcopy, dataclasses.asdict):
        with pytest.raises(TypeError, match="not pickled"):
            travel(config)


def test_equal_keys_are_equal_secrets():
    assert Secret(KEY) == Secret(Secret(KEY)) == Secret(SecretStr(KEY))
    assert len({Secret(KEY), Secret(KEY), Secret("other")}) == 2
    assert Secret(KEY) != KEY
    assert Secret(KEY) != Secret("other")
    rotating = lambda: KEY  # noqa: E731
    assert Secret(rotating) == Secret(rotating)
    assert Secret(rotating) != Secret(lambda: KEY)


def test_equal_keys_share_one_configuration():
    one, same, other = (EncoderConfig("a", "b", "c", secret=Secret(key)) for key in (KEY, KEY, "other"))
    assert one.key == same.key
    assert hash(one.key) == hash(same.key)
    assert one.key != other.key


def test_a_callable_may_rotate_keys():
    numbers = count()
    secret = Secret(lambda: f"key-{next(numbers)}")
    assert [secret.reveal(), secret.reveal()] == ["key-0", "key-1"]


CREDENTIALS = Credentials(("ACME_API_KEY", "ACME_TOKEN"))


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, None),
        ({"ACME_API_KEY": "a", "ACME_TOKEN": "b"}, "a"),
        ({"ACME_API_KEY": "", "ACME_TOKEN": "b"}, "b"),
        ({"ACME_API_KEY": " \n", "ACME_TOKEN": " b\n"}, "b"),
        ({"OTHER": "c"}, None),
    ],
)
def test_the_first_variable_that_is_not_blank_counts(environ, found, monkeypatch):
    assert CREDENTIALS.find(environ) == found
    for name in CREDENTIALS.variables:
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert CREDENTIALS.find() == found


def test_a_passed_key_comes_before_the_environment(monkeypatch):
    monkeypatch.setenv("ACME_API_KEY", "from-environment")
    assert CREDENTIALS.require(Secret(KEY), "acme") == KEY
    assert CREDENTIALS.require(None, "acme") == "from-environment"


@pytest.mark.parametrize("secret", [None, Secret(""), Secret(lambda: "")])
def test_a_missing_key_names_the_variables(secret, monkeypatch):
    for name in CREDENTIALS.variables:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(MissingCredentialsError, match=r"'acme' needs a key: .*ACME_API_KEY or ACME_TOKEN"):
        CREDENTIALS.require(secret, "acme")
    assert Credentials(CREDENTIALS.variables, chain="azure").require(secret, "acme") is None


def test_a_chain_needs_no_variable():
    assert Credentials((), chain="google-adc").find({}) is None
    assert Credentials((), chain="google-adc").require(None, "gemini") is None


def test_an_option_may_lead_to_a_server_without_a_key(monkeypatch):
    for name in CREDENTIALS.variables:
        monkeypatch.delenv(name, raising=False)
    credentials = Credentials(CREDENTIALS.variables, optional_with=("base_url",))
    assert credentials.require(None, "acme", {"base_url": "http://localhost:8000/v1"}) is None
    assert credentials.require(Secret(KEY), "acme", {"base_url": "http://localhost:8000/v1"}) == KEY
    for options in (None, {}, {"base_url": None}, {"timeout": 1.0}):
        with pytest.raises(MissingCredentialsError, match=r"ACME_TOKEN, or base_url= of a server"):
            credentials.require(None, "acme", options)
    with pytest.raises(MissingCredentialsError):
        CREDENTIALS.require(None, "acme", {"base_url": "http://localhost:8000/v1"})
