"""`llm-multi-core plan`: what embedding some inputs would take, before it is done."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import typer

from llm_multi_core.embedder.cli.guard import EXIT_INCOMPLETE, tell
from llm_multi_core.embedder.cli.listings import JsonOption
from llm_multi_core.embedder.cli.media import given_inputs
from llm_multi_core.embedder.cli.options import (
    AllowUrlsOption,
    BatchSizeOption,
    DimensionsOption,
    FileOption,
    FrameworkOption,
    FrameworkOptions,
    InputsArgument,
    InstructionOption,
    ModalityOption,
    ModelOption,
    RoleOption,
    SkipEmptyOption,
    TruncationOption,
    make_embedder,
)
from llm_multi_core.embedder.cli.tables import print_table
from llm_multi_core.embedder.items import Modality
from llm_multi_core.embedder.pipeline.report import Plan


def plan(
    inputs: InputsArgument = None,
    modality: ModalityOption = "text",
    file: FileOption = None,
    skip_empty: SkipEmptyOption = False,
    role: RoleOption = None,
    instruction: InstructionOption = None,
    framework: FrameworkOption = None,
    model: ModelOption = None,
    dimensions: DimensionsOption = None,
    truncation: TruncationOption = "warn",
    option: FrameworkOptions = None,
    allow_urls: AllowUrlsOption = False,
    batch_size: BatchSizeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what embedding these inputs would take: tokens, requests, cost.

    Nothing is sent to a provider, and nothing is encoded; a local model is loaded, since its tokenizer counts. For a
    hosted model, tokens are estimated, and the cost is an estimate by the price in the catalogue or the option price.
    """
    kind = Modality(modality)
    given = given_inputs(kind, inputs, file, skip_empty=skip_empty)
    embedder = make_embedder(
        kind,
        framework,
        model,
        option,
        dimensions=dimensions,
        truncation=truncation,
        batch_size=batch_size,
        allow_urls=allow_urls,
    )
    with embedder:
        found = embedder.plan(given, role, instruction=instruction)
        unit = embedder._resolve().description.limits.unit
        hosted = embedder._resolve().handle.hosted
    if as_json:
        typer.echo(json.dumps(_entry(found, unit), indent=2))
    else:
        print_table(("what", "how much"), _rows(found, unit, hosted=hosted))
    for failure in found.failures[:_NAMED]:
        where = given.where(failure.index)
        tell("warning", f"{failure.error} ({where})" if where else str(failure.error))
    if len(found.failures) > _NAMED:
        tell("warning", f"and {len(found.failures) - _NAMED} more would be refused")
    if found.failures:
        raise typer.Exit(EXIT_INCOMPLETE)


_NAMED = 10
"""Refused inputs that are named one by one."""


def _rows(plan: Plan, unit: str, *, hosted: bool) -> list[tuple[str, str]]:
    about = "" if plan.exact else "about "
    rows = [
        ("inputs", f"{plan.items:,}"),
        ("duplicates", f"{plan.duplicates:,}"),
        (f"{unit}s", f"{about}{plan.units:,}"),
        ("requests" if hosted else "batches", f"{plan.requests:,}"),
        ("would be cut", f"{len(plan.truncations):,}"),
        ("would be refused", f"{len(plan.failures):,}"),
    ]
    if hosted:
        rows.append(("cost", _dollars(plan.cost)))
    else:
        rows.append(("padding", f"{plan.padding:.0%}"))
    return rows


def _dollars(cost: float | None) -> str:
    if cost is None:
        return "unknown; --option price=X says what a million units cost in US dollars"
    return f"about ${cost:.2f}" if cost >= 1 else f"about ${cost:.6f}"


def _entry(plan: Plan, unit: str) -> dict[str, Any]:
    entry = {name: value for name, value in asdict(plan).items() if name != "failures"}
    failures = [{"index": failure.index, "error": str(failure.error)} for failure in plan.failures]
    return {**entry, "unit": unit, "failures": failures}
