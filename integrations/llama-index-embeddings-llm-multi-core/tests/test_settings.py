"""Making an embedding: what is accepted, what is refused and how, and that nothing is loaded."""

from __future__ import annotations

import sys

import pytest
from llama_index.core.base.embeddings.base import BaseEmbedding
from pydantic import ValidationError

from llama_index.embeddings.llm_multi_core import MultiCoreEmbedding
from llm_multi_core.embedder import (
    FrameworkUnavailableError,
    InvalidOptionError,
    MissingCredentialsError,
    UnknownFrameworkError,
)


def test_fields_say_what_was_resolved(fake_framework):
    embedding = MultiCoreEmbedding(fake_framework)
    assert isinstance(embedding, BaseEmbedding)
    assert embedding.framework == "fake"
    assert embedding.model_name == "fake-small"
    assert embedding.embed_batch_size == 2048
    assert embedding.options == {}
    assert embedding.embedder.dimension == 8


def test_every_field_is_an_argument(fake_framework):
    embedding = MultiCoreEmbedding(
        framework=fake_framework,
        model_name="fake-large",
        device="cpu",
        precision="float32",
        dimensions=4,
        force_dimensions=True,
        normalize=False,
        truncation="mean",
        batch_size=3,
        options={"dimension": 6},
        embed_batch_size=7,
        num_workers=2,
    )
    again = MultiCoreEmbedding(**{name: getattr(embedding, name) for name in type(embedding).model_fields})
    assert again.model_dump() == embedding.model_dump()
    assert again.model_dump()["num_workers"] == 2
    assert len(again.get_text_embedding("text")) == 4


def test_model_is_another_name_for_model_name(fake_framework):
    assert MultiCoreEmbedding(fake_framework, model="m").model_name == "m"
    assert MultiCoreEmbedding(fake_framework, "m", model="m").model_name == "m"
    with pytest.raises(InvalidOptionError, match="two models"):
        MultiCoreEmbedding(fake_framework, model_name="m", model="n")


def test_a_distribution_in_the_name_is_kept(fake_framework):
    embedding = MultiCoreEmbedding("llm-multi-core-fake/fake")
    assert embedding.framework == "llm-multi-core-fake/fake"
    assert MultiCoreEmbedding.from_dict(embedding.to_dict()).framework == embedding.framework


def test_unknown_keywords_are_options_of_the_framework(fake_framework):
    embedding = MultiCoreEmbedding(fake_framework, roles=True, options={"dimension": 5})
    assert embedding.options == {"dimension": 5, "roles": True}
    assert len(embedding.get_text_embedding("text")) == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dimensoin": 5}, "did you mean 'dimension'"),
        ({"options": {"nonsense": 1}}, "no option 'nonsense'"),
        ({"dimension": "five"}, "takes int"),
        ({"options": {"dimension": 5}, "dimension": 6}, "twice"),
        ({"options": {"device": "cpu"}}, "'device' is no option"),
        ({"options": {"api_key": "k"}}, "'api_key' is no option"),
        ({"host": None}, "'host' is no option"),
        ({"options": ["dimension"]}, "mapping"),
        ({"truncation": "maybe"}, "truncation"),
        ({"precision": "int3"}, "precision"),
        ({"batch_size": 0}, "batch_size"),
        ({"api_key": "k"}, "without a key"),
    ],
)
def test_a_setting_it_does_not_take_is_the_hosts_error(fake_framework, arguments, message):
    with pytest.raises(InvalidOptionError, match=message):
        MultiCoreEmbedding(fake_framework, **arguments)


def test_framework_errors_are_the_hosts(keyed_framework, missing_framework):
    with pytest.raises(UnknownFrameworkError, match="did you mean 'keyed'"):
        MultiCoreEmbedding("keyde")
    with pytest.raises(FrameworkUnavailableError, match="pip install"):
        MultiCoreEmbedding(missing_framework)
    with pytest.raises(MissingCredentialsError, match="KEYED_API_KEY"):
        MultiCoreEmbedding(keyed_framework)


def test_llama_index_bounds_its_own_batch_size(fake_framework):
    with pytest.raises(ValidationError):
        MultiCoreEmbedding(fake_framework, embed_batch_size=2049)


def test_settings_cannot_be_changed_afterwards(fake_framework):
    embedding = MultiCoreEmbedding(fake_framework)
    with pytest.raises(AttributeError, match="fixed once the embedding is made"):
        embedding.model_name = "other"
    with pytest.raises(InvalidOptionError, match="model_name"):
        embedding.model_copy(update={"model_name": "other"})
    assert embedding.model_copy(update={"embed_batch_size": 3}).embed_batch_size == 3


def test_making_one_loads_nothing(install_plugin):
    install_plugin(
        "llm-multi-core-lazy",
        entry_points={"lazy": "llm_multi_core_lazy"},
        modules={
            "llm_multi_core_lazy": """
                from llm_multi_core.embedder import FrameworkSpec, hookimpl

                @hookimpl
                def llm_multi_core_frameworks():
                    return [FrameworkSpec("lazy", ("text",), "lazy_encoder:Encoder", default_model={"text": "m"})]
            """,
            "lazy_encoder": "raise AssertionError('imported')",
        },
    )
    embedding = MultiCoreEmbedding("lazy")
    assert repr(embedding).startswith("MultiCoreEmbedding(")
    assert "lazy_encoder" not in sys.modules
