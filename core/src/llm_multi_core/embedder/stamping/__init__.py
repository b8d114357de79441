"""Stamps kept with an index: where each kind of database has a place for one, and what is checked on opening.

What a stamp is, `llm_multi_core.embedder.Stamp` says. No database's client is imported here.
"""

from llm_multi_core.embedder.stamping.guard import UnstampedIndexWarning, check_index, stamp_index
from llm_multi_core.embedder.stamping.places import ChromaPlace, FilePlace, LancePlace, QdrantPlace, StampPlace

__all__ = [
    "ChromaPlace",
    "FilePlace",
    "LancePlace",
    "QdrantPlace",
    "StampPlace",
    "UnstampedIndexWarning",
    "check_index",
    "stamp_index",
]
