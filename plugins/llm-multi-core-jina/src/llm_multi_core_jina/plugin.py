"""What this distribution offers. Imports the host and the standard library only."""

from __future__ import annotations

from llm_multi_core.embedder import Credentials, FrameworkSpec, Modality, ModelSpec, OptionSpec, hookimpl
from llm_multi_core.embedder.hosted import HOSTED_OPTIONS
from llm_multi_core_jina.catalogue import MODELS, TIERS, page_of

JINA = FrameworkSpec(
    name="jina",
    modalities=(Modality.TEXT, Modality.IMAGE, Modality.AUDIO),
    target="llm_multi_core_jina.encoder:JinaEncoder",
    requires=("httpx>=0.27,<1",),
    default_model={
        Modality.TEXT: "jina-embeddings-v3",
        Modality.IMAGE: "jina-clip-v2",
        Modality.AUDIO: "jina-embeddings-v5-omni-small",
    },
    options=(
        *HOSTED_OPTIONS,
        OptionSpec(
            "task",
            str,
            None,
            affects_space=True,
            summary='other tasks than those for retrieval: "code", "classification", "separation", ...',
        ),
        OptionSpec("late_chunking", bool, False, summary="embed the items of a group in one another's context"),
        OptionSpec("tier", str, "free", choices=tuple(TIERS), summary="kind of the key, which fixes its limits"),
    ),
    hosted=True,
    credentials=Credentials(("JINA_API_KEY",), optional_with=("base_url",)),
    summary="Jina's API: text, images and audio; late chunking",
    models=tuple(
        ModelSpec(
            model.name,
            model.modalities,
            model.dimension,
            dimensions=model.dimensions,
            max_units=model.context,
            note=model.note,
            source=page_of(model),
        )
        for model in MODELS
    ),
)


@hookimpl
def llm_multi_core_frameworks() -> list[FrameworkSpec]:
    """The framework of this distribution."""
    return [JINA]
