"""Well-known models, with what open_clip's own configurations say of them. Data, no behaviour.

A test compares every line with the installed open_clip.
"""

from __future__ import annotations

from llm_multi_core.embedder import Modality, ModelSpec

DEFAULT_MODEL = "ViT-B-32-quickgelu@openai"
"""OpenAI's ViT-B/32, with the activation that it was trained with."""

_NEEDS_TRANSFORMERS = "needs transformers: pip install 'llm-multi-core-open-clip[hf]'"

DEFAULT_AUDIO_MODEL = "CLAP-HTSAT-tiny-Roberta-base-fused@laion"
"""LAION's CLAP whose weights are published as safetensors under open_clip's tag."""

# name, dimension, longest text in tokens, repository on the hub that its weights and its card are in
_KNOWN = (
    (DEFAULT_MODEL, 512, 77, "timm/vit_base_patch32_clip_224.openai"),
    ("ViT-B-16-quickgelu@openai", 512, 77, "timm/vit_base_patch16_clip_224.openai"),
    ("ViT-L-14-quickgelu@openai", 768, 77, "timm/vit_large_patch14_clip_224.openai"),
    ("ViT-L-14-336-quickgelu@openai", 768, 77, "timm/vit_large_patch14_clip_336.openai"),
    ("RN50-quickgelu@openai", 1024, 77, "timm/resnet50_clip.openai"),
    ("RN101-quickgelu@openai", 512, 77, "timm/resnet101_clip.openai"),
    ("RN50x4-quickgelu@openai", 640, 77, "timm/resnet50x4_clip.openai"),
    ("RN50x16-quickgelu@openai", 768, 77, "timm/resnet50x16_clip.openai"),
    ("RN50x64-quickgelu@openai", 1024, 77, "timm/resnet50x64_clip.openai"),
    ("ViT-B-32@laion2b_s34b_b79k", 512, 77, "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"),
    ("ViT-B-32@datacomp_xl_s13b_b90k", 512, 77, "laion/CLIP-ViT-B-32-DataComp.XL-s13B-b90K"),
    ("ViT-B-16@laion2b_s34b_b88k", 512, 77, "laion/CLIP-ViT-B-16-laion2B-s34B-b88K"),
    ("ViT-B-16@datacomp_xl_s13b_b90k", 512, 77, "laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K"),
    ("ViT-L-14@laion2b_s32b_b82k", 768, 77, "laion/CLIP-ViT-L-14-laion2B-s32B-b82K"),
    ("ViT-L-14@datacomp_xl_s13b_b90k", 768, 77, "laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K"),
    ("ViT-H-14@laion2b_s32b_b79k", 1024, 77, "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"),
    ("ViT-g-14@laion2b_s34b_b88k", 1024, 77, "laion/CLIP-ViT-g-14-laion2B-s34B-b88K"),
    ("ViT-bigG-14@laion2b_s39b_b160k", 1280, 77, "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k"),
    ("ViT-H-14-quickgelu@dfn5b", 1024, 77, "apple/DFN5B-CLIP-ViT-H-14"),
    ("convnext_base_w@laion2b_s13b_b82k", 640, 77, "laion/CLIP-convnext_base_w-laion2B-s13B-b82K"),
    ("EVA02-B-16@merged2b_s8b_b131k", 512, 77, "timm/eva02_base_patch16_clip_224.merged2b_s8b_b131k"),
    ("EVA02-L-14@merged2b_s4b_b131k", 768, 77, "timm/eva02_large_patch14_clip_224.merged2b_s4b_b131k"),
    ("coca_ViT-B-32@laion2b_s13b_b90k", 512, 76, "laion/CoCa-ViT-B-32-laion2B-s13B-b90k"),
    ("coca_ViT-L-14@laion2b_s13b_b90k", 768, 76, "laion/CoCa-ViT-L-14-laion2B-s13B-b90k"),
    ("ViT-B-16-SigLIP@webli", 768, 64, "timm/ViT-B-16-SigLIP"),
    ("ViT-SO400M-14-SigLIP-384@webli", 1152, 64, "timm/ViT-SO400M-14-SigLIP-384"),
    ("ViT-B-16-SigLIP2@webli", 768, 64, "timm/ViT-B-16-SigLIP2"),
    ("xlm-roberta-base-ViT-B-32@laion5b_s13b_b90k", 512, 77, "laion/CLIP-ViT-B-32-xlm-roberta-base-laion5B-s13B-b90k"),
)

MODELS = tuple(
    ModelSpec(
        name=name,
        modalities=(Modality.IMAGE, Modality.TEXT),
        dimension=dimension,
        max_units=tokens,
        note=_NEEDS_TRANSFORMERS if "SigLIP" in name or "roberta" in name else "",
        source=f"https://huggingface.co/{repository}",
    )
    for name, dimension, tokens, repository in _KNOWN
)

_CLAP = (
    (DEFAULT_AUDIO_MODEL, "laion/clap-htsat-fused", "used like an unfused one, 10 s at a time"),
    ("CLAP-HTSAT-tiny-Roberta-base@laion", "laion/clap-htsat-unfused", "10 s of sounds; needs allow_pickle=True"),
)

AUDIO_MODELS = tuple(
    ModelSpec(
        name=name,
        modalities=(Modality.AUDIO, Modality.TEXT),
        dimension=512,
        max_units=77,
        note=f"{note}; {_NEEDS_TRANSFORMERS}",
        source=f"https://huggingface.co/{repository}",
    )
    for name, repository, note in _CLAP
)
