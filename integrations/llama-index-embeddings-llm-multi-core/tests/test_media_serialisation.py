"""Settings, dictionaries, JSON, pickles and copies of the multimodal embedding."""

from __future__ import annotations

import copy
import json
import pickle
import sys

import pytest
from llama_index.core.rate_limiter import TokenBucketRateLimiter
from llama_index.core.storage.kvstore import SimpleKVStore

from llama_index.embeddings.llm_multi_core import MultiCoreMultiModalEmbedding
from llm_multi_core.embedder import (
    Bridge,
    FrameworkUnavailableError,
    IncompatibleSpacesError,
    InvalidOptionError,
    MemoryCache,
    MissingCredentialsError,
    ModelLoadError,
    UnknownFrameworkError,
)
from llm_multi_core.embedder.media import MediaLibrary

pytest.importorskip("safetensors")


def captions(media):
    return ["a caption"] * len(media)


@pytest.fixture
def saved(joint, tmp_path):
    """The paths of saved alignments, as `joint` makes them."""
    embedding = joint()
    paths = []
    for number, alignment in enumerate(embedding.embedder._routes.alignments):
        paths.append(str(tmp_path / f"{number}.safetensors"))
        alignment.save(paths[-1])
    return paths


@pytest.fixture
def stored(joint, saved):
    """An embedding that can be read back from its dictionary."""
    return joint(alignment=saved)


def test_a_dictionary_leads_back(stored, media):
    data = stored.to_dict()
    assert data["class_name"] == "MultiCoreMultiModalEmbedding"
    assert data["fingerprint"] == stored.embedder.space.fingerprint
    assert data["encoder_id"] == stored.embedder.encoder_id
    again = MultiCoreMultiModalEmbedding.from_dict(data)
    assert again.to_dict() == data
    picture = media.picture()
    assert again.get_image_embedding(picture) == stored.get_image_embedding(picture)
    assert MultiCoreMultiModalEmbedding.from_json(stored.to_json()).to_dict() == json.loads(stored.to_json())


def test_a_dump_of_all_fields_leads_back(joint, saved):
    embedding = joint(alignment=saved, device="cpu", batch_size=3, embed_batch_size=9, num_workers=2, allow_urls=True)
    for again in (
        MultiCoreMultiModalEmbedding.from_dict(embedding.model_dump()),
        MultiCoreMultiModalEmbedding.model_validate(embedding.model_dump()),
        MultiCoreMultiModalEmbedding.model_validate_json(embedding.model_dump_json()),
        MultiCoreMultiModalEmbedding(**{name: getattr(embedding, name) for name in type(embedding).model_fields}),
    ):
        assert again.model_dump() == embedding.model_dump()
        assert again.allow_urls


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"text": {"dimension": 16}},
        {"image": {"normalize": False}},
        {"truncation": "mean"},
        {"precision": "float32"},
        {"bridge": {"image": captions}},
    ],
    ids=str,
)
def test_what_changes_vectors_changes_the_dictionary(joint, change):
    assert joint(**change).to_dict() != joint().to_dict()


@pytest.mark.parametrize(
    "change",
    [
        {"device": "cpu"},
        {"batch_size": 5},
        {"embed_batch_size": 5},
        {"num_workers": 2},
        {"allow_urls": True},
        {"cache": MemoryCache()},
        {"embeddings_cache": SimpleKVStore()},
        {"rate_limiter": TokenBucketRateLimiter(requests_per_minute=9)},
        {"library": MediaLibrary()},
    ],
    ids=str,
)
def test_what_does_not_change_vectors_does_not(joint, media, change):
    plain, changed = joint(), joint(**change)
    assert str(changed.to_dict()) == str(plain.to_dict())
    changed.library.add(media.picture())
    changed.get_image_embedding(media.picture())
    assert str(changed.to_dict()) == str(plain.to_dict()), "using it must not change it"
    json.loads(changed.to_json())


def test_the_order_of_settings_does_not_matter(joint):
    one = joint(text={"dimension": 8, "roles": False})
    other = joint(text={"roles": False, "dimension": 8})
    assert str(one.to_dict()) == str(other.to_dict())


@pytest.mark.parametrize("copied", [lambda e: pickle.loads(pickle.dumps(e)), copy.deepcopy, copy.copy])
@pytest.mark.parametrize("used", [False, True])
def test_copies_are_equal_and_work(joint, media, copied, used):
    """Even of what no dictionary could hold: alignments that are in no file."""
    embedding = joint(bridge={"image": captions}, embeddings_cache=SimpleKVStore())
    picture = media.picture()
    (record,) = embedding.library.add(picture)
    if used:
        embedding.get_image_embedding(picture)
    again = copied(embedding)
    assert again.model_dump() == embedding.model_dump()
    assert again.to_dict() == embedding.to_dict()
    assert again.get_image_embedding(picture) == embedding.get_image_embedding(picture)
    assert again.library.find(record.reference) == record
    assert again.embeddings_cache.get_all("embeddings") != {}


def test_another_space_is_refused_at_first_use(stored, media, saved, joint):
    data = stored.to_dict()
    picture = media.picture()
    changed = MultiCoreMultiModalEmbedding.from_dict({**data, "text": {"dimension": 32, "roles": True, "model": "new"}})
    with pytest.raises(IncompatibleSpacesError, match="share no space"):
        changed.get_text_embedding("a")
    assert changed.get_image_embedding(picture) == stored.get_image_embedding(picture), "that space is still the same"
    pinned = joint(fingerprint="0" * 32)
    for embed in (pinned.get_image_embedding, pinned.get_audio_embedding, pinned.get_text_embedding):
        with pytest.raises(IncompatibleSpacesError, match="0" * 32):
            embed(str(picture))


async def test_another_space_is_refused_asynchronously(joint, media):
    pinned = joint(fingerprint="0" * 32, embeddings_cache=SimpleKVStore())
    with pytest.raises(IncompatibleSpacesError):
        await pinned.aget_image_embedding(media.picture())


# What a dictionary cannot hold.


def test_an_alignment_that_is_in_no_file_has_to_be_passed_again(joint):
    embedding = joint()
    maps = embedding.embedder._routes.alignments
    with pytest.raises(InvalidOptionError, match="save it and pass its path"):
        MultiCoreMultiModalEmbedding.from_dict(embedding.to_dict())
    again = MultiCoreMultiModalEmbedding.from_dict(embedding.to_dict(), alignment=list(maps))
    assert again.to_dict() == embedding.to_dict()


def test_a_file_that_holds_another_alignment_is_refused(stored, saved, joint):
    data = stored.to_dict()
    joint(seed=7).embedder._routes.alignments[0].save(saved[0])
    with pytest.raises(IncompatibleSpacesError, match="no longer holds"):
        MultiCoreMultiModalEmbedding.from_dict(data)


def test_a_bridge_that_is_a_function_has_to_be_passed_again(joint, media):
    embedding = joint(alignment=None, bridge={"image": captions})
    data = embedding.to_dict()
    assert data["bridge"] == {"image": {"function": "captions"}}
    with pytest.raises(InvalidOptionError, match="pass it again as bridge="):
        MultiCoreMultiModalEmbedding.from_dict(data)
    again = MultiCoreMultiModalEmbedding.from_dict(data, bridge={"image": captions})
    assert again.get_image_embedding(media.picture()) == embedding.get_image_embedding(media.picture())
    bridge = Bridge.of_function(captions, "image", "words")
    assert joint(bridge={"image": bridge}).bridge == {"image": {"function": bridge.name}}


# What is accepted and what is refused.


def test_one_framework_for_all(joint):
    joint()
    embedding = MultiCoreMultiModalEmbedding(framework="fake", model="fake-large", dimension=5)
    assert embedding.model_name == "fake-large"
    assert embedding.options == {"dimension": 5}
    assert len(embedding.get_query_embedding("a")) == 5
    assert MultiCoreMultiModalEmbedding.from_dict(embedding.to_dict()).to_dict() == embedding.to_dict()


def test_fields_say_which_models(joint):
    embedding = joint(image={"model": "large"})
    assert embedding.model_name == "text: fake-small, image: large, audio: fake-small"
    assert embedding.to_payload()["model_name"] == embedding.model_name
    assert repr(embedding).startswith("MultiCoreMultiModalEmbedding(")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model_name": "other"}, "goes with framework="),
        ({"model": "a", "model_name": "b"}, "two models"),
        ({"text": {"api_key": "k"}}, "pass api_key="),
        ({"image": {"cache": None}}, "for all modalities"),
        ({"audio": {"framework": "x"}}, "audio_framework="),
        ({"text": ["dimension"]}, "mapping"),
        ({"alignment": 5}, "takes an Alignment, a path"),
        ({"bridge": "caption"}, "mapping by modality"),
        ({"dimension": 5}, "goes with framework="),
        ({"options": {"device": "cpu"}}, "'device' is no option"),
        ({"dimensoin": 5}, "goes with framework="),
        ({"image": {"nonsense": 5}}, "no option 'nonsense'"),
    ],
    ids=str,
)
def test_a_setting_it_does_not_take_is_the_hosts_error(joint, settings, message):
    joint()
    with pytest.raises(InvalidOptionError, match=message):
        MultiCoreMultiModalEmbedding("fake", "fake-image", **settings)


def test_framework_errors_are_the_hosts(joint, missing_framework, tmp_path):
    joint()
    with pytest.raises(UnknownFrameworkError, match="did you mean"):
        MultiCoreMultiModalEmbedding("fake", "fake-imag")
    with pytest.raises(FrameworkUnavailableError, match="pip install"):
        MultiCoreMultiModalEmbedding(missing_framework)
    with pytest.raises(ModelLoadError, match="cannot be read"):
        MultiCoreMultiModalEmbedding("fake", alignment=tmp_path / "nothing.safetensors")


def test_settings_cannot_be_changed_afterwards(embedding):
    with pytest.raises(AttributeError, match="fixed once the embedding is made"):
        embedding.text_framework = "other"
    with pytest.raises(InvalidOptionError, match="make a new MultiCoreMultiModalEmbedding"):
        embedding.model_copy(update={"image": {}})
    assert embedding.model_copy(update={"embed_batch_size": 3}).embed_batch_size == 3


def test_making_one_loads_nothing(install_plugin, fake_framework):
    install_plugin(
        "llm-multi-core-lazy",
        entry_points={"lazy": "llm_multi_core_lazy"},
        modules={
            "llm_multi_core_lazy": """
                from llm_multi_core.embedder import FrameworkSpec, hookimpl

                @hookimpl
                def llm_multi_core_frameworks():
                    return [FrameworkSpec("lazy", ("image",), "lazy_encoder:Encoder", default_model={"image": "m"})]
            """,
            "lazy_encoder": "raise AssertionError('imported')",
        },
    )
    embedding = MultiCoreMultiModalEmbedding("fake", "lazy")
    assert embedding.image_framework == "lazy"
    assert "lazy_encoder" not in sys.modules


# Keys.

CANARY = "sk-canary-5f0c1e77"


@pytest.mark.parametrize("key", [CANARY, lambda: CANARY, {"keyed": CANARY}], ids=["str", "callable", "mapping"])
@pytest.mark.parametrize("used", [False, True])
def test_no_form_has_the_key(joint, keyed_framework, monkeypatch, key, used):
    joint()
    embedding = MultiCoreMultiModalEmbedding(keyed_framework, bridge={"image": captions}, api_key=key)
    if used:
        embedding.get_text_embedding_batch(["a", "b"])
    deep = copy.deepcopy(embedding)
    surfaces = {
        "repr": repr(embedding) + str(embedding),
        "dictionaries": str(embedding.to_dict()) + embedding.to_json() + str(embedding.model_dump()),
        "vars": str(vars(embedding)) + str(vars(embedding.embedder)) + str(embedding.to_payload()),
        "pickle": pickle.dumps(embedding).decode("latin-1"),
        "deepcopy": repr(deep) + pickle.dumps(deep).decode("latin-1"),
    }
    assert [name for name, surface in surfaces.items() if CANARY in surface] == []
    with pytest.raises(MissingCredentialsError, match="KEYED_API_KEY"):
        deep.get_text_embedding("a")
    monkeypatch.setenv("KEYED_API_KEY", "from-the-environment")
    assert deep.get_text_embedding("a") == embedding.get_text_embedding("a")


@pytest.mark.parametrize(
    "settings",
    [{"text": {"api_key": CANARY}}, {"nonsense": 1}, {"truncation": "maybe"}, {"embed_batch_size": 0}],
    ids=str,
)
def test_no_error_has_the_key(keyed_framework, settings):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - several kinds, all without the key
        MultiCoreMultiModalEmbedding(keyed_framework, **{"api_key": CANARY, **settings})
    assert CANARY not in str(caught.value) + repr(caught.value) + str(caught.value.args)
