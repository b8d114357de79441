"""`EmbedderSettings.check`: every bad setting is refused before anything is loaded."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from llm_multi_core.embedder import (
    Credentials,
    FrameworkSpec,
    InvalidOptionError,
    MemoryCache,
    MissingCredentialsError,
    Modality,
    OptionSpec,
    Secret,
)
from llm_multi_core.embedder.frameworks import Offer
from llm_multi_core.embedder.settings import COMMON_SETTINGS, EmbedderSettings

DEFAULTS = {
    "model": None,
    "device": None,
    "precision": "auto",
    "dimensions": None,
    "force_dimensions": False,
    "normalize": True,
    "truncation": "warn",
    "batch_size": None,
    "cache": None,
    "api_key": None,
}
LOCAL = FrameworkSpec(
    "acme",
    (Modality.TEXT, Modality.IMAGE),
    "acme.encoder:Encoder",
    default_model={Modality.TEXT: "acme-small"},
    options=(
        OptionSpec("pooling", str, "mean", affects_space=True, choices=("mean", "cls")),
        OptionSpec("folder", str, None),
    ),
)
HOSTED = replace(LOCAL, name="acme-api", hosted=True, credentials=Credentials(("ACME_TEST_API_KEY",)))
CHAINED = replace(HOSTED, credentials=Credentials(("ACME_TEST_API_KEY",), chain="azure"))


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    monkeypatch.delenv("ACME_TEST_API_KEY", raising=False)


def check(spec=LOCAL, modality=Modality.TEXT, **given):
    settings = {name: given.pop(name, default) for name, default in DEFAULTS.items()}
    return EmbedderSettings.check(Offer(spec, "llm-multi-core-acme", "1"), modality, options=given, **settings)


def test_the_common_settings_are_those_that_are_checked():
    assert set(COMMON_SETTINGS) == set(DEFAULTS)


def test_defaults():
    settings = check()
    assert settings.model == "acme-small"
    assert settings.options == {"pooling": "mean", "folder": None}
    assert settings.secret is None


BAD_NUMBERS = [0, -1, True, False, 1.5, "8", "", [8], float("nan")]


@pytest.mark.parametrize("value", BAD_NUMBERS)
@pytest.mark.parametrize("name", ["dimensions", "batch_size"])
def test_counts_are_positive_whole_numbers(name, value):
    with pytest.raises(InvalidOptionError, match=f"{name}=.* is not a positive whole number"):
        check(**{name: value})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": ""}, "model='' is not a model name or a folder"),
        ({"model": " "}, "is not a model name or a folder"),
        ({"model": b"m"}, "is not a model name or a folder"),
        ({"model": 3}, "is not a model name or a folder"),
        ({"device": ""}, "device='' is not a device name"),
        ({"device": " "}, "is not a device name"),
        ({"device": 0}, "device=0 is not a device name"),
        ({"precision": ""}, "precision='' is not one of auto, float32, bfloat16, float16"),
        ({"precision": None}, "precision=None is not one of"),
        ({"precision": "fp16"}, "precision='fp16' is not one of"),
        ({"truncation": ""}, "truncation='' is not one of warn, error, truncate, mean"),
        ({"truncation": None}, "truncation=None is not one of"),
        ({"truncation": True}, "truncation=True is not one of"),
        ({"normalize": 1}, "normalize=1 is not True or False"),
        ({"normalize": None}, "normalize=None is not True or False"),
        ({"force_dimensions": "yes"}, "force_dimensions='yes' is not True or False"),
        ({"cache": {}}, "cache takes an object with get_many and set_many"),
        ({"cache": MemoryCache}, "cache takes an object"),
        ({"cache": "cache.sqlite"}, "cache takes an object"),
        ({"api_key": "sk-1"}, "framework 'acme' runs without a key"),
        ({"api_key": ""}, "framework 'acme' runs without a key"),
        ({"pooling": "max"}, "pooling='max' of framework 'acme' is not one of 'mean', 'cls'"),
        ({"pooling": 3}, "pooling= of framework 'acme' takes str, not int"),
        ({"pooing": "cls"}, "has no option 'pooing'; did you mean 'pooling'"),
        ({"modle": "m"}, "has no option 'modle'; did you mean 'model'"),
        ({"batchsize": 3}, "has no option 'batchsize'; did you mean 'batch_size'"),
        ({"apikey": "sk-1"}, "has no option 'apikey'; did you mean 'api_key'"),
        ({"truncate": "mean"}, "has no option 'truncate'; did you mean 'truncation'"),
    ],
)
def test_bad_settings_are_refused(given, message):
    with pytest.raises(InvalidOptionError) as caught:
        check(**given)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"device": "cpu"}, "'acme-api' is hosted: it has no device"),
        ({"precision": "float32"}, "'acme-api' is hosted: it has no precision"),
        ({"api_key": 7}, "an API key is a string or a callable that returns one, not int"),
        ({"api_key": b"sk"}, "not bytes"),
    ],
)
def test_hosted_frameworks_refuse_what_is_for_local_ones(given, message):
    with pytest.raises(InvalidOptionError, match=message):
        check(HOSTED, **{"api_key": "sk-1", **given})


def test_no_message_shows_the_key():
    for spec, given in ((LOCAL, {}), (HOSTED, {"pooling": "max"}), (HOSTED, {"device": "cpu"})):
        with pytest.raises(InvalidOptionError) as caught:
            check(spec, api_key="sk-secret", **given)
        assert "sk-secret" not in str(caught.value)
    assert "sk-secret" not in repr(check(HOSTED, api_key="sk-secret"))


@pytest.mark.parametrize("key", [None, "", lambda: ""])
def test_a_hosted_framework_needs_a_key(key, monkeypatch):
    with pytest.raises(MissingCredentialsError, match="ACME_TEST_API_KEY"):
        check(HOSTED, api_key=key)
    assert check(CHAINED, api_key=key).options
    if key is None:
        monkeypatch.setenv("ACME_TEST_API_KEY", "sk-1")
        assert check(HOSTED, api_key=key).secret is None


def test_a_modality_without_a_default_needs_a_model():
    with pytest.raises(InvalidOptionError, match=r"'acme' has no default model for image; pass model="):
        check(modality=Modality.IMAGE)
    assert check(modality=Modality.IMAGE, model="m").model == "m"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"model": Path("models/mine")}, ("model", str(Path("models/mine")))),
        ({"device": "cuda:1"}, ("device", "cuda:1")),
        ({"precision": "bfloat16"}, ("precision", "bfloat16")),
        ({"dimensions": 256}, ("dimensions", 256)),
        ({"batch_size": 1}, ("batch_size", 1)),
        ({"truncation": "mean"}, ("truncation", "mean")),
        ({"normalize": False}, ("normalize", False)),
        ({"force_dimensions": True}, ("force_dimensions", True)),
    ],
)
def test_good_settings_are_taken(given, expected):
    name, value = expected
    assert getattr(check(**given), name) == value


def test_a_cache_is_taken_as_it_is():
    cache = MemoryCache()
    assert check(cache=cache).cache is cache


def test_the_encoder_gets_its_share():
    settings = check(pooling="cls", folder="models", device="cpu", dimensions=64)
    config = settings.encoder_config(None)
    assert (config.framework, config.distribution, config.model) == ("acme", "llm-multi-core-acme", "acme-small")
    assert (config.device, config.precision, config.dimensions) == ("cpu", "auto", None)
    assert config.space_options == (("pooling", "'cls'"),)
    assert config.options == {"pooling": "cls", "folder": "models"}
    assert settings.encoder_config(64).dimensions == 64
    assert check().encoder_config(None).space_options == ()


def test_equal_settings_share_an_encoder_and_others_do_not():
    key = check(pooling="cls").encoder_config(None).key
    assert check(pooling="cls", batch_size=3, normalize=False).encoder_config(None).key == key
    for other in ({}, {"pooling": "cls", "device": "cpu"}, {"pooling": "cls", "model": "m"}):
        assert check(**other).encoder_config(None).key != key


def test_settings_travel_without_the_secret():
    settings = check(HOSTED, api_key="sk-secret")
    assert settings.secret == Secret("sk-secret")
    data = pickle.dumps(settings.without_secret())
    assert b"sk-secret" not in data
    assert pickle.loads(data) == replace(settings, secret=None)
