"""The command's commands, put together."""

from __future__ import annotations

from importlib import metadata
from typing import Annotated

import typer

from llm_multi_core.embedder.cli.catalogue import models
from llm_multi_core.embedder.cli.embed import embed
from llm_multi_core.embedder.cli.guard import DEBUG_VARIABLE, GuardedGroup
from llm_multi_core.embedder.cli.listings import frameworks, plugins
from llm_multi_core.embedder.cli.plan import plan
from llm_multi_core.embedder.cli.similarity import similarity

PROGRAM = "llm-multi-core"

app = typer.Typer(
    name=PROGRAM,
    cls=GuardedGroup,
    add_completion=False,
    rich_markup_mode=None,  # help and errors look the same on a terminal, in a pipe and in a log
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROGRAM} {metadata.version(PROGRAM)}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and stop.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", envvar=DEBUG_VARIABLE, help="Show the traceback of an error.")
    ] = False,
) -> None:
    """Embeddings of text, images and audio over every installed framework.

    Frameworks come from plugins that pip installs one by one: `llm-multi-core frameworks` lists them, and says what to
    install for those that are missing; `llm-multi-core models FRAMEWORK` lists one's models and options. Keys of hosted
    frameworks are read from the environment, never from arguments.
    """


app.command()(frameworks)
app.command()(plugins)
app.command()(models)
app.command()(embed)
app.command()(plan)
app.command()(similarity)


def main() -> None:
    """Run the command with the arguments of this process, and exit."""
    app(prog_name=PROGRAM)
