"""The function by itself: vectors, roles, inputs, settings."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from lancedb.embeddings import EmbeddingFunction, get_registry
from PIL import Image as Pillow
from pydantic import ValidationError

from llm_multi_core.embedder import (
    Audio,
    FrameworkUnavailableError,
    Image,
    IncompatibleSpacesError,
    InvalidInputError,
    InvalidOptionError,
    UnknownFrameworkError,
)
from llm_multi_core.embedder.analysis import Alignment
from llm_multi_core_lancedb import NAME, MultiCoreEmbeddingFunction


@pytest.fixture
def variables():
    registry = get_registry()
    before = dict(registry._variables)
    yield registry
    registry._variables = before


def test_it_is_registered(joint):
    function = joint()
    assert get_registry().get(NAME) is MultiCoreEmbeddingFunction
    assert isinstance(function, EmbeddingFunction)
    assert function.ndims() == 32


def test_documents_and_queries_take_their_roles(joint):
    function = joint()
    (document,), (query,) = function.compute_source_embeddings(["words"]), function.compute_query_embeddings("words")
    np.testing.assert_allclose(document, function.embedder.embed_joint(["words"], "document")[0])
    np.testing.assert_allclose(query, function.embedder.embed_joint(["words"], "query")[0])
    assert not np.allclose(document, query)


@pytest.mark.parametrize(
    "form", [list, np.asarray, pa.array, lambda values: pa.chunked_array([values[:1], values[1:]])]
)
def test_columns_come_in_many_forms(joint, form):
    texts = ["one", "two words", "three"]
    function = joint()
    expected = function.embedder.embed_joint(texts, "document")
    np.testing.assert_allclose(function.compute_source_embeddings(form(texts)), expected)
    assert len(function.compute_source_embeddings("one")) == 1


def test_missing_values_have_no_vector(joint):
    function = joint()
    vectors = function.compute_source_embeddings(["one", None, "two"])
    assert vectors[1] is None
    np.testing.assert_allclose(vectors[2], function.embedder.embed_joint(["two"], "document")[0])
    assert function.compute_source_embeddings([None]) == [None]


def test_columns_of_images_and_sound(joint, pictures, sounds):
    images, audio = joint(source="image"), joint(source="audio")
    expected = images.embedder.embed_joint([*pictures, *sounds], "document")
    for values in ([str(path) for path in pictures], [path.as_uri() for path in pictures]):
        np.testing.assert_allclose(images.compute_source_embeddings(values), expected[:4], atol=1e-6)
    np.testing.assert_allclose(
        images.compute_source_embeddings(pa.array([path.read_bytes() for path in pictures])), expected[:4], atol=1e-6
    )
    np.testing.assert_allclose(audio.compute_source_embeddings([str(path) for path in sounds]), expected[4:], atol=1e-6)
    np.testing.assert_allclose(
        audio.compute_source_embeddings([path.read_bytes() for path in sounds]), expected[4:], atol=1e-6
    )


def test_queries_of_every_modality(joint, pictures, sounds):
    function = joint()
    expected = function.embedder.embed_joint([pictures[0], sounds[0]], "query")
    with Pillow.open(pictures[0]) as picture:
        forms = [picture.copy(), pictures[0].read_bytes(), Image(str(pictures[0])), pictures[0]]
    for form in forms:
        np.testing.assert_allclose(function.compute_query_embeddings(form)[0], expected[0], atol=1e-6)
    for form in (sounds[0].read_bytes(), Audio(str(sounds[0])), sounds[0]):
        np.testing.assert_allclose(function.compute_query_embeddings(form)[0], expected[1], atol=1e-6)


def test_texts_that_look_like_places_are_texts(joint, pictures, on_this_machine):
    function = joint()
    for place in (str(pictures[0]), pictures[0].as_uri(), "http://169.254.169.254/latest"):
        expected = function.embedder.embedders["text"].embed(place, "query")
        np.testing.assert_allclose(function.compute_query_embeddings(place)[0], expected)
        expected = function.embedder.embedders["text"].embed(place, "document")
        np.testing.assert_allclose(function.compute_source_embeddings([place])[0], expected)
    assert on_this_machine == []


def test_what_cannot_be_embedded_is_named(joint, pictures, tmp_path):
    with pytest.raises(InvalidInputError, match=r"input 2: .*no such file"):
        joint(source="image").compute_source_embeddings([str(pictures[0]), None, str(tmp_path / "missing.png")])
    with pytest.raises(InvalidInputError, match="input 1: a column of texts holds bytes"):
        joint().compute_source_embeddings(["words", b"bytes"])
    with pytest.raises(InvalidInputError, match="of no known kind"):
        joint().compute_query_embeddings(b"what is this")


def test_failures_are_not_tried_again_and_again(joint, monkeypatch):
    function = joint()
    calls = []
    monkeypatch.setattr(
        type(function.embedder), "embed_joint", lambda *a: calls.append(a) or (_ for _ in ()).throw(OSError("no"))
    )
    for compute in (function.compute_source_embeddings_with_retry, function.compute_query_embeddings_with_retry):
        with pytest.raises(OSError, match="no"):
            compute("words")
    assert len(calls) == 2


# Settings.


def test_settings_errors_are_the_hosts(missing_framework, joint):
    joint()
    with pytest.raises(UnknownFrameworkError, match="did you mean"):
        MultiCoreEmbeddingFunction.create(text_framework="fak").ndims()
    with pytest.raises(FrameworkUnavailableError, match="pip install"):
        MultiCoreEmbeddingFunction.create(text_framework=missing_framework).ndims()
    with pytest.raises(InvalidOptionError, match="no option 'dimensoin'"):
        MultiCoreEmbeddingFunction.create(text_framework="fake", text={"dimensoin": 5}).ndims()
    with pytest.raises(ValidationError, match="Extra inputs"):
        MultiCoreEmbeddingFunction.create(text_framwork="fake")
    with pytest.raises(ValidationError, match="source"):
        MultiCoreEmbeddingFunction.create(text_framework="fake", source="video")


def test_one_framework_and_its_options(fake_framework):
    function = MultiCoreEmbeddingFunction.create(framework=fake_framework, model="fake-large", options={"dimension": 5})
    assert function.ndims() == 5
    assert function.embedder.embedders["text"].model == "fake-large"
    again = MultiCoreEmbeddingFunction.create(**function.safe_model_dump())
    assert again.ndims() == 5
    assert again.embedder.space == function.embedder.space


def test_what_a_table_keeps_leads_back(joint):
    function = joint(source="image", device="cpu")
    kept = function.safe_model_dump()
    assert json.loads(json.dumps(kept)) == kept
    assert kept["fingerprint"] == function.embedder.space.fingerprint
    assert kept["source"] == "image"
    again = MultiCoreEmbeddingFunction.create(**kept)
    assert again.safe_model_dump() == kept
    assert again == MultiCoreEmbeddingFunction.create(**kept)
    assert hash(again) == hash(MultiCoreEmbeddingFunction.create(**kept))
    assert again != joint()
    assert again.embedder is MultiCoreEmbeddingFunction.create(**kept).embedder, "LanceDB makes one for every call"


def test_a_model_that_became_another_is_refused(joint):
    changed = joint(fingerprint="0" * 32)
    for compute in (changed.compute_source_embeddings, changed.compute_query_embeddings):
        with pytest.raises(IncompatibleSpacesError, match="0" * 32):
            compute("words")


def test_only_what_can_be_made_again_is_taken(joint, fake_framework):
    (path, _) = joint()._kept["alignment"]
    alignment = Alignment.load(path["path"])
    with pytest.raises(InvalidOptionError, match="save it and pass its path"):
        joint(alignment=[alignment])
    with pytest.raises(InvalidOptionError, match="pass it again as bridge="):
        MultiCoreEmbeddingFunction.create(text_framework=fake_framework, bridge={"image": lambda media: media})


# Keys and grants.

KEY = "sk-canary-5f0c1e77"

KEYED_PLUGIN = """
from llm_multi_core.embedder import Credentials, FrameworkSpec, hookimpl
from llm_multi_core.embedder.testing.fakes import FAKE_OPTIONS, FakeHostedEncoder

CREDENTIALS = Credentials(("KEYED_API_KEY",))
seen = []

class KeyedEncoder(FakeHostedEncoder):
    async def request(self, items, task):
        seen.append(CREDENTIALS.require(self.config.secret, "keyed"))
        return await super().request(items, task)

@hookimpl
def llm_multi_core_frameworks():
    return [FrameworkSpec("keyed", ("text",), "llm_multi_core_keyed:KeyedEncoder", options=FAKE_OPTIONS, hosted=True,
                          credentials=CREDENTIALS, default_model={"text": "keyed-small"})]
"""


@pytest.fixture
def keyed(install_plugin, monkeypatch):
    monkeypatch.delenv("KEYED_API_KEY", raising=False)
    install_plugin(
        "llm-multi-core-keyed",
        entry_points={"keyed": "llm_multi_core_keyed"},
        modules={"llm_multi_core_keyed": KEYED_PLUGIN},
    )
    import llm_multi_core_keyed

    return llm_multi_core_keyed


@pytest.mark.parametrize("key", [KEY, {"keyed": KEY}, lambda: KEY, "$var:key:" + KEY], ids=str)
def test_a_key_is_a_variable_or_nothing(keyed, key):
    with pytest.raises(InvalidOptionError, match=r"\$var:my_api_key") as caught:
        MultiCoreEmbeddingFunction.create(text_framework="keyed", api_key=key)
    assert KEY not in str(caught.value) + repr(caught.value)
    with pytest.raises(InvalidOptionError) as caught:
        MultiCoreEmbeddingFunction.create(text_framework="keyed", text={"api_key": KEY})
    assert KEY not in str(caught.value)


def test_a_key_of_a_variable_is_used_and_nowhere_kept(keyed, variables):
    variables.set_var("my_key", KEY)
    function = MultiCoreEmbeddingFunction.create(text_framework="keyed", api_key="$var:my_key")
    function.compute_query_embeddings("words")
    assert keyed.seen == [KEY]
    kept = function.safe_model_dump()
    assert kept["api_key"] == "$var:my_key"
    assert KEY not in json.dumps(kept) + repr(function) + str(function.model_dump()) + function.model_dump_json()
    MultiCoreEmbeddingFunction.create(**kept).compute_query_embeddings("other words")
    assert keyed.seen == [KEY, KEY]


@pytest.mark.parametrize(
    "grant",
    [{"trust_remote_code": True}, {"options": {"trust_remote_code": True}}, {"text": {"trust_remote_code": True}}],
    ids=str,
)
def test_a_table_does_not_grant_trust(fake_framework, grant):
    with pytest.raises(InvalidOptionError, match="in your own program"):
        MultiCoreEmbeddingFunction.create(text_framework=fake_framework, **grant)


@pytest.mark.parametrize("value", [True, "yes", "$var:allow:True"])
def test_a_table_does_not_grant_fetching(joint, value):
    with pytest.raises(InvalidOptionError, match=r"\$var:my_allow_urls"):
        joint(source="image", allow_urls=value)


def test_the_program_grants_fetching_by_a_variable(joint, variables, on_this_machine):
    variables.set_var("may_fetch", True)
    granted = joint(source="image", allow_urls="$var:may_fetch")
    assert granted.safe_model_dump()["allow_urls"] == "$var:may_fetch"
    with pytest.raises(InvalidInputError, match="not a public address"):
        granted.compute_source_embeddings(["http://127.0.0.1:9/a.png"])
    with pytest.raises(InvalidInputError, match="allow_urls"):
        joint(source="image").compute_source_embeddings(["http://169.254.169.254/a.png"])
    assert on_this_machine == []
