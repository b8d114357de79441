"""What this distribution offers. Imports the host and the standard library only."""

from __future__ import annotations

from dataclasses import replace

from llm_multi_core.embedder import FrameworkSpec, Modality, OptionSpec, hookimpl
from llm_multi_core_open_clip.catalogue import AUDIO_MODELS, DEFAULT_AUDIO_MODEL, DEFAULT_MODEL, MODELS

CLIP = FrameworkSpec(
    name="clip",
    modalities=(Modality.IMAGE, Modality.TEXT),
    target="llm_multi_core_open_clip.encoder:OpenClipEncoder",
    requires=("llm-multi-core-torch>=0.1,<0.2", "open_clip_torch>=3.3,<5", "pillow>=10.1,<14", "torch>=2.6,<3"),
    default_model={Modality.IMAGE: DEFAULT_MODEL, Modality.TEXT: DEFAULT_MODEL},
    options=(
        OptionSpec("pretrained", str, summary="which weights of an architecture: open_clip's tag, or a file"),
        OptionSpec(
            "engine", str, default="auto", choices=("auto", "torch", "openvino"), summary="what runs the model on a CPU"
        ),
        OptionSpec("revision", str, summary="branch, tag or commit on the hub"),
        OptionSpec("allow_pickle", bool, default=False, summary="load weights in .bin, .pt and .pth files as well"),
        OptionSpec("trust_remote_code", bool, default=False, summary="run code that the tokenizer brings along"),
        OptionSpec("cache_folder", str, summary="where downloads go"),
        OptionSpec("local_files_only", bool, default=False, summary="ask the hub nothing"),
    ),
    joint=True,
    summary="CLIP models of open_clip: images and text in one space",
    models=MODELS,
)


CLIP_AUDIO = replace(
    CLIP,
    modalities=(Modality.AUDIO,),
    requires=(
        "llm-multi-core-torch>=0.1,<0.2",
        "open_clip_torch>=4.0.0.dev0,<5",
        "soundfile>=0.12,<1",
        "soxr>=0.3,<2",
        "torch>=2.6,<3",
        "torchaudio>=2.6,<3",
        "torchlibrosa>=0.1,<1",
    ),
    default_model={Modality.AUDIO: DEFAULT_AUDIO_MODEL},
    joint=False,
    summary="CLAP models of open_clip 4: sounds and text in one space",
    models=AUDIO_MODELS,
)
"""The same encoder on models with an audio tower, apart because it needs more. Their texts, which share the space, are
those of `CLIP`."""


@hookimpl
def llm_multi_core_frameworks() -> list[FrameworkSpec]:
    """The frameworks of this distribution."""
    return [CLIP, CLIP_AUDIO]
