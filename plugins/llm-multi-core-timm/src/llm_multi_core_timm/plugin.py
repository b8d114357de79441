"""What this distribution offers. Imports the host and the standard library only."""

from __future__ import annotations

from llm_multi_core.embedder import FrameworkSpec, Modality, ModelSpec, OptionSpec, hookimpl

TARGET = "llm_multi_core_timm.encoder:TimmEncoder"
REQUIRES = (
    "llm-multi-core-torch>=0.1,<0.2",
    "pillow>=10.1,<14",
    "timm>=1.0.20,<2",
    "torch>=2.6,<3",
    "torchvision>=0.21,<1",
)

EXTRACTIONS = ("auto", "cls", "gap", "gmp", "multi-level")

OPTIONS = (
    OptionSpec(
        "extraction",
        str,
        default="auto",
        affects_space=True,
        choices=EXTRACTIONS,
        summary="which features: what the classifier would see, class token, mean, maximum, or several stages",
    ),
    OptionSpec("levels", int, default=3, affects_space=True, summary="stages of extraction='multi-level'"),
    OptionSpec(
        "engine", str, default="auto", choices=("auto", "torch", "openvino"), summary="what runs the model on a CPU"
    ),
    OptionSpec("revision", str, summary="branch, tag or commit on the hub"),
    OptionSpec("allow_pickle", bool, default=False, summary="read weights that are there only in pickle form"),
    OptionSpec("cache_folder", str, summary="where downloads from the hub go"),
    OptionSpec("local_files_only", bool, default=False, summary="ask the hub nothing"),
)


def _model(name: str, dimension: int, note: str = "", source: str = "") -> ModelSpec:
    return ModelSpec(
        name, (Modality.IMAGE,), dimension, note=note, source=source or f"https://huggingface.co/timm/{name}"
    )


TIMM = FrameworkSpec(
    name="timm",
    modalities=(Modality.IMAGE,),
    target=TARGET,
    requires=REQUIRES,
    default_model={Modality.IMAGE: "vit_base_patch16_224.augreg_in21k"},
    options=OPTIONS,
    summary="any image model of timm, by its name, from the hub or a folder",
    models=(
        _model("vit_base_patch16_224.augreg_in21k", 768, "ViT-B/16 trained on ImageNet-21k"),
        _model("vit_base_patch14_dinov2.lvd142m", 768, "DINOv2, self-supervised; images of 518 x 518"),
        _model("deit_base_patch16_224.fb_in1k", 768, "DeiT trained on ImageNet-1k"),
        _model("swin_base_patch4_window7_224.ms_in22k", 1024, "Swin trained on ImageNet-22k"),
        _model("convnext_base.fb_in22k", 1024, "ConvNeXt trained on ImageNet-22k"),
    ),
)

RESNET = FrameworkSpec(
    name="resnet",
    modalities=(Modality.IMAGE,),
    target=TARGET,
    requires=REQUIRES,
    default_model={Modality.IMAGE: "resnet50.a1_in1k"},
    options=OPTIONS,
    summary="ResNet and other convolutional networks (VGG, Inception, EfficientNet, AlexNet)",
    models=(
        _model("resnet50.a1_in1k", 2048, "global average pool of the last stage"),
        _model("resnet18.a1_in1k", 512, "global average pool of the last stage"),
        _model("vgg16.tv_in1k", 4096, "the last hidden layer; extraction='gap' gives 512"),
        _model("inception_v3.tv_in1k", 2048, "images of 299 x 299"),
        _model("efficientnet_b0.ra_in1k", 1280),
        _model(
            "torchvision:alexnet",
            4096,
            "weights are published as a pickle only: needs allow_pickle=True",
            "https://docs.pytorch.org/vision/stable/models/generated/torchvision.models.alexnet.html",
        ),
    ),
)


@hookimpl
def llm_multi_core_frameworks() -> list[FrameworkSpec]:
    """The frameworks of this distribution."""
    return [TIMM, RESNET]
