"""Stella: a projection for each dimension, prompts for queries, and trust only where it is given."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from llm_multi_core.embedder import (
    InvalidOptionError,
    ModelLoadError,
    UnsupportedDimensionsError,
    UntrustedCodeError,
    create_text_embedder,
)
from llm_multi_core.embedder.testing.conformance import EncoderCase, EncoderConformance

TEXTS = ["river", "a whale in the harbour of the mountain", "python vector database payment", "volcano orchard copper"]


@pytest.fixture
def stella(model_folder):
    made = []

    def make(model=None, **settings):
        settings = {"device": "cpu", "precision": "float32"} | settings
        made.append(create_text_embedder("stella", str(model or model_folder("stella")), **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def with_head(model_folder, reference, tmp_path):
    """The way of the model card: the folder with another projection in its modules.json, loaded by the library."""

    def load(dimension):
        folder = shutil.copytree(model_folder("stella"), tmp_path / f"head-{dimension}")
        listed = (folder / "modules.json").read_text()
        (folder / "modules.json").write_text(listed.replace("2_Dense_24", f"2_Dense_{dimension}"))
        return reference(str(folder))

    return load


@pytest.mark.parametrize("dimension", [None, 12, 24, 48])
def test_each_dimension_has_its_own_projection(dimension, stella, with_head, texts, parity):
    some = [text for text in texts if text][:80]
    theirs = with_head(dimension or 24).encode(some, prompt_name="s2p_query", normalize_embeddings=True)
    embedder = stella(dimensions=dimension, truncation="truncate")
    assert embedder.dimension == theirs.shape[1] == (dimension or 24)
    variant = f"head of {dimension} dimensions" if dimension else "head that modules.json names"
    parity.check(embedder, some, theirs, architecture="Stella", variant=variant, role="query")


def test_a_smaller_dimension_is_no_slice(stella):
    small, large = stella(dimensions=12), stella(dimensions=24)
    cut = large.embed_batch(TEXTS)[:, :12]
    cut /= np.linalg.norm(cut, axis=1, keepdims=True)
    assert ((small.embed_batch(TEXTS) * cut).sum(axis=1) < 0.99).all()
    assert not small._resolve().description.sliceable
    assert small.space.fingerprint != large.space.cut(12).fingerprint
    assert stella().space.fingerprint == large.space.fingerprint


@pytest.mark.parametrize("dimension", [1, 13, 32, 1024])
def test_a_dimension_without_projection_is_refused_with_those_that_there_are(dimension, stella):
    with pytest.raises(UnsupportedDimensionsError, match=f"no projection to {dimension} dimensions.*: 12, 24, 48"):
        _ = stella(dimensions=dimension).space


def test_prompts(stella, with_head, same_vectors):
    library = with_head(24)
    encode = {"normalize_embeddings": True}
    to_passages, alike = (library.encode(TEXTS, prompt_name=f"{name}_query", **encode) for name in ("s2p", "s2s"))
    plain = library.encode(TEXTS, prompt="", **encode)
    embedder = stella()
    same_vectors(embedder.embed_batch(TEXTS, role="query"), to_passages)
    same_vectors(embedder.embed_batch(TEXTS, role="document"), plain)
    same_vectors(embedder.embed_batch(TEXTS), alike)
    same_vectors(stella(query_prompt="s2s").embed_batch(TEXTS, role="query"), alike)
    assert stella(query_prompt="s2s").encoder_id != embedder.encoder_id
    assert ((to_passages * alike).sum(axis=1) < 0.99).all()
    given = stella(prompts={"s2p_query": "find ", "document": "text: "})
    same_vectors(given.embed_batch(TEXTS, role="query"), library.encode(TEXTS, prompt="find ", **encode))
    same_vectors(given.embed_batch(TEXTS, role="document"), library.encode(TEXTS, prompt="text: ", **encode))
    instructed = embedder.embed_batch(TEXTS, role="query", instruction="Find the copper.")
    same_vectors(instructed, library.encode(TEXTS, prompt="Instruct: Find the copper.\nQuery: ", **encode))


def test_the_prompts_of_the_card_where_the_configuration_has_none(stella, model_folder, tmp_path):
    folder = shutil.copytree(model_folder("stella"), tmp_path / "silent")
    (folder / "config_sentence_transformers.json").unlink()
    treatments = stella(folder)._resolve().handle.encoder()._treatments
    assert {str(role): treatment.prompt for role, treatment in treatments.by_role.items()} == {
        "query": "Instruct: Given a web search query, retrieve relevant passages that answer the query.\nQuery: ",
        "document": "",
        "symmetric": "Instruct: Retrieve semantically similar text.\nQuery: ",
    }


def test_wrong_options(stella):
    with pytest.raises(InvalidOptionError, match=r"query_prompt='s2q'.*is not one of 's2p', 's2s'"):
        stella(query_prompt="s2q")
    with pytest.raises(InvalidOptionError, match=r"prompts\['query'\] is a int"):
        _ = stella(prompts={"query": 3}).space
    with pytest.raises(InvalidOptionError, match="no option 'default_prompt_name'"):
        stella(default_prompt_name="s2p_query")


def test_another_model_is_sent_to_its_framework(stella, model_folder):
    with pytest.raises(ModelLoadError, match=r"is no Stella model.*use framework 'sentence-transformers'"):
        _ = stella(model_folder("mean")).space


def test_code_of_its_own_runs_only_if_allowed(stella, model_folder, tmp_path):
    folder = shutil.copytree(model_folder("stella"), tmp_path / "coded")
    config = json.loads((folder / "config.json").read_text())
    asks = {"auto_map": {"AutoModel": "modeling.NewModel"}, "use_memory_efficient_attention": True}
    (folder / "config.json").write_text(json.dumps(config | asks))
    with pytest.raises(UntrustedCodeError, match=r"code of its own \(AutoModel\).*trust_remote_code=True"):
        _ = stella(folder).space
    encoder = stella(folder, trust_remote_code=True)._resolve().handle.encoder()
    # Without a GPU and xformers, the attention of the card's CPU example is asked for.
    assert encoder._config_kwargs() == {"use_memory_efficient_attention": False, "unpad_inputs": False}


class TestStella(EncoderConformance):
    @pytest.fixture
    def case(self, model_folder):
        samples = [*TEXTS, "glacier", "a violin", "protein of the kitchen", "semaphore", "engine in the weather"]
        variations = [{"query_prompt": "s2s"}, {"dimensions": 48}, {"max_length": 20}]
        return EncoderCase(
            "stella",
            model=str(model_folder("stella")),
            device="cpu",
            samples=samples,
            variations=variations,
            instruction="copper",
            dimensions=12,
        )
