"""`llm-multi-core similarity`: the cosine of two inputs of one modality."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from llm_multi_core.embedder.cli.guard import CommandError
from llm_multi_core.embedder.cli.options import (
    AllowUrlsOption,
    DeviceOption,
    DimensionsOption,
    ForceDimensionsOption,
    FrameworkOption,
    FrameworkOptions,
    ModalityOption,
    ModelOption,
    PrecisionOption,
    TruncationOption,
    make_embedder,
)
from llm_multi_core.embedder.errors import InvalidInputError
from llm_multi_core.embedder.items import Modality


def similarity(
    a: Annotated[str, typer.Argument(metavar="A", help="A text, or the path of an image or recording.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    modality: ModalityOption = "text",
    framework: FrameworkOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = "auto",
    dimensions: DimensionsOption = None,
    force_dimensions: ForceDimensionsOption = False,
    truncation: TruncationOption = "warn",
    option: FrameworkOptions = None,
    allow_urls: AllowUrlsOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the space as well, as JSON.")] = False,
) -> None:
    """Print the cosine of two texts, images or recordings.

    It lies between -1 and 1. Both are embedded in the symmetric role.
    """
    embedder = make_embedder(
        Modality(modality),
        framework,
        model,
        option,
        device=device,
        precision=precision,
        dimensions=dimensions,
        force_dimensions=force_dimensions,
        truncation=truncation,
        allow_urls=allow_urls,
    )
    with embedder:
        try:
            value = embedder.similarity(a, b)
        except InvalidInputError as error:
            if modality == "text" or error.index is None:
                raise
            raise CommandError(f"{error} ({(a, b)[error.index]})") from error
        if as_json:
            typer.echo(json.dumps({"similarity": value, "space": embedder.space.to_dict()}, indent=2))
        else:
            typer.echo(f"{value:.6f}")
