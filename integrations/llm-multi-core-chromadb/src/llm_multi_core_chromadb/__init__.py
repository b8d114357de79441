"""Every framework of llm-multi-core as a Chroma embedding function. Importing this registers it."""

from llm_multi_core_chromadb.function import NAME, MultiCoreEmbeddingFunction
from llm_multi_core_chromadb.guards import check_collection, stamp_collection
from llm_multi_core_chromadb.loader import MediaLoader

__all__ = [
    "NAME",
    "MediaLoader",
    "MultiCoreEmbeddingFunction",
    "check_collection",
    "stamp_collection",
]
