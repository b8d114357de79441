"""One space for texts, pictures and sound: that of a joint model where one is at hand, else one made by alignment.

A joint model, such as CLIP, was trained on millions of captioned pictures and knows what they mean.
`classic` has no weights: it sees colours and outlines and hears timbre, and knows no more of their
meaning than the captioned sample teaches the alignment. It shows how things work, on any machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from media_folder import MediaFolder

from llm_multi_core.embedder import (
    BaseEmbedder,
    FrameworkUnavailableError,
    Modality,
    create_audio_embedder,
    create_image_embedder,
    create_multimodal_embedder,
)
from llm_multi_core.embedder.analysis import Alignment

TEXT_FRAMEWORK = "sentence-transformers"
WEIGHTLESS = "classic"


def joint_settings(folder: MediaFolder, joint: str | None = "auto", joint_model: str | None = None) -> dict[str, Any]:
    """Settings of `create_multimodal_embedder`, and of the adapters, with which all modalities share a space.

    Args:
        folder: with a captioned sample, for the modalities that no joint model serves.
        joint: a joint framework; `"auto"` takes one whose model is on this machine, if there is one, and
            downloads nothing; `None` takes none.
        joint_model: its model; by default the framework's own.
    """
    settings = _joint_model(joint, joint_model) or {"text_framework": TEXT_FRAMEWORK}
    with create_multimodal_embedder(**settings) as embedder:
        served, texts = embedder.joint_modalities, embedder.embedders[Modality.TEXT]
        alignments: list[Alignment] = []
        ways: list[tuple[Modality, Callable[..., BaseEmbedder[Any]], Mapping[Path, str]]] = [
            (Modality.IMAGE, create_image_embedder, folder.captioned_pictures),
            (Modality.AUDIO, create_audio_embedder, folder.captioned_recordings),
        ]
        for modality, create, captions in ways:
            if modality not in served:
                settings[f"{modality}_framework"] = WEIGHTLESS
                with create(WEIGHTLESS) as media:
                    # None is held out: the library is what the alignment has not seen.
                    alignments.append(Alignment.fit(media, texts, captions.items(), held_out=0))
    return {**settings, "alignment": alignments} if alignments else settings


def _joint_model(joint: str | None, model: str | None) -> dict[str, Any]:
    if joint == "auto":
        try:
            with create_multimodal_embedder(joint_framework=joint) as found:
                joint = found.embedders[Modality.TEXT].framework
        except FrameworkUnavailableError:
            return {}
    if joint is None:
        return {}
    return {"joint_framework": joint} if model is None else {"joint_framework": joint, "joint_model": model}
