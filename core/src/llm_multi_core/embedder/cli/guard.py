"""How the command ends: one line for an error, an exit code, and no traceback unless asked for."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Any, Literal, TextIO

import typer
from typer.core import TyperGroup

from llm_multi_core.embedder.errors import EmbedderError, EmbedderWarning

DEBUG_VARIABLE = "LLM_MULTI_CORE_DEBUG"

EXIT_INCOMPLETE = 1
"""Everything was written, but some inputs failed and were collected."""
EXIT_ERROR = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141

# typer passes on an exception of click's, which is a package of its own for some versions of typer
# and a part of it for others; this class is the root of them for both.
_CommandLineError: type[Any] = typer.BadParameter.__mro__[2]


class CommandError(Exception):
    """What the user asked for cannot be done; the message is all that they need to know."""


def tell(kind: Literal["error", "warning", "note", "report"], message: object) -> None:
    """One line on standard error, whatever the message looks like."""
    typer.echo(f"{kind}: {' '.join(str(message).split())}", err=True)


class GuardedGroup(TyperGroup):
    """Commands whose errors become one line, and whose warnings do, too."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run, and exit the process."""
        if not (sys.argv[1:] if args is None else args):
            args = ["--help"]
        try:
            code = super().main(
                args, prog_name, complete_var, standalone_mode=False, windows_expand_args=windows_expand_args, **extra
            )
        except _CommandLineError as error:
            context = getattr(error, "ctx", None)
            hint = f" (see '{context.command_path} --help')" if context is not None else ""
            tell("error", error.format_message().rstrip(".") + hint)
            code = EXIT_ERROR
        sys.exit(code or 0)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named.

        Raises:
            typer.Exit: with the exit code, after an error.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("always", EmbedderWarning)
            show = warnings.showwarning

            def showwarning(
                message: Warning | str,
                category: type[Warning],
                filename: str,
                lineno: int,
                file: TextIO | None = None,
                line: str | None = None,
            ) -> None:
                if issubclass(category, EmbedderWarning):
                    tell("warning", message)
                else:
                    show(message, category, filename, lineno, file, line)

            warnings.showwarning = showwarning
            try:
                result = super().invoke(ctx)
                sys.stdout.flush()
            except BrokenPipeError:
                _discard_output()
                raise typer.Exit(EXIT_BROKEN_PIPE) from None
            except (typer.Exit, typer.Abort, _CommandLineError):
                raise
            except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - every error ends in one line
                if ctx.params.get("debug"):
                    traceback.print_exc()
                tell("error", _describe(error))
                raise typer.Exit(EXIT_INTERRUPTED if isinstance(error, KeyboardInterrupt) else EXIT_ERROR) from None
            return result


def _describe(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, CommandError | EmbedderError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return f"unexpected {type(error).__name__}: {error}; {DEBUG_VARIABLE}=1 shows where it comes from"


def _discard_output() -> None:
    """Nobody reads any more: what the interpreter flushes at its end goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
