"""`llm-multi-core frameworks` and `plugins`: what there is, and why not. Imports no framework."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from llm_multi_core.embedder.cli.guard import tell
from llm_multi_core.embedder.cli.options import MODALITIES, one_of
from llm_multi_core.embedder.cli.tables import print_table
from llm_multi_core.embedder.host import default_host
from llm_multi_core.embedder.host.discovery import PluginRecord

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON in place of a table.")]


def frameworks(
    modality: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(MODALITIES),
            callback=one_of(*MODALITIES),
            help="Only frameworks that embed this.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the frameworks, and why one cannot be used.

    Every framework that is known or installed: whether it can be used here, whether the environment has its key, and if
    it cannot be used, why and what to install. One whose modality is followed by "to text" embeds nothing by itself: it
    puts images or recordings into words. Decided from package metadata; nothing is loaded.
    """
    # Of a broken plugin that is none of ours, nobody knows the modalities: it is always shown.
    rows = [
        row for row in default_host().statuses() if modality is None or not row.modalities or modality in row.modalities
    ]
    if as_json:
        entries = [
            {
                "framework": row.name,
                "modalities": list(row.modalities),
                "embeds": row.embeds,
                "plugin": row.distribution,
                "version": row.version,
                "status": row.status,
                "reason": row.reason,
                "hosted": row.hosted,
                "key_present": row.key_present,
                "summary": row.summary,
            }
            for row in rows
        ]
        typer.echo(json.dumps(entries, indent=2))
        return
    key = {True: "yes", False: "no", None: "-"}
    print_table(
        ("framework", "modalities", "plugin", "version", "status", "key", "why not"),
        [
            (
                row.name,
                (",".join(row.modalities) or "?") + ("" if row.embeds else " to text"),
                row.distribution,
                row.version or "-",
                row.status,
                key[row.key_present],
                row.reason,
            )
            for row in rows
        ],
        status_column=4,
    )


def plugins(as_json: JsonOption = False) -> None:
    """List the installed plugins.

    Each with its frameworks, or with the stage at which it failed and what it raised. A broken plugin is set aside, and
    the others go on.
    """
    records = default_host().plugins()
    if as_json:
        entries = [
            {
                "plugin": record.distribution,
                "entry_point": record.name,
                "version": record.version,
                "status": record.status,
                "frameworks": list(_names(record)),
                "fault": None if record.fault is None else str(record.fault),
                "disabled_by": record.disabled_by,
            }
            for record in records
        ]
        typer.echo(json.dumps(entries, indent=2))
        return
    if not records:
        tell("note", "no plugin is installed; `llm-multi-core frameworks` says what to install")
    print_table(
        ("plugin", "version", "status", "frameworks", "fault"),
        [
            (
                record.distribution,
                record.version,
                record.status,
                ",".join(_names(record)) or "-",
                str(record.fault or "") or (f"excluded by {record.disabled_by}" if record.disabled_by else ""),
            )
            for record in records
        ],
        status_column=2,
    )


def _names(record: PluginRecord) -> dict[str, None]:
    """The frameworks in their order; one that is declared for each modality apart is named once."""
    return dict.fromkeys(offer.spec.name for offer in record.offers)
