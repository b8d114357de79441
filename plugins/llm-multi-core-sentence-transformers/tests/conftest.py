"""Tiny models with random weights, one folder each, and texts to try them with."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from llm_multi_core.embedder import EncoderConfig

WIDTH = 32
"""Hidden size of every tiny model."""
SPREAD = 0.3
"""Standard deviation of random weights: wide, so that different texts get different vectors."""

WORDS = (  # noqa: SIM905 - reads better than a list of quoted words
    "the a of and to in is river mountain engine invoice lighthouse python vector database payment weather "
    "relativity kitchen violin harbour glacier notebook committee volcano protein semaphore orchard whale copper"
).split()


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


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """500 texts: short, long, over every tiny model's limit, empty, duplicates, other scripts."""
    draw = random.Random(7)
    made = [" ".join(draw.choices(WORDS, k=draw.choice([1, 2, 3, 5, 8, 13, 21, 34, 90]))) for _ in range(440)]
    made += ["photo.png", "https://example.org/cat.jpg", "data:image/png;base64,AAAA", "clip.mp3"]
    made += ["Größe, naïve café!", "量子力学の本", "line\nbreak\tand tab", "[SEP] [CLS] <|end|>", "  padded  "]
    made += [*draw.choices(made, k=500 - len(made) - 2), "", ""]
    draw.shuffle(made)
    return made


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny model by its name; made when first asked for."""
    root = tmp_path_factory.mktemp("models")

    @cache
    def build(name: str) -> Path:
        return _BUILDERS[name](root / name)

    return build


@pytest.fixture
def config() -> Callable[..., EncoderConfig]:
    """An encoder's configuration in float32 on the CPU."""

    def make(model: str | Path, **options: Any) -> EncoderConfig:
        common = {"device": "cpu", "precision": "float32"}
        common.update({name: options.pop(name) for name in ("precision", "device", "dimensions") if name in options})
        distribution = "llm-multi-core-sentence-transformers"
        return EncoderConfig("sentence-transformers", distribution, str(model), **common, options=options)

    return make


@pytest.fixture(scope="session")
def reference() -> Callable[..., Any]:
    """The same folder, loaded by sentence-transformers itself, in float32."""
    import torch
    from sentence_transformers import SentenceTransformer

    @cache
    def load(folder: str) -> SentenceTransformer:
        return SentenceTransformer(folder, device="cpu", local_files_only=True, model_kwargs={"dtype": torch.float32})

    return load


# Tokenizers.


def _wordpiece(folder: Path, **options: Any) -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    characters = [chr(code) for code in range(33, 127)]
    pieces = [*specials, *characters, *(f"##{character}" for character in characters), *WORDS, "##s", "ing", "##ing"]
    vocabulary = {piece: place for place, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    options = {"model_max_length": 40, "model_input_names": ["input_ids", "token_type_ids", "attention_mask"]} | options
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        **options,
    ).save_pretrained(folder)


def _bytes_tokenizer(folder: Path, *, ends: bool = False, **options: Any) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ġ", "t"), ("h", "e"), ("Ġt", "he"), ("i", "n"), ("e", "r")]
    vocabulary = [*alphabet, *("".join(pair) for pair in merges), "<|end|>", "<|pad|>"]
    tokenizer = Tokenizer(models.BPE({word: place for place, word in enumerate(vocabulary)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if ends:
        end = vocabulary.index("<|end|>")
        tokenizer.post_processor = processors.TemplateProcessing("$A <|end|>", special_tokens=[("<|end|>", end)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|pad|>", model_max_length=60, **options
    )
    fast.save_pretrained(folder)
    return fast


# Backbones.


def _bert(folder: Path, **options: Any) -> Path:
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(11)
    settings = BertConfig(
        vocab_size=400,
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=48,
        initializer_range=SPREAD,
    )
    BertModel(settings, add_pooling_layer=False).to(options.pop("dtype", torch.float32)).save_pretrained(folder)
    _wordpiece(folder, **options)
    return folder


def _llama(folder: Path, **options: Any) -> Path:
    import torch
    from transformers import LlamaConfig, LlamaModel

    torch.manual_seed(12)
    settings = LlamaConfig(
        vocab_size=300,
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=60,
        initializer_range=SPREAD,
    )
    LlamaModel(settings).save_pretrained(folder)
    _bytes_tokenizer(folder, **options)
    return folder


def _static_module() -> Any:
    import torch
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    torch.manual_seed(13)
    vocabulary = {word: place for place, word in enumerate(["[UNK]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return StaticEmbedding(tokenizer, embedding_weights=torch.randn(len(WORDS) + 1, WIDTH))


# Models.


def _save(folder: Path, modules: list[Any], **options: Any) -> Path:
    from sentence_transformers import SentenceTransformer

    SentenceTransformer(modules=modules, device="cpu", **options).save(str(folder), create_model_card=False)
    return folder


def _transformer(folder: Path, **options: Any) -> Any:
    from sentence_transformers.base.modules import Transformer

    return Transformer(str(folder), **options)


def _mean(folder: Path, **options: Any) -> Path:
    from sentence_transformers.base.modules import Normalize
    from sentence_transformers.sentence_transformer.modules import Pooling

    backbone = _transformer(_bert(folder.with_suffix(".backbone")), max_seq_length=32)
    return _save(folder, [backbone, Pooling(WIDTH, "mean"), Normalize()], **options)


def _cls(folder: Path) -> Path:
    from sentence_transformers.sentence_transformer.modules import Pooling

    return _save(folder, [_transformer(_bert(folder.with_suffix(".backbone"))), Pooling(WIDTH, ("cls", "max"))])


def _last_token(folder: Path) -> Path:
    from sentence_transformers.sentence_transformer.modules import Pooling

    backbone = _llama(folder.with_suffix(".backbone"), padding_side="left")
    return _save(folder, [_transformer(backbone), Pooling(WIDTH, "lasttoken")], prompts={"query": "find: "})


def _dense(folder: Path) -> Path:
    import torch
    from sentence_transformers.base.modules import Dense
    from sentence_transformers.sentence_transformer.modules import Pooling

    torch.manual_seed(14)
    head = Dense(WIDTH, 24, activation_function=torch.nn.Tanh())
    torch.nn.init.normal_(head.linear.weight, std=SPREAD)
    backbone = _transformer(_bert(folder.with_suffix(".backbone")))
    return _save(folder, [backbone, Pooling(WIDTH, "mean"), head], truncate_dim=16)


def _prompted(folder: Path) -> Path:
    from sentence_transformers.sentence_transformer.modules import Pooling

    backbone = _transformer(_bert(folder.with_suffix(".backbone")))
    prompts = {"query": "payment of the ", "document": "weather in the ", "cluster": "orchard "}
    pooling = Pooling(WIDTH, "mean", include_prompt=False)
    return _save(folder, [backbone, pooling], prompts=prompts, default_prompt_name="cluster")


def _router(folder: Path) -> Path:
    from sentence_transformers.base.modules import Normalize, Router
    from sentence_transformers.sentence_transformer.modules import Pooling

    document = [_transformer(_bert(folder.with_suffix(".backbone"))), Pooling(WIDTH, "mean")]
    router = Router.for_query_document([_static_module()], document)
    return _save(folder, [router, Normalize()])


def _static(folder: Path) -> Path:
    return _save(folder, [_static_module()])


def _bag_of_words(folder: Path) -> Path:
    from sentence_transformers.sentence_transformer.modules import BoW

    return _save(folder, [BoW(list(WORDS))])


def _plain_transformer(folder: Path) -> Path:
    return _bert(folder)


def _half(folder: Path) -> Path:
    """A checkpoint that is stored, and configured, in bfloat16."""
    import torch

    _bert(folder, dtype=torch.bfloat16)
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    return folder


def _left_cut(folder: Path) -> Path:
    """A tokenizer that keeps the end of an over-long text."""
    from sentence_transformers.sentence_transformer.modules import Pooling

    backbone = _transformer(_bert(folder.with_suffix(".backbone"), truncation_side="left"))
    return _save(folder, [backbone, Pooling(WIDTH, "weightedmean")])


def _clip(folder: Path) -> Path:
    """A model of text and images, which would take some texts for images."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

    torch.manual_seed(15)
    backbone = folder.with_suffix(".backbone")
    tokenizer = _bytes_tokenizer(backbone, ends=True)
    sizes = {"hidden_size": WIDTH, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    text = sizes | {
        "vocab_size": 300,
        "max_position_embeddings": 60,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": 0,
    }
    vision = sizes | {"image_size": 16, "patch_size": 8}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=WIDTH))
    for weight in model.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=SPREAD)
    model.save_pretrained(backbone)
    sized = {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}}
    CLIPProcessor(image_processor=CLIPImageProcessor(**sized), tokenizer=tokenizer).save_pretrained(backbone)
    return _save(folder, [_transformer(backbone)])


def _clap(folder: Path) -> Path:
    """A model of text and sound, one second of it at most."""
    import torch
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, ClapProcessor

    torch.manual_seed(16)
    backbone = folder.with_suffix(".backbone")
    tokenizer = _bytes_tokenizer(backbone, ends=True)
    text = {
        "vocab_size": 300,
        "hidden_size": WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": 400,
        "pad_token_id": tokenizer.pad_token_id,
    }
    audio = {
        "num_mel_bins": 16,
        "spec_size": 64,
        "patch_size": 4,
        "patch_stride": [4, 4],
        "window_size": 4,
        "depths": [2, 2],
        "num_attention_heads": [2, 2],
        "patch_embeds_hidden_size": 16,
        "hidden_size": 32,
        "projection_dim": WIDTH,
        "num_hidden_layers": 2,
        "enable_fusion": False,
    }
    model = ClapModel(ClapConfig(text_config=text, audio_config=audio, projection_dim=WIDTH))
    for weight in model.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=SPREAD)
    model.save_pretrained(backbone)
    extractor = ClapFeatureExtractor(
        feature_size=16,
        sampling_rate=8000,
        hop_length=80,
        max_length_s=1,
        fft_window_size=256,
        frequency_max=4000,
        truncation="rand_trunc",
    )
    ClapProcessor(feature_extractor=extractor, tokenizer=tokenizer).save_pretrained(backbone)
    return _save(folder, [_transformer(backbone)])


def _stella(folder: Path) -> Path:
    """A backbone with a projection for each of three dimensions, of which modules.json names one."""
    import torch
    from sentence_transformers.base.modules import Dense
    from sentence_transformers.sentence_transformer.modules import Pooling

    backbone = _transformer(_bert(folder.with_suffix(".backbone")), max_seq_length=32)
    heads = {}
    for dimension in (12, 24, 48):
        torch.manual_seed(dimension)
        heads[dimension] = Dense(WIDTH, dimension, activation_function=torch.nn.Identity())
        torch.nn.init.normal_(heads[dimension].linear.weight, std=SPREAD)
    prompts = {"s2p_query": "payment of the ", "s2s_query": "weather in the "}
    _save(folder, [backbone, Pooling(WIDTH, "mean"), heads[24]], prompts=prompts)
    for dimension, head in heads.items():
        (folder / f"2_Dense_{dimension}").mkdir()
        head.save(str(folder / f"2_Dense_{dimension}"))
    shutil.rmtree(folder / "2_Dense")
    listed = (folder / "modules.json").read_text()
    (folder / "modules.json").write_text(listed.replace('"2_Dense"', '"2_Dense_24"'))
    return folder


_BUILDERS: dict[str, Callable[[Path], Path]] = {
    "mean": _mean,
    "cls": _cls,
    "last-token": _last_token,
    "dense": _dense,
    "prompted": _prompted,
    "router": _router,
    "static": _static,
    "bag-of-words": _bag_of_words,
    "plain-transformer": _plain_transformer,
    "half": _half,
    "left-cut": _left_cut,
    "clip": _clip,
    "clap": _clap,
    "stella": _stella,
}
