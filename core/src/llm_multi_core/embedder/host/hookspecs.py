"""The hook that plugins implement."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from llm_multi_core.embedder.frameworks import FrameworkSpec

PROJECT = "llm_multi_core"
ENTRY_POINT_GROUP = "llm_multi_core.embedder"
HOOK = "llm_multi_core_frameworks"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def llm_multi_core_frameworks() -> Iterable[FrameworkSpec]:
    """The frameworks that a plugin offers: pure data, no I/O, no heavy import.

    A plugin is a module with this function, named by an entry point in the group
    `llm_multi_core.embedder`:

    ```python
    from llm_multi_core.embedder import FrameworkSpec, Modality, hookimpl

    @hookimpl
    def llm_multi_core_frameworks():
        yield FrameworkSpec(
            name="acme",
            modalities=(Modality.TEXT,),
            target="llm_multi_core_acme.encoder:AcmeEncoder",
            requires=("acme-sdk>=2",),
            default_model={Modality.TEXT: "acme-small"},
            summary="Acme's text models",
        )
    ```

    ```toml
    [project.entry-points."llm_multi_core.embedder"]
    acme = "llm_multi_core_acme.plugin"
    ```

    Every implementation is called by itself, so one that raises hides no other. Wrappers are
    refused.
    """
    return ()
