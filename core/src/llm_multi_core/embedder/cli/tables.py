"""Tables that people read on a terminal and programs read from a pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

_STYLES = {"available": "green", "active": "green", "broken": "red"}
_OTHER_STYLE = "yellow"

_GAP = 2
_ENOUGH_FOR_LAST = 40
_NO_LIMIT = 100_000


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, status_column: int | None = None) -> None:
    """Print to standard output; nothing is left out, however narrow that is.

    In a pipe, a row is a line with at least two spaces between columns. So it is on a terminal that
    is too narrow for the table, which then wraps lines by itself; on a wider one, the last column
    is folded to fit.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    needed = sum(widths[:-1]) + _GAP * len(widths) + min(widths[-1], _ENOUGH_FOR_LAST)
    framed = sys.stdout.isatty() and needed <= console.width
    table = Table(box=box.SIMPLE_HEAD if framed else None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for name in header[:-1]:
        table.add_column(Text(name), no_wrap=True)
    table.add_column(Text(header[-1]), no_wrap=not framed, overflow="fold")
    for row in rows:
        # As Text, since "[extra]" in a plain string would be read as markup and vanish.
        cells = [Text(cell) for cell in row]
        if status_column is not None:
            cells[status_column].stylize(_STYLES.get(row[status_column], _OTHER_STYLE))
        table.add_row(*cells)
    if framed:
        console.print(table)
        return
    endless = Console(width=_NO_LIMIT, color_system=None)
    with endless.capture() as capture:
        endless.print(table)
    for line in capture.get().splitlines():
        typer.echo(line.rstrip())
