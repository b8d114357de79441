"""The audio frameworks of this distribution, as data. Imports the host and the standard library only."""

from __future__ import annotations

from llm_multi_core.embedder import FrameworkSpec, Modality, ModelSpec, OptionSpec
from llm_multi_core_transformers.text_specs import CHECKPOINT_OPTIONS, ENGINE, REQUIRES

POOLINGS = ("mean", "max", "first")

_AUDIO = (Modality.AUDIO,)
_JOINT = (Modality.TEXT, Modality.AUDIO)
AUDIO_REQUIRES = (*REQUIRES, "soundfile>=0.12,<1", "soxr>=0.3,<2")
_CARD = "https://huggingface.co/"

_POOLING = OptionSpec(
    "pooling",
    str,
    default="mean",
    affects_space=True,
    choices=POOLINGS,
    summary="what becomes of the frames of real sound: their mean, their largest values, or the first one",
)
_LAYER = OptionSpec(
    "layer",
    (int, str),
    default="last",
    affects_space=True,
    summary="'last' (the model's output), a number as in hidden_states, 'mean' of all, or 'mean:4' of the last four",
)
_OPTIONS = (
    _POOLING,
    _LAYER,
    OptionSpec("max_seconds", (float, int), summary="the longest recording taken at once; 30 by default"),
    ENGINE,
    *CHECKPOINT_OPTIONS,
)


def _audio(name: str, dimension: int, note: str) -> ModelSpec:
    return ModelSpec(name, _AUDIO, dimension=dimension, unit="millisecond", note=note, source=_CARD + name)


def _whisper(size: str, dimension: int) -> ModelSpec:
    # Widths: table 1 of the paper, https://arxiv.org/abs/2212.04356, and the cards of the later models.
    name = f"openai/whisper-{size}"
    note = "speech in many languages; hears 30 s, whatever the length"
    return ModelSpec(name, _AUDIO, dimension, max_units=30_000, unit="millisecond", note=note, source=_CARD + name)


def _clap(name: str, note: str) -> ModelSpec:
    return ModelSpec(name, _JOINT, dimension=512, max_units=512, note=note, source=_CARD + name)


def _waveform(name: str, default: str, summary: str, *models: ModelSpec) -> FrameworkSpec:
    return FrameworkSpec(
        name=name,
        modalities=_AUDIO,
        target="llm_multi_core_transformers.audio_waveforms:WaveformEncoder",
        requires=AUDIO_REQUIRES,
        default_model={Modality.AUDIO: default},
        options=_OPTIONS,
        summary=summary,
        models=models,
    )


WAV2VEC2 = _waveform(
    "wav2vec2",
    "facebook/wav2vec2-base-960h",
    "wav2vec 2.0 and its kin (XLS-R, UniSpeech, conformers): speech as frames of 20 ms",
    _audio("facebook/wav2vec2-base", 768, "English, self-supervised"),
    _audio("facebook/wav2vec2-base-960h", 768, "English, fine-tuned for recognition"),
    _audio("facebook/wav2vec2-large-960h-lv60-self", 1024, "English, fine-tuned; lengths mix in a batch"),
    _audio("facebook/wav2vec2-large-xlsr-53", 1024, "53 languages"),
    _audio("facebook/wav2vec2-xls-r-300m", 1024, "128 languages"),
)

HUBERT = _waveform(
    "hubert",
    "facebook/hubert-base-ls960",
    "HuBERT: speech as frames of 20 ms",
    _audio("facebook/hubert-base-ls960", 768, "English, self-supervised"),
    _audio("facebook/hubert-large-ll60k", 1024, "English, self-supervised"),
    _audio("facebook/hubert-xlarge-ll60k", 1280, "English, self-supervised"),
)

WAVLM = _waveform(
    "wavlm",
    "microsoft/wavlm-base-plus",
    "WavLM: speech and speakers as frames of 20 ms",
    _audio("microsoft/wavlm-base", 768, "English, self-supervised"),
    _audio("microsoft/wavlm-base-plus", 768, "English, self-supervised, more data"),
    _audio("microsoft/wavlm-large", 1024, "English, self-supervised"),
)

DATA2VEC = _waveform(
    "data2vec",
    "facebook/data2vec-audio-base-960h",
    "data2vec audio: speech as frames of 20 ms",
    _audio("facebook/data2vec-audio-base", 768, "English, self-supervised"),
    _audio("facebook/data2vec-audio-base-960h", 768, "English, fine-tuned for recognition"),
    _audio("facebook/data2vec-audio-large-960h", 1024, "English, fine-tuned for recognition"),
)

WHISPER = FrameworkSpec(
    name="whisper",
    modalities=_AUDIO,
    target="llm_multi_core_transformers.audio_whisper:WhisperEncoder",
    requires=AUDIO_REQUIRES,
    default_model={Modality.AUDIO: "openai/whisper-base"},
    options=_OPTIONS,
    summary="Whisper's encoder, without the padding to 30 s that it hears",
    models=(
        _whisper("tiny", 384),
        _whisper("base", 512),
        _whisper("small", 768),
        _whisper("medium", 1024),
        _whisper("large-v3", 1280),
        _whisper("large-v3-turbo", 1280),
    ),
)

CLAP = FrameworkSpec(
    name="clap",
    modalities=_JOINT,
    target="llm_multi_core_transformers.clap:ClapEncoder",
    requires=AUDIO_REQUIRES,
    default_model=dict.fromkeys(_JOINT, "laion/larger_clap_general"),
    options=(
        OptionSpec("max_seconds", (float, int), summary="the longest recording taken at once; 10 by default"),
        ENGINE,
        *CHECKPOINT_OPTIONS,
    ),
    joint=True,
    summary="CLAP: sounds and their descriptions in one space",
    models=(
        # Not laion/larger_clap_music, whose texts all get about one vector:
        # https://github.com/embeddings-benchmark/mteb/issues/5069.
        _clap("laion/larger_clap_general", "sounds, music and speech; 10 s of them"),
        _clap("laion/larger_clap_music_and_speech", "music and speech; 10 s of them"),
        _clap("laion/clap-htsat-fused", "sounds of all kinds; used like an unfused one, 10 s at a time"),
        _clap("laion/clap-htsat-unfused", "sounds of all kinds; 10 s of them; weights are a pickle: allow_pickle=True"),
    ),
)

AUDIO_FRAMEWORKS = (WAV2VEC2, WHISPER, HUBERT, WAVLM, DATA2VEC, CLAP)
