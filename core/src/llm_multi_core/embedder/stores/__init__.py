"""What keeps an index from being opened with another model than the one that filled it.

A `Stamp` is kept where the vectors are: in a Chroma or Qdrant collection, in a LanceDB table, or in a
file beside an index that lives in a folder. Adapters and embedding functions share this; none of the
stores is imported here.
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

__all__ = [
    "ChromaKeeper",
    "FileKeeper",
    "LanceKeeper",
    "MissingStamp",
    "QdrantKeeper",
    "StampKeeper",
    "UnstampedIndexWarning",
    "check_store",
    "stamp_of",
    "stamp_store",
]
