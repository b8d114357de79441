"""What keeps an index from being opened with another model than the one that filled it.

A `Stamp` is kept where the vectors are: in a Chroma or Qdrant collection, in a LanceDB table, or in a
file beside an index that lives in a folder. Where a store keeps the embedder's settings instead, they
are plain data, and its space is pinned. Adapters and embedding functions share this; none of the stores
is imported here.
"""

from llm_multi_core.embedder.stores.guard import (
    MissingStamp,
    UnstampedIndexWarning,
    check_store,
    stamp_of,
    stamp_store,
)
from llm_multi_core.embedder.stores.keepers import (
    ChromaKeeper,
    FileKeeper,
    LanceKeeper,
    QdrantKeeper,
    StampKeeper,
)
from llm_multi_core.embedder.stores.pinned import PinnedEmbedder
from llm_multi_core.embedder.stores.settings import (
    alignments_of,
    bridge_settings,
    modality_settings,
    refuse_grants,
    stored_settings,
)
from llm_multi_core.embedder.stores.shared import shared_embedder

__all__ = [
    "ChromaKeeper",
    "FileKeeper",
    "LanceKeeper",
    "MissingStamp",
    "PinnedEmbedder",
    "QdrantKeeper",
    "StampKeeper",
    "UnstampedIndexWarning",
    "alignments_of",
    "bridge_settings",
    "check_store",
    "modality_settings",
    "refuse_grants",
    "shared_embedder",
    "stamp_of",
    "stamp_store",
    "stored_settings",
]
