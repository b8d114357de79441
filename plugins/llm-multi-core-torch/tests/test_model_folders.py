"""What is read from the folder of a model: its modules, its transformer, its pooling."""

from __future__ import annotations

import json

import pytest

from llm_multi_core.embedder import ModelLoadError
from llm_multi_core_torch import (
    NORMALIZE_IDENTITY,
    ModelFiles,
    ModuleEntry,
    default_pooling,
    padding_side,
    parts_identity,
    read_module_list,
    read_pooling,
    read_transformer,
    similarity_of,
)


@pytest.fixture
def folder(tmp_path):
    """Writes files into a model's folder; JSON unless they are texts."""

    def write(**contents):
        for name, content in contents.items():
            path = tmp_path / name.replace("__", "/").replace("_json", ".json")
            path.parent.mkdir(exist_ok=True)
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        return ModelFiles(tmp_path, "tiny")

    return write


def module(kind, path="", **more):
    return {"type": f"sentence_transformers.models.{kind}", "path": path, **more}


# The list of modules.


def test_modules_in_their_order(folder):
    own_code = {"type": "custom_st.Transformer", "path": "."}
    dense = module("Dense", "./2_Dense", kwargs=["task"])
    files = folder(modules_json=[own_code, module("Pooling", "1_Pooling"), dense])
    assert read_module_list(files) == [
        ModuleEntry("custom_st.Transformer", "", own_code=True),
        ModuleEntry("Pooling", "1_Pooling"),
        ModuleEntry("Dense", "2_Dense", keywords=("task",)),
    ]


def test_a_plain_transformer_lists_none(folder):
    assert read_module_list(folder(config_json={})) is None


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ([], "lists no modules"),
        ({}, "lists no modules"),
        ([{"path": ""}], "malformed entry"),
        (["Pooling"], "malformed entry"),
        ([module("Pooling", "../else")], "outside of the model: '../else'"),
        ([module("Pooling", "/etc")], "outside of the model"),
        ([module("Pooling", "C:\\else")], "outside of the model"),
        ([module("Pooling", 3)], "outside of the model: 3"),
    ],
)
def test_a_list_that_cannot_be_followed_is_refused(listed, message, folder):
    with pytest.raises(ModelLoadError, match=message):
        read_module_list(folder(modules_json=listed))


def test_a_normalisation_counts_only_before_something_else(folder):
    files, dense = folder(), {"kind": "Dense"}
    assert parts_identity(files, [dense, NORMALIZE_IDENTITY], trust_remote_code=False) == [dense]
    before = [NORMALIZE_IDENTITY, dense]
    assert parts_identity(files, [*before, NORMALIZE_IDENTITY, NORMALIZE_IDENTITY], trust_remote_code=False) == before


def test_code_of_the_models_own_counts_only_if_it_may_run(folder, tmp_path):
    files = folder()
    (tmp_path / "own.py").write_text("x = 1")
    assert parts_identity(files, ["a"], trust_remote_code=False) == ["a"]
    (_, code) = parts_identity(files, ["a"], trust_remote_code=True)
    assert code.keys() == {"own.py"}


def test_similarity():
    assert [similarity_of({"similarity_fn_name": name}) for name in ("dot", "dot_score", "cosine", None)] == [
        "dot",
        "dot",
        "cosine",
        "cosine",
    ]


# The pooling.


def test_old_and_new_ways_to_write_the_pooling(folder):
    old = {"word_embedding_dimension": 32, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}
    new = {"embedding_dimension": 32, "pooling_mode": ["cls", "mean"], "include_prompt": True}
    files = folder(old__config_json=old, new__config_json=new, bare__config_json={})
    pooling = read_pooling(files, "old")
    assert pooling == read_pooling(files, "new")
    assert (pooling.modes, pooling.width, pooling.include_prompt) == (("cls", "mean"), 32, True)
    assert read_pooling(files, "bare").modes == ("mean",)


@pytest.mark.parametrize(
    ("config", "mode"),
    [
        ({"architectures": ["BertModel"]}, "mean"),
        ({"architectures": ["LlamaForCausalLM"]}, "lasttoken"),
        ({"architectures": ["LlamaForCausalLM"], "is_causal": False}, "mean"),
        ({"architectures": None}, "mean"),
    ],
)
def test_the_pooling_of_a_plain_transformer(config, mode):
    pooling = default_pooling(config)
    assert pooling.modes == (mode,)
    assert pooling.identity == {"kind": "Pooling", "modes": "default"}


# The transformer.


@pytest.mark.parametrize(
    ("config", "settings", "tokenizer", "expected"),
    [
        ({"max_position_embeddings": 512}, {}, {"model_max_length": 256}, (256, 512)),
        ({"max_position_embeddings": 512}, {}, {"model_max_length": 10**30}, (512, 512)),
        ({"max_position_embeddings": 512}, {"max_seq_length": 128}, {}, (128, 512)),
        ({"max_position_embeddings": 514, "model_type": "roberta", "pad_token_id": 1}, {}, {}, (512, 512)),
        ({"n_embd": 8, "n_positions": 1024}, {}, {}, (1024, 1024)),
        ({"n_positions": 512}, {}, {}, (None, None)),  # T5, whose positions are relative
        ({"text_config": {"max_position_embeddings": 77}}, {}, {}, (None, 77)),
        ({}, {"processor_kwargs": {"model_max_length": 64}}, {"model_max_length": 512}, (64, None)),
        ({"max_position_embeddings": -1}, {}, {"model_max_length": 100}, (100, None)),
    ],
)
def test_the_longest_text(config, settings, tokenizer, expected, folder):
    files = folder(config_json=config, sentence_bert_config_json=settings, tokenizer_config_json=tokenizer)
    facts = read_transformer(files, "", {})
    assert (facts.max_tokens, facts.position_limit) == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"hidden_size": 8, "d_model": 9}, 8),
        ({"dim": 8, "hidden_dim": 9}, 8),
        ({"text_config": {"hidden_size": 8}}, 8),
        ({"hidden_size": "8"}, None),
    ],
)
def test_the_width_of_a_token(config, expected, folder):
    assert read_transformer(folder(config_json=config), "", {}).hidden_size == expected


@pytest.mark.parametrize(
    ("tokenizer", "config", "expected"),
    [
        ({"post_processor": None}, {}, False),
        ({"post_processor": {"type": "ByteLevel"}}, {"add_eos_token": True}, True),
        ({"post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {}}]}}, {}, False),
        ({"post_processor": {"type": "Sequence", "processors": [{"type": "RobertaProcessing"}]}}, {}, True),
    ],
)
def test_whether_an_empty_text_has_tokens(tokenizer, config, expected, folder):
    files = folder(config_json={}, tokenizer_json=tokenizer, tokenizer_config_json=config)
    assert read_transformer(files, "", {}).adds_tokens is expected


@pytest.mark.parametrize(
    ("config", "side"),
    [
        ({"model_type": "gpt2"}, "right"),
        ({"model_type": "opt", "max_position_embeddings": 2048}, "right"),
        ({"model_type": "qwen3", "rope_parameters": {"rope_theta": 10_000}}, "left"),
        ({"model_type": "qwen3_vl", "text_config": {"rope_theta": 10_000}}, "left"),
        ({"model_type": "xlnet"}, "left"),
    ],
)
def test_padding_on_the_left_is_for_relative_positions(config, side):
    assert padding_side(config, "left") == side
    assert padding_side(config, "right") == "right"


def test_lengths_and_whereabouts_are_no_part_of_the_identity(folder):
    first = read_transformer(
        folder(
            config_json={"hidden_size": 8, "_name_or_path": "here", "dtype": "float32"},
            sentence_bert_config_json={"max_seq_length": 128, "do_lower_case": False},
            tokenizer_json={"model": {"vocab": {}}, "truncation": {"max_length": 9}},
        ),
        "",
        {"model.safetensors": "abc"},
    )
    second = read_transformer(
        folder(
            config_json={"hidden_size": 8, "_name_or_path": "there", "dtype": "float16"},
            sentence_bert_config_json={"max_seq_length": 512, "do_lower_case": False},
            tokenizer_json={"model": {"vocab": {}}},
        ),
        "",
        {"model.safetensors": "abc"},
    )
    assert first.identity == second.identity
    lowered = folder(sentence_bert_config_json={"do_lower_case": True})
    other = read_transformer(lowered, "", {"model.safetensors": "abc"})
    assert other.identity != second.identity
