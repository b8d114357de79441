"""`llm-multi-core similarity`: the cosine of two inputs."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from llm_multi_core.embedder.cli.options import (
    DeviceOption,
    DimensionsOption,
    ForceDimensionsOption,
    FrameworkOption,
    FrameworkOptions,
    ModelOption,
    PrecisionOption,
    TruncationOption,
    text_embedder,
)


def similarity(
    a: Annotated[str, typer.Argument(metavar="A", help="A text.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another text.")],
    framework: FrameworkOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = "auto",
    dimensions: DimensionsOption = None,
    force_dimensions: ForceDimensionsOption = False,
    truncation: TruncationOption = "warn",
    option: FrameworkOptions = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the space as well, as JSON.")] = False,
) -> None:
    """Print the cosine of two texts.

    It lies between -1 and 1. Both texts are embedded in the symmetric role.
    """
    embedder = text_embedder(
        framework,
        model,
        option,
        device=device,
        precision=precision,
        dimensions=dimensions,
        force_dimensions=force_dimensions,
        truncation=truncation,
    )
    with embedder:
        value = embedder.similarity(a, b)
        if as_json:
            typer.echo(json.dumps({"similarity": value, "space": embedder.space.to_dict()}, indent=2))
        else:
            typer.echo(f"{value:.6f}")
