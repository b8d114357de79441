"""What this distribution offers. Imports the host and the standard library only."""

from __future__ import annotations

from llm_multi_core.embedder import Credentials, FrameworkSpec, Modality, ModelSpec, OptionSpec, hookimpl
from llm_multi_core.embedder.hosted import HOSTED_OPTIONS
from llm_multi_core_nvidia.catalogue import MODELS

NEMO = FrameworkSpec(
    name="nemo",
    modalities=(Modality.TEXT, Modality.IMAGE),
    target="llm_multi_core_nvidia.encoder:NimEncoder",
    requires=("openai>=3.57,<4",),
    default_model={Modality.TEXT: "nvidia/nv-embedqa-e5-v5", Modality.IMAGE: "nvidia/nvclip"},
    options=(
        *HOSTED_OPTIONS,
        OptionSpec(
            "role_in_model",
            bool,
            False,
            summary="say the role at the end of the model's name, for gateways that know OpenAI's fields only",
        ),
    ),
    hosted=True,
    credentials=Credentials(("NVIDIA_API_KEY",), optional_with=("base_url",)),
    summary="NVIDIA NIM, in the cloud or self-hosted: text, and images by nvclip",
    models=tuple(
        ModelSpec(
            model.name,
            model.modalities,
            model.dimension,
            dimensions=model.dimensions,
            max_units=model.context,
            note=model.note,
            source=model.source,
        )
        for model in MODELS
    ),
)


@hookimpl
def llm_multi_core_frameworks() -> list[FrameworkSpec]:
    """The framework of this distribution."""
    return [NEMO]
