"""What this distribution offers. Imports the host and the standard library only."""

from __future__ import annotations

from llm_multi_core.embedder import FrameworkSpec, Modality, OptionSpec, hookimpl
from llm_multi_core.embedder.credentials import Credentials
from llm_multi_core.embedder.hosted import HOSTED_OPTIONS
from llm_multi_core_cohere.catalogue import DEFAULT_MODEL, MODELS

COHERE = FrameworkSpec(
    name="cohere",
    modalities=(Modality.TEXT, Modality.IMAGE),
    target="llm_multi_core_cohere.encoder:CohereEncoder",
    requires=("cohere>=7.3,<8", "pillow>=10.1,<14"),
    default_model={Modality.TEXT: DEFAULT_MODEL, Modality.IMAGE: DEFAULT_MODEL},
    options=(
        *HOSTED_OPTIONS,
        OptionSpec(
            "input_type",
            str,
            None,
            affects_space=True,
            choices=("search_query", "search_document", "classification", "clustering"),
            summary="Cohere's input type for everything, whatever the role",
        ),
        OptionSpec(
            "embedding_type",
            str,
            "float",
            affects_space=True,
            choices=("float", "int8", "uint8", "binary", "ubinary"),
            summary="how Cohere quantizes the vectors; bits come as -1 and 1",
        ),
        OptionSpec(
            "encoding_format",
            str,
            "base64",
            choices=("base64", "float"),
            summary="how floats travel; 'float' for a server that has no base64",
        ),
        OptionSpec(
            "native_dimension", int, None, summary="components of the vectors of a model that is not in the catalogue"
        ),
        OptionSpec("space_name", str, None, summary="name of the space that a server at base_url really has"),
    ),
    joint=True,
    hosted=True,
    credentials=Credentials(("CO_API_KEY", "COHERE_API_KEY")),
    summary="Cohere's Embed models over its API",
    models=tuple(model.spec() for model in MODELS),
)


@hookimpl
def llm_multi_core_frameworks() -> list[FrameworkSpec]:
    """The framework of this distribution."""
    return [COHERE]
