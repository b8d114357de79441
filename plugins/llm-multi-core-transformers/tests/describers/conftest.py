"""Tiny models that write, with random weights, one folder each; pictures and sounds for them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SPREAD = 0.6
"""Standard deviation of random weights: wide, so that different media get different words."""
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
WORDS = (  # noqa: SIM905 - reads better than a list of quoted words
    "a the of on in cat dog tree boat road house bird field sky river hill two red blue green old small large "
    "sitting standing flying running near under over and with"
).split()
LANGUAGES = ("de", "en", "fr")
RATE = 16_000


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Iterator[None]:
    """Threads wait for one another longer than these models compute."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny model by its name; made when first asked for."""
    root = tmp_path_factory.mktemp("describers")

    @cache
    def build(name: str) -> Path:
        folder = root / name
        _BUILDERS[name](folder)
        return folder

    return build


@pytest.fixture(scope="session")
def pictures() -> list[Any]:
    """Pictures of several sizes."""
    from llm_multi_core.embedder.testing.media import draw_picture

    return [draw_picture(40 + 9 * seed, 60 - 3 * seed, seed) for seed in range(6)]


@pytest.fixture(scope="session")
def make_sound() -> Callable[..., np.ndarray]:
    """A sound of some seconds, by its seed: tones and noises of changing pitch and loudness."""
    return _sound


@pytest.fixture
def bridge() -> Iterator[Callable[..., Any]]:
    """Makes bridges on the CPU in full precision."""
    from llm_multi_core.embedder import Bridge, Modality
    from llm_multi_core.embedder.host import default_host

    made = []

    def make(framework: str, model: Any, **settings: Any) -> Bridge:
        modality = Modality.IMAGE if framework == "caption" else Modality.AUDIO
        settings = {"device": "cpu", "precision": "float32"} | settings
        made.append(Bridge.of_framework(default_host(), framework, modality, str(model), **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


def _sound(seconds: float, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    count = round(seconds * RATE)
    steps = np.repeat(draw.uniform(80, 3000, count // 800 + 1), 800)[:count]
    loudness = np.repeat(draw.uniform(0.05, 0.8, count // 1600 + 1), 1600)[:count]
    sound = np.sin(2 * np.pi * np.cumsum(steps) / RATE) + draw.normal(0, 0.2, count)
    return (0.5 * loudness * sound).astype(np.float32)


def change(file: Path, **values: Any) -> None:
    """Change entries of a JSON file."""
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def widen(model: Any, seed: int = 21) -> Any:
    """Random weights in place of those that a configuration starts with."""
    import torch

    torch.manual_seed(seed)
    for weight in model.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=SPREAD)
    return model.eval()


def favour(weights: Any, token: int | slice, factor: float) -> None:
    """Make a token come up more often, so that texts end by themselves; or all of them surer, or less sure."""
    import torch

    with torch.no_grad():
        weights[token] *= factor


# Models of pictures.


def _words_tokenizer(folder: Path) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]
    tokenizer = Tokenizer(models.WordLevel({piece: place for place, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
    made.save_pretrained(folder)
    return made


TOKENS = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
VISION = SIZES | {"image_size": 32, "patch_size": 8}
SIDE = {"height": 32, "width": 32}


def _blip(folder: Path) -> None:
    import transformers as t

    size = len(_words_tokenizer(folder))
    text = SIZES | TOKENS | {"vocab_size": size, "sep_token_id": 3, "max_position_embeddings": 32}
    text |= {"encoder_hidden_size": 16, "projection_dim": 16}
    config = t.BlipConfig(text_config=text, vision_config=VISION, projection_dim=16)
    model = widen(t.BlipForConditionalGeneration(config))
    favour(model.text_decoder.cls.predictions.decoder.weight, 3, 2.5)
    model.save_pretrained(folder)
    t.BlipImageProcessorPil(size=SIDE).save_pretrained(folder)


def _git(folder: Path) -> None:
    import transformers as t

    size = len(_words_tokenizer(folder))
    text = SIZES | TOKENS | {"vocab_size": size, "max_position_embeddings": 48}
    model = widen(t.GitForCausalLM(t.GitConfig(vision_config=VISION, **text)), seed=4)
    favour(model.output.weight, 3, 2.5)
    model.save_pretrained(folder)
    t.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=SIDE).save_pretrained(folder)


def _vit_gpt2(folder: Path) -> None:
    import transformers as t

    size = len(_words_tokenizer(folder))
    decoder = t.GPT2Config(
        vocab_size=size, n_positions=48, n_embd=16, n_layer=2, n_head=2, add_cross_attention=True, is_decoder=True
    )
    config = t.VisionEncoderDecoderConfig.from_encoder_decoder_configs(t.ViTConfig(**VISION), decoder)
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 2, 0, 3
    model = widen(t.VisionEncoderDecoderModel(config), seed=5)
    favour(model.decoder.lm_head.weight, 3, 2.5)
    model.generation_config = t.GenerationConfig(
        decoder_start_token_id=2, pad_token_id=0, eos_token_id=3, bos_token_id=2, max_length=6
    )
    model.save_pretrained(folder)
    t.ViTImageProcessorPil(size=SIDE).save_pretrained(folder)


# Models of sound.


def _whisper_tokenizer(folder: Path) -> Any:
    from tokenizers import AddedToken, pre_tokenizers
    from transformers import WhisperTokenizer

    end = "<|endoftext|>"
    characters = {piece: place for place, piece in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    made = WhisperTokenizer(vocab=characters, merges=[], unk_token=end, bos_token=end, eos_token=end, pad_token=end)
    tasks = ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
    special = ["<|startoftranscript|>", *(f"<|{language}|>" for language in LANGUAGES), *tasks]
    made.add_special_tokens({"additional_special_tokens": special})
    stamps = [f"<|{place * 0.02:.2f}|>" for place in range(51)]
    made.add_tokens([AddedToken(stamp, special=False, normalized=False) for stamp in stamps])
    made.save_pretrained(folder)
    return made


def _whisper(
    folder: Path,
    *,
    multilingual: bool = True,
    room: int = 160,
    end: float = 8.0,
    sure: float = 1.0,
    silent: bool = False,
) -> None:
    """A Whisper that hears one second."""
    import transformers as t

    tokenizer = _whisper_tokenizer(folder)
    token = tokenizer.convert_tokens_to_ids
    stop, start = token("<|endoftext|>"), token("<|startoftranscript|>")
    config = t.WhisperConfig(
        vocab_size=len(tokenizer),
        d_model=16,
        num_mel_bins=8,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        max_source_positions=50,
        max_target_positions=room,
        pad_token_id=stop,
        bos_token_id=stop,
        eos_token_id=stop,
        decoder_start_token_id=start,
    )
    model = widen(t.WhisperForConditionalGeneration(config))
    favour(model.proj_out.weight, stop, end)
    favour(model.proj_out.weight, slice(None), sure)
    languages = {f"<|{language}|>": token(f"<|{language}|>") for language in LANGUAGES}
    tasks = {name: token(f"<|{name}|>") for name in ("translate", "transcribe")}
    model.generation_config = t.GenerationConfig(
        decoder_start_token_id=start,
        pad_token_id=stop,
        bos_token_id=stop,
        eos_token_id=stop,
        is_multilingual=multilingual,
        no_timestamps_token_id=token("<|notimestamps|>"),
        prev_sot_token_id=token("<|startofprev|>"),
        max_initial_timestamp_index=10,
        suppress_tokens=[other for other in range(len(tokenizer)) if other != stop] if silent else None,
        **({"lang_to_id": languages, "task_to_id": tasks} if multilingual else {}),
    )
    model.save_pretrained(folder)
    t.WhisperFeatureExtractor(feature_size=8, chunk_length=1).save_pretrained(folder)


def _ctc(folder: Path, kind: str, norm: str = "group") -> None:
    import transformers as t

    folder.mkdir()
    pieces = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLU"]
    (folder / "vocab.json").write_text(json.dumps({piece: place for place, piece in enumerate(pieces)}))
    t.Wav2Vec2CTCTokenizer(str(folder / "vocab.json")).save_pretrained(folder)
    config = getattr(t, f"{kind}Config")(
        vocab_size=len(pieces),
        conv_dim=(8,) * 7,
        feat_extract_norm=norm,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        mask_time_prob=0.6,  # masking is for training; it would show
        mask_time_length=2,
        **SIZES,
    )
    widen(getattr(t, f"{kind}ForCTC")(config)).save_pretrained(folder)
    t.Wav2Vec2FeatureExtractor(return_attention_mask=norm == "layer").save_pretrained(folder)


_BUILDERS: dict[str, Callable[[Path], None]] = {
    "blip": _blip,
    "git": _git,
    "vit-gpt2": _vit_gpt2,
    "whisper": _whisper,
    "whisper-english": lambda folder: _whisper(folder, multilingual=False),
    "whisper-endless": lambda folder: _whisper(folder, room=10, end=0.0),
    "whisper-unsure": lambda folder: _whisper(folder, room=30, sure=0.02),
    "whisper-silent": lambda folder: _whisper(folder, silent=True),
    "wav2vec2": lambda folder: _ctc(folder, "Wav2Vec2"),
    "wav2vec2-layer": lambda folder: _ctc(folder, "Wav2Vec2", "layer"),
    "hubert": lambda folder: _ctc(folder, "Hubert"),
}
