"""What all tests here share: no network, tiny text models with random weights."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def _no_hub() -> Iterator[None]:
    """Nothing here may reach the network."""
    from huggingface_hub import constants

    patch = pytest.MonkeyPatch()
    patch.setattr(constants, "HF_HUB_OFFLINE", True)
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def _cache_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes are not to be remembered beyond the tests."""
    monkeypatch.setenv("LLM_MULTI_CORE_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "cache"))


# Tiny text models.

WIDTH = 32
SPREAD = 0.3
"""Standard deviation of random weights: wide, so that different texts get different vectors."""
LIMIT = 48

WORDS = (  # noqa: SIM905 - reads better than a list of quoted words
    "the a of and to in is river mountain engine invoice lighthouse python vector database payment weather "
    "relativity kitchen violin harbour glacier notebook committee volcano protein semaphore orchard whale copper"
).split()


@pytest.fixture(scope="session")
def texts():
    """Texts of one word up to over the limit of every tiny model, other scripts, duplicates."""
    draw = random.Random(7)
    made = [" ".join(draw.choices(WORDS, k=draw.choice([1, 2, 3, 5, 8, 13, 21, 60]))) for _ in range(36)]
    made += ["photo.png", "Größe, naïve café!", "line\nbreak\tand tab", made[0]]
    draw.shuffle(made)
    return made


def _wordpiece():
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    characters = [chr(code) for code in range(33, 127)]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *(f"##{c}" for c in characters), *WORDS]
    vocabulary = {piece: place for place, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return tokenizer, names


def _bytes(*, before=None, after=None, pad="<pad>"):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ġ", "t"), ("h", "e"), ("Ġt", "he"), ("i", "n"), ("e", "r")]
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", *alphabet, *("".join(pair) for pair in merges)]
    tokenizer = Tokenizer(models.BPE({word: place for place, word in enumerate(vocabulary)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    around = [("<s>", 0)] * bool(before) + [("</s>", 2)] * bool(after)
    if around:
        template = " ".join(part for part in (before, "$A", after) if part)
        tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=around)
    names = {"eos_token": "</s>", "unk_token": "<unk>"} | ({"pad_token": pad} if pad else {})
    return tokenizer, names


TOKENIZERS = {
    "wordpiece": _wordpiece,
    "roberta": lambda: _bytes(before="<s>", after="</s>"),
    "t5": lambda: _bytes(after="</s>"),
    "gpt": lambda: _bytes(pad=None),
    "llama": lambda: _bytes(before="<s>"),
}


@pytest.fixture
def save_tokenizer():
    return _save_tokenizer


@pytest.fixture
def widen():
    return _widen


def _save_tokenizer(folder, kind, **options):
    from transformers import PreTrainedTokenizerFast

    tokenizer, names = TOKENIZERS[kind]()
    inputs = ["input_ids", "attention_mask"] + (["token_type_ids"] if options.pop("type_ids", False) else [])
    options = {"model_max_length": LIMIT, "model_input_names": inputs} | options
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names, **options).save_pretrained(folder)


def _widen(model):
    """Random weights drawn wide, whatever the architecture's own way to draw them is."""
    import torch

    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                torch.nn.init.normal_(weight, std=SPREAD)
            elif "norm" not in name.lower():
                torch.nn.init.normal_(weight, std=0.02)
    return model.eval()


@pytest.fixture
def save_backbone():
    return _save_backbone


def _save_backbone(folder, config_name, model_name, tokenizer, tokenizer_options=None, **settings):
    """A model of a transformers class with its tokenizer, saved; the folder."""
    import torch
    import transformers

    torch.manual_seed(11)
    config = getattr(transformers, config_name)(**settings)
    _widen(getattr(transformers, model_name)(config)).save_pretrained(folder)
    _save_tokenizer(folder, tokenizer, **(tokenizer_options or {}))
    return folder
