"""Tiny models of sound with random weights, one folder each, and sounds to try them with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SPREAD = 0.6
"""Standard deviation of random weights: wide, so that different sounds get different vectors."""

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Iterator[None]:
    """Threads wait for one another longer than these models compute."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def make_sound() -> Callable[..., np.ndarray]:
    """A sound of some seconds: a sine, a chirp or noise, by its seed."""

    def make(seconds: float, seed: int, rate: int = 16_000) -> np.ndarray:
        draw = np.random.default_rng(seed)
        time = np.arange(round(seconds * rate)) / rate
        kind = seed % 3
        if kind == 0:
            sound = np.sin(2 * np.pi * draw.uniform(80, 4000) * time)
        elif kind == 1:
            sound = np.sin(2 * np.pi * (draw.uniform(100, 500) + draw.uniform(100, 900) * time) * time)
        else:
            sound = draw.normal(0, 0.3, len(time))
        return (draw.uniform(0.2, 0.9) * sound).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def sound_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny model by its name; made when first asked for."""
    root = tmp_path_factory.mktemp("sound-models")

    @cache
    def build(name: str) -> Path:
        folder = root / name
        _BUILDERS[name](folder)
        return folder

    return build


@pytest.fixture(scope="session")
def library() -> Callable[[Path], tuple[Any, Any]]:
    """Model and feature extractor of a folder, loaded by transformers itself."""
    from transformers import AutoFeatureExtractor, AutoModel

    @cache
    def load(folder: Path) -> tuple[Any, Any]:
        return AutoModel.from_pretrained(folder).eval(), AutoFeatureExtractor.from_pretrained(folder)

    return load


@pytest.fixture
def waveform_encoder(sound_model: Callable[[str], Path]) -> Iterator[Callable[..., Any]]:
    """A loaded encoder of a tiny model by its name, without the pipeline that makes its batches."""
    from llm_multi_core.embedder import EncoderConfig
    from llm_multi_core_transformers.audio_specs import WAV2VEC2
    from llm_multi_core_transformers.audio_waveforms import WaveformEncoder

    made = []

    def load(name: str, engine: str = "torch") -> WaveformEncoder:
        options = WAV2VEC2.check_options({"engine": engine})
        folder = str(sound_model(name))
        config = EncoderConfig("wav2vec2", "tests", folder, device="cpu", precision="float32", options=options)
        made.append(WaveformEncoder(config))
        made[-1].load()
        return made[-1]

    yield load
    for encoder in made:
        encoder.close()


@pytest.fixture(scope="session")
def decoded() -> Callable[[np.ndarray], Any]:
    """A sound at 16 kHz as the item that `prepare` gets."""
    from llm_multi_core.embedder import Item, Modality, Part
    from llm_multi_core.embedder.inputs.audio import Waveform

    return lambda sound: Item((Part(Modality.AUDIO, Waveform(sound, 16_000), sound[:4].tobytes()),))


def widen(model: Any) -> Any:
    """Random weights in place of those that a configuration starts with."""
    import torch

    torch.manual_seed(21)
    for weight in model.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=SPREAD)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, std=SPREAD)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
            torch.nn.init.normal_(module.bias, std=SPREAD)
    return model.eval()


def _waveforms(
    folder: Path, kind: str, *, norm: str = "group", do_normalize: bool = True, with_mask: bool = False, **settings: Any
) -> None:
    import transformers

    positions = {"num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2}
    if kind == "Data2VecAudio":
        positions = {"num_conv_pos_embeddings": 3, "conv_pos_kernel_size": 9, "num_conv_pos_embedding_groups": 2}
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=8,
        conv_dim=(8,) * 7,
        feat_extract_norm=norm,
        mask_time_prob=0.6,  # masking is for training; it would show
        mask_time_length=2,
        **(SIZES | positions | settings),
    )
    widen(getattr(transformers, f"{kind}Model")(config)).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=do_normalize, return_attention_mask=with_mask).save_pretrained(
        folder
    )


def _whisper(folder: Path) -> None:
    """A Whisper that hears one second."""
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

    config = WhisperConfig(
        vocab_size=12,
        d_model=16,
        num_mel_bins=8,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        max_source_positions=50,
        max_target_positions=8,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    widen(WhisperModel(config)).save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=8, chunk_length=1).save_pretrained(folder)


def _clap(folder: Path, *, fusion: bool) -> None:
    """A CLAP that hears one second."""
    from tokenizers import pre_tokenizers
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, ClapProcessor, RobertaTokenizer

    merges = [("Ġ", "t"), ("h", "e"), ("Ġt", "he"), ("i", "n"), ("e", "r")]
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    pieces += ["".join(pair) for pair in merges]
    tokenizer = RobertaTokenizer(
        vocab={piece: place for place, piece in enumerate(pieces)}, merges=merges, model_max_length=512
    )
    text = SIZES | {"vocab_size": len(pieces), "max_position_embeddings": 62, "pad_token_id": 1, "projection_dim": 24}
    audio = {
        "window_size": 4,
        "num_mel_bins": 8,
        "spec_size": 32,
        "hidden_size": 32,
        "projection_dim": 24,
        "depths": [2, 2],
        "num_attention_heads": [2, 2],
        "num_hidden_layers": 2,
        "patch_embeds_hidden_size": 16,
        "enable_fusion": fusion,
        "fusion_type": "aff_2d" if fusion else None,
    }
    config = ClapConfig(text_config=text, audio_config=audio, projection_dim=24)
    widen(ClapModel(config)).save_pretrained(folder)
    truncation = "fusion" if fusion else "rand_trunc"
    extractor = ClapFeatureExtractor(
        feature_size=8,
        sampling_rate=24_000,
        hop_length=600,
        max_length_s=1,
        fft_window_size=512,
        frequency_max=12_000,
        truncation=truncation,
    )
    ClapProcessor(feature_extractor=extractor, tokenizer=tokenizer).save_pretrained(folder)


_ADAPTER = {"add_adapter": True, "num_adapter_layers": 1, "output_hidden_size": 20}

_BUILDERS: dict[str, Callable[[Path], None]] = {
    "wav2vec2": lambda folder: _waveforms(folder, "Wav2Vec2"),
    "wav2vec2-layer": lambda folder: _waveforms(
        folder, "Wav2Vec2", norm="layer", do_stable_layer_norm=True, conv_bias=True, with_mask=True
    ),
    "wav2vec2-layer-plain": lambda folder: _waveforms(folder, "Wav2Vec2", norm="layer", do_normalize=False),
    "wav2vec2-adapter": lambda folder: _waveforms(folder, "Wav2Vec2", norm="layer", **_ADAPTER),
    "hubert": lambda folder: _waveforms(folder, "Hubert"),
    "hubert-layer": lambda folder: _waveforms(folder, "Hubert", norm="layer", do_stable_layer_norm=True),
    "hubert-batch-norm": lambda folder: _waveforms(folder, "Hubert", norm="layer", conv_pos_batch_norm=True),
    "wavlm": lambda folder: _waveforms(folder, "WavLM"),
    "wavlm-layer": lambda folder: _waveforms(folder, "WavLM", norm="layer", do_stable_layer_norm=True),
    "data2vec": lambda folder: _waveforms(folder, "Data2VecAudio", norm="layer"),
    "unispeech": lambda folder: _waveforms(folder, "UniSpeech"),
    "unispeech-sat": lambda folder: _waveforms(folder, "UniSpeechSat", norm="layer"),
    "conformer": lambda folder: _waveforms(
        folder, "Wav2Vec2Conformer", norm="layer", position_embeddings_type="rotary", conv_depthwise_kernel_size=5
    ),
    "whisper": _whisper,
    "clap": lambda folder: _clap(folder, fusion=False),
    "clap-fused": lambda folder: _clap(folder, fusion=True),
}
