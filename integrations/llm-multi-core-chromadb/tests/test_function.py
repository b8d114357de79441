"""The function by itself: vectors, roles, inputs, settings."""

from __future__ import annotations

import json

import numpy as np
import pytest
from chromadb.api.types import EmbeddingFunction
from chromadb.utils.embedding_functions import known_embedding_functions
from PIL import Image as Pillow

from llm_multi_core.embedder import (
    FrameworkUnavailableError,
    IncompatibleSpacesError,
    InvalidInputError,
    InvalidOptionError,
    MemoryCache,
    UnknownFrameworkError,
)
from llm_multi_core_chromadb import NAME, MediaLoader, MultiCoreEmbeddingFunction


def test_it_is_registered(function):
    assert known_embedding_functions[NAME] is MultiCoreEmbeddingFunction
    assert isinstance(function, EmbeddingFunction)
    assert function.name() == NAME
    assert not function.is_legacy()
    assert function.default_space() in function.supported_spaces()


def test_documents_and_queries_take_their_roles(function):
    (document,), (query,) = function(["words"]), function.embed_query(["words"])
    assert document.shape == query.shape == (32,)
    assert not np.allclose(document, query)
    np.testing.assert_allclose(document, function.embedder.embed_joint(["words"], "document")[0])
    np.testing.assert_allclose(query, function.embedder.embed_joint(["words"], "query")[0])


def test_order_holds(function):
    texts = [f"text {'word ' * (number % 5)}{number}" for number in range(40)]
    together = function(texts)
    np.testing.assert_allclose(together, [function([text])[0] for text in texts], atol=1e-6)


def test_images_and_sound(function, pictures, sounds):
    with Pillow.open(pictures[0]) as picture:
        pixels = np.asarray(picture)
    samples, rate = MediaLoader()([sounds[0]])[0]
    mixed = function([pixels, "words", (samples, rate), samples])
    expected = function.embedder.embed_joint([pixels, "words", (samples, rate)], "document")
    np.testing.assert_allclose(mixed[:3], expected, atol=1e-5)
    np.testing.assert_allclose(mixed[3], mixed[2], atol=1e-5)


def test_documents_that_look_like_places_are_texts(function, pictures, on_this_machine):
    places = [pictures[0], f"file://{pictures[0]}", "http://169.254.169.254/latest"]
    np.testing.assert_allclose(function(places), function.embedder.embedders["text"].embed_batch(places, "document"))
    assert on_this_machine == []


@pytest.mark.parametrize(
    ("inputs", "message"), [("words", "lists"), (["a", None], "input 1: there is nothing"), (5, "lists")]
)
def test_what_cannot_be_embedded_is_refused(function, inputs, message):
    with pytest.raises(InvalidInputError, match=message):
        function.embed_query(inputs)


def test_settings_errors_are_the_hosts(missing_framework, joint):
    joint()
    with pytest.raises(UnknownFrameworkError, match="did you mean"):
        MultiCoreEmbeddingFunction("fak")
    with pytest.raises(FrameworkUnavailableError, match="pip install"):
        MultiCoreEmbeddingFunction(missing_framework)
    with pytest.raises(InvalidOptionError, match="no option 'dimensoin'"):
        MultiCoreEmbeddingFunction("fake", text={"dimensoin": 5})
    with pytest.raises(InvalidOptionError, match="pass api_key="):
        MultiCoreEmbeddingFunction("fake", text={"api_key": "k"})


def test_a_text_framework_alone_will_do(fake_framework):
    function = MultiCoreEmbeddingFunction(fake_framework, text={"dimension": 5})
    assert function(["a"])[0].shape == (5,)
    with pytest.raises(InvalidInputError, match="image"):
        function([np.zeros((8, 8, 3), np.uint8)])


# What Chroma keeps.


def test_the_settings_lead_back(function):
    config = function.get_config()
    assert json.loads(json.dumps(config)) == config
    assert config["fingerprint"] == function.embedder.space.fingerprint
    again = MultiCoreEmbeddingFunction.build_from_config(config)
    assert again.get_config() == config
    np.testing.assert_allclose(again(["words"]), function(["words"]))
    assert "fake-image" in repr(again)


def test_functions_of_the_same_settings_share_an_embedder(function):
    config = function.get_config()
    one, other = (MultiCoreEmbeddingFunction.build_from_config(config) for _ in range(2))
    assert one.embedder is other.embedder, "Chroma makes one for every call"
    assert MultiCoreEmbeddingFunction.build_from_config({**config, "batch_size": 2}).embedder is not one.embedder


def test_a_model_that_became_another_is_refused(function):
    changed = MultiCoreEmbeddingFunction.build_from_config({**function.get_config(), "fingerprint": "0" * 32})
    with pytest.raises(IncompatibleSpacesError, match="0" * 32):
        changed(["words"])
    with pytest.raises(IncompatibleSpacesError, match="0" * 32):
        changed.embed_query(["words"])


def test_a_key_is_never_kept(joint):
    key = "sk-canary-5f0c1e77"
    function = joint(cache=MemoryCache())
    assert function.get_config() == joint().get_config()
    with pytest.raises(InvalidOptionError, match="api_key=") as refused:
        joint(api_key=key)
    assert key not in str(refused.value)
    for config in ({"api_key": key}, {"text": {"api_key": key}}):
        with pytest.raises(InvalidOptionError) as caught:
            MultiCoreEmbeddingFunction.build_from_config(config)
        assert key not in str(caught.value)


@pytest.mark.parametrize(
    "grant", [{"trust_remote_code": True}, {"text": {"trust_remote_code": True}}, {"allow_urls": True}]
)
def test_a_store_grants_nothing(function, grant):
    with pytest.raises(InvalidOptionError, match="in your own program"):
        MultiCoreEmbeddingFunction.build_from_config({**function.get_config(), **grant})


def test_grants_of_the_user_are_not_kept(joint):
    assert joint(allow_urls=True).get_config() == joint().get_config()


def test_what_may_be_changed_later(function):
    config = function.get_config()
    function.validate_config_update(config, {**config, "device": "cpu", "batch_size": 4})
    for change in ({"text_framework": "other"}, {"text": {"dimension": 5}}, {"fingerprint": "0" * 32}, {"new": 1}):
        with pytest.raises(InvalidOptionError, match=f"{next(iter(change))} cannot be changed"):
            function.validate_config_update(config, {**config, **change})
    with pytest.raises(InvalidOptionError, match="mapping"):
        MultiCoreEmbeddingFunction.validate_config(["framework"])


UNREACHABLE_PLUGIN = """
    from llm_multi_core.embedder import FrameworkSpec, ModelLoadError, hookimpl
    from llm_multi_core.embedder.testing.fakes import FakeTextEncoder

    class UnreachableEncoder(FakeTextEncoder):
        def describe(self):
            raise ModelLoadError("no such model")

    @hookimpl
    def llm_multi_core_frameworks():
        return [FrameworkSpec("gone", ("text",), "llm_multi_core_gone:UnreachableEncoder", default_model={"text": "m"})]
"""


def test_a_model_that_cannot_be_read_is_kept_without_a_fingerprint(install_plugin, shown_logs):
    shown_logs("llm_multi_core_chromadb.function")
    install_plugin(
        "llm-multi-core-gone",
        entry_points={"gone": "llm_multi_core_gone"},
        modules={"llm_multi_core_gone": UNREACHABLE_PLUGIN},
    )
    assert MultiCoreEmbeddingFunction("gone").get_config() == {"text_framework": "gone"}
    assert "without the fingerprint" in shown_logs("llm_multi_core_chromadb.function")
