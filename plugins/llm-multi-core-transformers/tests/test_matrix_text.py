"""Text parity, architecture by architecture, with a reference computed straight from the library.

One case per code path runs by default, all of them with `-m "matrix or not matrix"`.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import pytest

from llm_multi_core.embedder import Task, create_text_embedder
from llm_multi_core.embedder.inputs.text import text_item

WIDTH, LIMIT = 32, 48

_COMMON = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
_BERT_LIKE = _COMMON | {"vocab_size": 400, "max_position_embeddings": LIMIT}
_ROBERTA_LIKE = _COMMON | {
    "vocab_size": 400,
    "max_position_embeddings": LIMIT + 2,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "type_vocab_size": 1,
}
_T5 = {
    "vocab_size": 400,
    "d_model": WIDTH,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 4,
    "pad_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}
_ROTARY = _COMMON | {"vocab_size": 400, "max_position_embeddings": LIMIT, "pad_token_id": 1}


@dataclass(frozen=True)
class Architecture:
    """One row of the matrix."""

    name: str
    classes: tuple[str, str]
    tokenizer: str
    settings: dict
    pooling: str = "mean"
    tokenizer_options: dict = field(default_factory=dict)
    loaded: str | None = None
    halves: bool = False
    always: bool = False
    framework: str = "huggingface"
    options: dict = field(default_factory=dict)
    role: str | None = None
    prompt: str = ""

    @property
    def id(self):
        return "-".join(filter(None, [self.framework, self.name, self.role or self.pooling]))


_E5 = {"prompts": {"query": "query: ", "document": "passage: "}}
_MODERNBERT = _ROTARY | {"local_attention": 8, "global_attn_every_n_layers": 2, "cls_token_id": 0, "sep_token_id": 2}


ARCHITECTURES = (
    Architecture("BERT", ("BertConfig", "BertModel"), "wordpiece", _BERT_LIKE, "cls", {"type_ids": True}, always=True),
    Architecture("RoBERTa", ("RobertaConfig", "RobertaModel"), "roberta", _ROBERTA_LIKE),
    Architecture("XLM-R", ("XLMRobertaConfig", "XLMRobertaModel"), "roberta", _ROBERTA_LIKE),
    Architecture(
        "DistilBERT",
        ("DistilBertConfig", "DistilBertModel"),
        "wordpiece",
        {"vocab_size": 400, "dim": WIDTH, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "max_position_embeddings": 48},
    ),
    Architecture("ALBERT", ("AlbertConfig", "AlbertModel"), "wordpiece", _BERT_LIKE | {"embedding_size": 16}, "max"),
    Architecture("ELECTRA", ("ElectraConfig", "ElectraModel"), "wordpiece", _BERT_LIKE | {"embedding_size": 16}),
    Architecture("MPNet", ("MPNetConfig", "MPNetModel"), "roberta", _ROBERTA_LIKE),
    Architecture("T5 encoder", ("T5Config", "T5EncoderModel"), "t5", _T5, loaded="T5EncoderModel", always=True),
    Architecture("T5, both halves", ("T5Config", "T5Model"), "t5", _T5, loaded="T5EncoderModel"),
    Architecture(
        "BART",
        ("BartConfig", "BartModel"),
        "roberta",
        {
            "vocab_size": 400,
            "d_model": WIDTH,
            "encoder_layers": 2,
            "decoder_layers": 1,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 48,
            "decoder_ffn_dim": 48,
            "max_position_embeddings": LIMIT,
            "pad_token_id": 1,
        },
        halves=True,
        always=True,
    ),
    Architecture(
        "GPT-2",
        ("GPT2Config", "GPT2Model"),
        "gpt",
        {"vocab_size": 400, "n_embd": WIDTH, "n_layer": 2, "n_head": 4, "n_positions": LIMIT},
        "weightedmean",
        {"padding_side": "left"},
        always=True,
    ),
    Architecture(
        "OPT",
        ("OPTConfig", "OPTModel"),
        "roberta",
        {
            "vocab_size": 400,
            "hidden_size": WIDTH,
            "word_embed_proj_dim": WIDTH,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "ffn_dim": 48,
            "max_position_embeddings": LIMIT,
            "pad_token_id": 1,
        },
        "lasttoken",
    ),
    Architecture(
        "Llama",
        ("LlamaConfig", "LlamaModel"),
        "llama",
        _ROTARY,
        "lasttoken",
        {"padding_side": "left"},
        always=True,
    ),
    Architecture(
        "Qwen3", ("Qwen3Config", "Qwen3Model"), "t5", _ROTARY | {"num_key_value_heads": 2, "head_dim": 8}, "lasttoken"
    ),
    Architecture("ModernBERT", ("ModernBertConfig", "ModernBertModel"), "roberta", _MODERNBERT, always=True),
    *(
        Architecture(
            "ModernBERT",
            ("ModernBertConfig", "ModernBertModel"),
            "roberta",
            _MODERNBERT,
            framework="modernbert",
            role=role,
            prompt=prompt,
            always=role == "query",
        )
        for role, prompt in (("query", "search_query: "), ("document", "search_document: "))
    ),
    *(
        Architecture(
            "E5 (XLM-R with prompts)",
            ("XLMRobertaConfig", "XLMRobertaModel"),
            "roberta",
            _ROBERTA_LIKE,
            options=_E5,
            role=role,
            prompt=_E5["prompts"][role],
        )
        for role in ("query", "document")
    ),
    Architecture("DeBERTa-v2", ("DebertaV2Config", "DebertaV2Model"), "wordpiece", _BERT_LIKE),
    Architecture("ELECTRA", ("ElectraConfig", "ElectraModel"), "wordpiece", _BERT_LIKE, "attention"),
    Architecture("BERT", ("BertConfig", "BertModel"), "wordpiece", _BERT_LIKE, "attention", always=True),
)


def cases():
    return [pytest.param(row, id=row.id, marks=() if row.always else pytest.mark.matrix) for row in ARCHITECTURES]


def reference(folder, row, texts, limit=LIMIT):
    """One text at a time, without padding, pooled by the textbook."""
    import torch
    import transformers
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model_class = getattr(transformers, row.loaded) if row.loaded else AutoModel
    model = model_class.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    if row.halves:
        model = model.get_encoder()
    rows = []
    for text in texts:
        inputs = tokenizer(row.prompt + text, truncation=True, max_length=limit, return_tensors="pt")
        with torch.inference_mode():
            output = model(**inputs, **({"output_attentions": True} if row.pooling == "attention" else {}))
        rows.append(textbook(row.pooling, output).numpy())
    return np.stack(rows)


def textbook(pooling, output):
    import torch

    states = output.last_hidden_state[0]
    length = len(states)
    if pooling == "attention":
        weights = output.attentions[-1][0].sum((0, 1))
    else:
        weights = {
            "mean": torch.ones(length),
            "weightedmean": torch.arange(1.0, length + 1),
            "cls": torch.eye(length)[0],
            "lasttoken": torch.eye(length)[-1],
            "max": None,
        }[pooling]
    return states.amax(0) if weights is None else (weights / weights.sum()) @ states


def embedder_for(folder, row):
    settings = {"device": "cpu", "precision": "float32", "truncation": "truncate"}
    pooling = {} if row.framework == "modernbert" else {"pooling": row.pooling}
    return closing(create_text_embedder(row.framework, str(folder), **settings, **pooling, **row.options))


@pytest.mark.parametrize("row", cases())
def test_vectors_equal_those_of_transformers(row, tmp_path, save_backbone, texts, parity):
    folder = save_backbone(tmp_path, *row.classes, row.tokenizer, row.tokenizer_options, **row.settings)
    expected = reference(folder, row, texts)
    with embedder_for(folder, row) as embedder:
        parity.check(embedder, texts, expected, architecture=row.name, variant=row.role or row.pooling, role=row.role)


BACKBONES = {row.name: row for row in ARCHITECTURES if row.pooling != "attention" and row.framework == "huggingface"}
"""One row for each architecture, the last."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "GPT-2" else pytest.mark.matrix) for name in BACKBONES]
)
def test_sentence_transformers_on_every_backbone(name, tmp_path, save_backbone, texts, parity):
    """The other framework for text, against its own library, each backbone under a pooling of its folder."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    row = BACKBONES[name]
    # The library pads all texts, even one alone, so that GPT-2 needs what to pad with.
    options = row.tokenizer_options | ({"pad_token": "</s>"} if row.tokenizer == "gpt" else {})
    backbone = save_backbone(tmp_path / "backbone", *row.classes, row.tokenizer, options, **row.settings)
    modules = [Transformer(str(backbone), max_seq_length=LIMIT), Pooling(WIDTH, row.pooling)]
    SentenceTransformer(modules=modules, device="cpu", **row.options).save(str(tmp_path), create_model_card=False)
    library = SentenceTransformer(str(tmp_path), device="cpu")
    expected = (library.encode_document if row.role == "document" else library.encode)(texts, batch_size=1)
    settings = {"device": "cpu", "precision": "float32", "truncation": "truncate"}
    with closing(create_text_embedder("sentence-transformers", str(tmp_path), **settings)) as embedder:
        parity.check(embedder, texts, expected, architecture=name, variant=row.role or row.pooling, role=row.role)


LONG = 512
POSITIONS = {
    "BERT": LONG,
    "XLM-R": LONG + 2,
    "GPT-2": LONG,
    "Llama": LONG,
    "ModernBERT": LONG,
    "T5 encoder": None,
}
"""Architectures with as many positions as it takes, by the setting that says so."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "BERT" else pytest.mark.matrix) for name in POSITIONS]
)
def test_three_tokens_beside_five_hundred(name, tmp_path, save_backbone, same_vectors):
    """In one batch, which the pipeline would rather not make."""
    row = next(row for row in ARCHITECTURES if row.name == name)
    positions = {key: POSITIONS[name] for key in ("max_position_embeddings", "n_positions") if key in row.settings}
    options = row.tokenizer_options | {"model_max_length": LONG}
    folder = save_backbone(tmp_path, *row.classes, row.tokenizer, options, **row.settings | positions)
    texts = ["a", "river", "the whale " * 250, "copper in the kitchen"]
    expected = reference(folder, row, texts, LONG)
    with embedder_for(folder, row) as embedder:
        encoder = embedder._resolve().handle.encoder()
        encoder.load()
        items = [text_item(text) for text in texts]
        units = encoder.measure(items, Task()).units
        assert min(units) <= 3
        assert max(units) >= 500
        found = encoder.forward(encoder.prepare(items, Task()))
    same_vectors(found, expected)
