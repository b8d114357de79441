"""Every framework of llm-multi-core as a LanceDB embedding function. Importing this registers it."""

from llm_multi_core_lancedb.function import NAME, MultiCoreEmbeddingFunction
from llm_multi_core_lancedb.guards import check_table, stamp_table

__all__ = ["NAME", "MultiCoreEmbeddingFunction", "check_table", "stamp_table"]
