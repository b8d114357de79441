"""What the constructor takes, what it refuses, and with which errors."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel, ValidationError

from langchain_llm_multi_core import MultiCoreEmbeddings
from llm_multi_core.embedder import (
    FrameworkUnavailableError,
    Host,
    InvalidOptionError,
    MemoryCache,
    MissingCredentialsError,
    UnknownFrameworkError,
)
from llm_multi_core.embedder.host import default_host

HUGGINGFACE_PLUGIN = """
from dataclasses import replace

from llm_multi_core.embedder import OptionSpec, hookimpl
from llm_multi_core.embedder.testing import fakes

OPTIONS = (
    OptionSpec("revision", str),
    OptionSpec("trust_remote_code", bool, False),
    OptionSpec("prompts", dict),
    OptionSpec("model_kwargs", dict),
)


@hookimpl
def llm_multi_core_frameworks():
    return [replace(fakes.fake_offer(fakes.FakeTextEncoder, "hf").spec, options=OPTIONS)]
"""


@pytest.fixture
def hf(install_plugin):
    """A framework with options like those of sentence-transformers."""
    install_plugin("llm-multi-core-hf", entry_points={"hf": "hf_plugin"}, modules={"hf_plugin": HUGGINGFACE_PLUGIN})
    return "hf"


# Names and defaults.


def test_defaults_are_filled_in(fake_framework):
    embeddings = MultiCoreEmbeddings(framework=fake_framework)
    assert embeddings.model_dump() == {
        "framework": "fake",
        "model": "fake-small",
        "device": None,
        "precision": "auto",
        "dimensions": None,
        "force_dimensions": False,
        "normalize": True,
        "truncation": "warn",
        "batch_size": None,
        "show_progress": False,
        "options": {},
    }
    assert embeddings.api_key is None
    assert embeddings.cache is None


def test_none_means_the_default(fake_framework):
    names = [name for name in MultiCoreEmbeddings.model_fields if name != "framework"]
    given = dict.fromkeys([*names, "model_name", "host", "model_kwargs", "encode_kwargs"])
    assert MultiCoreEmbeddings(framework=fake_framework, **given) == MultiCoreEmbeddings(framework=fake_framework)


def test_every_setting_reaches_the_embedder(fake_framework):
    cache = MemoryCache()
    embeddings = MultiCoreEmbeddings(
        fake_framework,
        "fake-large",
        device="cpu",
        precision="float32",
        dimensions=4,
        force_dimensions=True,
        normalize=False,
        truncation="mean",
        batch_size=3,
        cache=cache,
        roles=True,
    )
    settings = embeddings.embedder._settings
    for name in (
        "model",
        "device",
        "precision",
        "dimensions",
        "force_dimensions",
        "normalize",
        "truncation",
        "batch_size",
    ):
        assert getattr(settings, name) == getattr(embeddings, name)
    assert settings.cache is embeddings.cache is cache
    assert settings.options["roles"] is True
    assert embeddings.options == {"roles": True}


def test_model_has_two_names(fake_framework):
    embeddings = MultiCoreEmbeddings(framework=fake_framework, model_name="fake-large")
    assert embeddings.model == embeddings.model_name == embeddings.embedder.model == "fake-large"
    assert embeddings == MultiCoreEmbeddings(framework=fake_framework, model="fake-large")
    MultiCoreEmbeddings(framework=fake_framework, model="same", model_name="same")
    with pytest.raises(InvalidOptionError, match="model= and model_name= contradict each other"):
        MultiCoreEmbeddings(framework=fake_framework, model="one", model_name="other")


def test_a_folder_is_a_model(fake_framework):
    assert MultiCoreEmbeddings(framework=fake_framework, model=Path("some") / "folder").model == str(
        Path("some/folder")
    )


def test_a_distribution_may_be_named(fake_framework):
    embeddings = MultiCoreEmbeddings(framework="llm_multi_core_fake/Fake")
    assert embeddings.framework == "llm-multi-core-fake/fake"
    assert MultiCoreEmbeddings(**embeddings.model_dump()) == embeddings
    assert MultiCoreEmbeddings(framework="FAKE").framework == "fake"


def test_a_host_may_be_given(fake_framework):
    class Counting(Host):
        found = 0

        def find(self, name, modality):
            self.found += 1
            return default_host().find(name, modality)

    host = Counting()
    embeddings = MultiCoreEmbeddings(framework=fake_framework, host=host)
    assert host.found > 0
    before = host.found
    embeddings.model_copy(update={"batch_size": 2})
    assert host.found > before


# The host's errors, not pydantic's.


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"framework": "fkae"}, UnknownFrameworkError, "did you mean 'fake'"),
        ({"framework": 3}, UnknownFrameworkError, "named by a string"),
        ({"framework": "fake-missing"}, FrameworkUnavailableError, "pip install"),
        ({"dimensoin": 4}, InvalidOptionError, "no option 'dimensoin'; did you mean 'dimension'"),
        ({"dimension": "four"}, InvalidOptionError, "takes int, not str"),
        ({"dimensions": "four"}, InvalidOptionError, "not a positive whole number"),
        ({"batch_size": 0}, InvalidOptionError, "not a positive whole number"),
        ({"truncation": "shorten"}, InvalidOptionError, "not one of warn"),
        ({"precision": "int8"}, InvalidOptionError, "not one of auto"),
        ({"normalize": "yes"}, InvalidOptionError, "not True or False"),
        ({"force_dimensions": 1}, InvalidOptionError, "not True or False"),
        ({"show_progress": "yes"}, InvalidOptionError, "not True or False"),
        ({"cache": {}}, InvalidOptionError, "MemoryCache"),
        ({"model": 3}, InvalidOptionError, "not a model name"),
        ({"api_key": "a-key"}, InvalidOptionError, "runs without a key"),
        ({"options": ["dimension"]}, InvalidOptionError, "options takes a dictionary, not list"),
        ({"options": {"framework": "fake"}}, InvalidOptionError, "pass framework=... itself"),
        ({"options": {"host": None}}, InvalidOptionError, "pass host=... itself"),
        ({"model_kwargs": "cpu"}, InvalidOptionError, "model_kwargs takes a dictionary, not str"),
        ({"encode_kwargs": 64}, InvalidOptionError, "encode_kwargs takes a dictionary, not int"),
    ],
)
def test_refusals(fake_framework, missing_framework, arguments, error, message):
    with pytest.raises(error, match=message):
        MultiCoreEmbeddings(**{"framework": fake_framework, **arguments})


def test_a_missing_key_is_the_hosts_error(keyed, monkeypatch):
    with pytest.raises(MissingCredentialsError, match="KEYED_API_KEY"):
        MultiCoreEmbeddings(framework="keyed")
    monkeypatch.setenv("KEYED_API_KEY", "from-the-environment")
    MultiCoreEmbeddings(framework="keyed").embed_query("a")
    assert keyed.seen == ["from-the-environment"]


# What users of langchain-huggingface write.


def test_model_kwargs_are_settings_and_options(hf):
    embeddings = MultiCoreEmbeddings(
        framework=hf,
        model_name="fake-large",
        model_kwargs={
            "device": "cpu",
            "truncate_dim": 4,
            "revision": "main",
            "trust_remote_code": True,
            "prompts": {"query": "q: "},
            "model_kwargs": {"torch_dtype": "torch.float16", "attn_implementation": "sdpa"},
        },
    )
    assert (embeddings.device, embeddings.dimensions, embeddings.precision) == ("cpu", 4, "float16")
    assert embeddings.options == {
        "revision": "main",
        "trust_remote_code": True,
        "prompts": {"query": "q: "},
        "model_kwargs": {"attn_implementation": "sdpa"},
    }
    assert MultiCoreEmbeddings(**embeddings.model_dump()) == embeddings
    changed = embeddings.model_copy(update={"revision": "v2"})
    assert changed.options == {**embeddings.options, "revision": "v2"}


@pytest.mark.parametrize("name", ["dtype", "torch_dtype"])
def test_a_dtype_is_the_precision(hf, name):
    class Dtype:
        def __str__(self):
            return "torch.bfloat16"

    for arguments in ({name: Dtype()}, {"model_kwargs": {name: "bfloat16"}}):
        embeddings = MultiCoreEmbeddings(framework=hf, model_kwargs=arguments)
        assert embeddings.precision == "bfloat16"
        assert embeddings.options == {}
    assert MultiCoreEmbeddings(framework=hf, model_kwargs={name: None}).precision == "auto"
    with pytest.raises(InvalidOptionError, match="precision='int8'"):
        MultiCoreEmbeddings(framework=hf, model_kwargs={name: "int8"})


def test_encode_kwargs_are_settings(fake_framework):
    embeddings = MultiCoreEmbeddings(
        framework=fake_framework,
        encode_kwargs={
            "normalize_embeddings": False,
            "batch_size": 64,
            "show_progress_bar": True,
            "device": "cpu",
            "truncate_dim": 4,
            "prompt_name": "passage",
            "precision": "float32",
            "convert_to_numpy": True,
            "max_words": 5,
        },
    )
    assert embeddings == MultiCoreEmbeddings(
        framework=fake_framework, normalize=False, batch_size=64, device="cpu", dimensions=4, max_words=5
    )
    assert embeddings.show_progress
    assert embeddings.precision == "auto"


def test_embeddings_can_be_left_unnormalised(fake_framework):
    kept = MultiCoreEmbeddings(framework=fake_framework, encode_kwargs={"normalize_embeddings": False})
    scaled = MultiCoreEmbeddings(framework=fake_framework, encode_kwargs={"normalize_embeddings": True})
    assert np.linalg.norm(scaled.embed_query("a")) == pytest.approx(1)
    assert np.linalg.norm(kept.embed_query("a")) != pytest.approx(1)


@pytest.mark.parametrize(
    ("encode_kwargs", "message"),
    [
        ({"prompt_name": "query"}, "the role chooses the prompt"),
        ({"prompt": "Represent this: "}, "the role chooses the prompt"),
        ({"precision": "int8"}, "can only be 'float32'"),
        ({"convert_to_tensor": True}, "can only be False"),
        ({"output_value": "token_embeddings"}, "can only be 'sentence_embedding'"),
        ({"normalise_embeddings": True}, "no counterpart here; did you mean 'normalize_embeddings'"),
        ({"chunk_size": 5}, "no counterpart here"),
        ({"batch_size": "many"}, "not a positive whole number"),
    ],
)
def test_what_has_no_counterpart_is_refused(fake_framework, encode_kwargs, message):
    with pytest.raises(InvalidOptionError, match=message):
        MultiCoreEmbeddings(framework=fake_framework, encode_kwargs=encode_kwargs)


@pytest.mark.parametrize(
    "model_kwargs", [{"cache_folder": "here"}, {"token": "a-token"}, {"model_kwargs": {"attn_implementation": "sdpa"}}]
)
def test_a_framework_without_such_an_option_refuses_it(fake_framework, model_kwargs):
    with pytest.raises(InvalidOptionError) as caught:
        MultiCoreEmbeddings(framework=fake_framework, model_kwargs=model_kwargs)
    assert next(iter(model_kwargs)) in str(caught.value)
    assert "a-token" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"device": "cpu", "model_kwargs": {"device": "cuda"}},
        {"normalize": True, "encode_kwargs": {"normalize_embeddings": False}},
        {"batch_size": 8, "encode_kwargs": {"batch_size": 64}},
        {"dimension": 4, "options": {"dimension": 5}},
        {"model_kwargs": {"device": "cpu"}, "encode_kwargs": {"device": "cuda"}},
        {"model_kwargs": {"dtype": "float16", "torch_dtype": "float32"}},
    ],
)
def test_contradictions_are_refused_and_agreement_is_not(fake_framework, arguments):
    with pytest.raises(InvalidOptionError, match="contradict each other"):
        MultiCoreEmbeddings(framework=fake_framework, **arguments)
    agreeing = {"device": "cpu", "model_kwargs": {"device": "cpu"}, "encode_kwargs": {"device": "cpu"}}
    assert MultiCoreEmbeddings(framework=fake_framework, **agreeing).device == "cpu"


# pydantic.


def test_it_is_a_field_of_other_models(fake_framework):
    class Config(BaseModel):
        embeddings: MultiCoreEmbeddings

    made = MultiCoreEmbeddings(framework=fake_framework, dimension=4)
    assert Config(embeddings=made).embeddings is made
    config = Config.model_validate_json('{"embeddings": {"framework": "fake", "options": {"dimension": 4}}}')
    assert config.embeddings == made
    assert config.embeddings.embed_query("a") == made.embed_query("a")
    assert Config.model_validate(config.model_dump()) == config
    assert Config.model_validate_json(config.model_dump_json()) == config
    with pytest.raises(ValidationError, match="no option 'dimensoin'"):
        Config(embeddings={"framework": "fake", "dimensoin": 4})
    for odd in ({"self": 1}, {1: 2}, {"hidden_arguments": 1}):
        with pytest.raises(ValidationError, match="has no option"):
            Config(embeddings={"framework": "fake", **odd})
    with pytest.raises(UnknownFrameworkError):  # no ValueError, so pydantic lets it through
        Config(embeddings={"framework": "fkae"})
    assert Config.model_json_schema()
