"""The image frameworks of this distribution, as data. Imports the host and the standard library only."""

from __future__ import annotations

from llm_multi_core.embedder import FrameworkSpec, Modality, ModelSpec, OptionSpec
from llm_multi_core_transformers.text_specs import CHECKPOINT_OPTIONS, ENGINE, REQUIRES

EXTRACTIONS = ("cls", "mean", "attention", "multi-layer")

PROCESSOR_BACKEND = OptionSpec(
    "processor_backend",
    str,
    default="pil",
    choices=("pil", "torchvision"),
    summary="what resizes images; the two differ in the last bits",
)

_IMAGE = (Modality.IMAGE,)
_JOINT = (Modality.TEXT, Modality.IMAGE)
IMAGE_REQUIRES = (*REQUIRES, "pillow>=10.1,<14")
_CARD = "https://huggingface.co/"


def _image(name: str, dimension: int, note: str) -> ModelSpec:
    return ModelSpec(name, _IMAGE, dimension=dimension, unit="image", note=note, source=_CARD + name)


def _joint(name: str, dimension: int, tokens: int | None, note: str) -> ModelSpec:
    return ModelSpec(name, _JOINT, dimension=dimension, max_units=tokens, note=note, source=_CARD + name)


VIT = FrameworkSpec(
    name="vit",
    modalities=_IMAGE,
    target="llm_multi_core_transformers.vit:ViTEncoder",
    requires=IMAGE_REQUIRES,
    default_model={Modality.IMAGE: "google/vit-base-patch16-224"},
    options=(
        OptionSpec(
            "extraction",
            str,
            affects_space=True,
            choices=EXTRACTIONS,
            summary="what becomes the vector; by default the CLS token, or the mean of models without one",
        ),
        PROCESSOR_BACKEND,
        ENGINE,
        *CHECKPOINT_OPTIONS,
    ),
    summary="any vision model of transformers: ViT, DeiT, Swin, CvT, DINO, BEiT, MAE",
    models=(
        _image("google/vit-base-patch16-224", 768, "ViT, supervised on ImageNet-21k and ImageNet"),
        _image("facebook/deit-base-distilled-patch16-224", 768, "DeiT with a distillation token"),
        _image("microsoft/swin-base-patch4-window7-224", 1024, "Swin, no CLS token"),
        _image("microsoft/cvt-13", 384, "CvT"),
        _image("facebook/dino-vitb16", 768, "DINO, self-supervised"),
        _image("facebook/dinov2-base", 768, "DINOv2, self-supervised"),
        _image("microsoft/beit-base-patch16-224", 768, "BEiT"),
        _image("facebook/vit-mae-base", 768, "MAE; nothing is masked here"),
    ),
)

CLIP_TRANSFORMERS = FrameworkSpec(
    name="clip-transformers",
    modalities=_JOINT,
    target="llm_multi_core_transformers.towers:TowersEncoder",
    requires=IMAGE_REQUIRES,
    default_model=dict.fromkeys(_JOINT, "openai/clip-vit-base-patch32"),
    options=(PROCESSOR_BACKEND, ENGINE, *CHECKPOINT_OPTIONS),
    joint=True,
    summary="CLIP, SigLIP and FLAVA checkpoints of transformers: images and text in one space",
    models=(
        _joint("openai/clip-vit-base-patch32", 512, 77, "CLIP"),
        _joint("openai/clip-vit-large-patch14", 768, 77, "CLIP"),
        _joint("google/siglip-base-patch16-224", 768, 64, "SigLIP; text is padded to 64 tokens, as in training"),
        _joint("google/siglip2-base-patch16-224", 768, 64, "SigLIP 2; text is padded to 64 tokens, as in training"),
        _joint("facebook/flava-full", 768, None, "FLAVA's contrastive embeddings"),
    ),
)

IMAGE_FRAMEWORKS = (VIT, CLIP_TRANSFORMERS)
