"""`llm-multi-core embed`: the vectors of texts, images or audio, from arguments, files or a pipe, in bounded memory."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, get_args

import typer

from llm_multi_core.embedder.cli.guard import EXIT_INCOMPLETE, CommandError, tell
from llm_multi_core.embedder.cli.inputs import Texts
from llm_multi_core.embedder.cli.media import given_inputs
from llm_multi_core.embedder.cli.options import (
    AllowUrlsOption,
    BatchSizeOption,
    DeviceOption,
    DimensionsOption,
    FileOption,
    ForceDimensionsOption,
    FrameworkOption,
    FrameworkOptions,
    InputsArgument,
    InstructionOption,
    ModalityOption,
    ModelOption,
    PrecisionOption,
    RoleOption,
    SkipEmptyOption,
    TruncationOption,
    make_embedder,
    one_of,
)
from llm_multi_core.embedder.cli.output import FORMATS, WRITERS, VectorWriter, choose_format, open_output
from llm_multi_core.embedder.errors import EmbedderError, EncodingError, InvalidInputError
from llm_multi_core.embedder.items import Modality
from llm_multi_core.embedder.modalities import AudioEmbedder, ImageEmbedder, TextEmbedder
from llm_multi_core.embedder.pipeline.call import OnError
from llm_multi_core.embedder.pipeline.report import Report
from llm_multi_core.embedder.pipeline.run import run_windows, warn_of_truncation

_ON_ERROR: tuple[OnError, ...] = get_args(OnError)


def embed(
    inputs: InputsArgument = None,
    modality: ModalityOption = "text",
    file: FileOption = None,
    skip_empty: SkipEmptyOption = False,
    role: RoleOption = None,
    instruction: InstructionOption = None,
    framework: FrameworkOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = "auto",
    dimensions: DimensionsOption = None,
    force_dimensions: ForceDimensionsOption = False,
    truncation: TruncationOption = "warn",
    option: FrameworkOptions = None,
    allow_urls: AllowUrlsOption = False,
    normalize: Annotated[bool, typer.Option("--normalize/--no-normalize", help="Bring vectors to length 1.")] = True,
    batch_size: BatchSizeOption = None,
    on_error: Annotated[
        str,
        typer.Option(
            metavar="|".join(_ON_ERROR),
            callback=one_of(*_ON_ERROR),
            help="Stop at the first input that fails and leave no file, or go on and end with exit code 1.",
        ),
    ] = "raise",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="A .jsonl or .npy file, which appears when it is complete.",
            show_default="standard output",
        ),
    ] = None,
    output_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="|".join(FORMATS),
            callback=one_of(*FORMATS),
            help="Lines of JSON, or one float32 array (n, d).",
            show_default="by the suffix, else jsonl",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output file if it exists.")] = False,
    progress: Annotated[
        bool | None,
        typer.Option(
            "--progress/--no-progress",
            help="Draw a progress bar on standard error.",
            show_default="if that is a terminal",
        ),
    ] = None,
) -> None:
    """Embed texts, images or audio, one vector each, in their order.

    A line of the output is {"index": 0, "text": "...", "embedding": [...]}, with "source" in place of "text" for images
    and audio; with --on-error collect, a failed input has a null embedding and an "error". Any number of inputs is
    embedded in bounded memory, and written as it goes.
    """
    kind = Modality(modality)
    is_text = kind is Modality.TEXT
    given = given_inputs(kind, inputs, file, skip_empty=skip_empty)
    chosen = choose_format(output, output_format)
    embedder = make_embedder(
        kind,
        framework,
        model,
        option,
        device=device,
        precision=precision,
        dimensions=dimensions,
        force_dimensions=force_dimensions,
        normalize=normalize,
        truncation=truncation,
        batch_size=batch_size,
        allow_urls=allow_urls,
    )
    with embedder, open_output(output, overwrite=overwrite, seekable=chosen == "npy") as stream:
        writer = WRITERS[chosen](stream, "text" if is_text else "source")
        report = _embed_all(
            embedder,
            given,
            writer,
            role=role,
            instruction=instruction,
            on_error="collect" if on_error == "collect" else "raise",
            show_progress=sys.stderr.isatty() if progress is None else progress,
        )
        dimension = embedder.dimension
    _tell_outcome(report, given, skip_empty or not is_text, writer)
    tell("report", f"{report}; {dimension} dimensions, to {output or 'standard output'}")
    if report.failures:
        raise typer.Exit(EXIT_INCOMPLETE)


def _embed_all(
    embedder: TextEmbedder | ImageEmbedder | AudioEmbedder,
    inputs: Texts,
    writer: VectorWriter,
    *,
    role: str | None,
    instruction: str | None,
    on_error: OnError,
    show_progress: bool,
) -> Report:
    """Embed window by window, writing each; like `run`, but without keeping what was written."""
    unwritten: deque[str] = deque()
    texts = _remembered(inputs, unwritten)
    resolved = embedder._resolve_dense()
    sized = range(inputs.total) if inputs.total is not None else inputs
    failures: dict[int, EmbedderError] = {}
    written = collected = 0
    try:
        with embedder._open(sized, role, instruction, on_error, show_progress, resolved) as call:
            for rows in run_windows(resolved, call, embedder._items(call, texts)):
                # A refused input of the next window may be among them: it is read one ahead.
                failures.update((failure.index, failure.error) for failure in call.report.failures[collected:])
                collected = len(call.report.failures)
                block = [unwritten.popleft() for _ in range(len(rows))]
                writer.write(written, block, rows.values, failures)
                written += len(block)
                failures = {index: error for index, error in failures.items() if index >= written}
    except (InvalidInputError, EncodingError) as error:
        index = error.index if isinstance(error, InvalidInputError) else min(error.indices, default=None)
        raise CommandError(_located(error, index, inputs)) from error
    writer.finish()
    warn_of_truncation(resolved, call.truncation, call.report)
    return call.report


def _remembered(inputs: Texts, unwritten: deque[str]) -> Iterator[str]:
    """The texts, each kept until its vector is written."""
    for text in inputs:
        unwritten.append(text)
        yield text


def _tell_outcome(report: Report, inputs: Texts, skip_empty: bool, writer: VectorWriter) -> None:
    if inputs.empty:
        fate = "left out" if skip_empty else "each has a vector like any other, unless --skip-empty leaves it out"
        tell("note", f"empty lines: {inputs.empty}; {fate}")
    if report.failures:
        first = report.failures[0]
        tell(
            "warning",
            f"{len(report.failures)} of {report.items} inputs failed and have {writer.failed_inputs_have}; the first: "
            f"{_located(first.error, first.index, inputs)}",
        )


def _located(error: EmbedderError, index: int | None, inputs: Texts) -> str:
    """The error, with the file and line that its input comes from."""
    where = inputs.where(index) if index is not None else None
    return str(error) if where is None else f"{error} ({where})"
