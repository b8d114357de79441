"""Every framework of llm-multi-core as a LlamaIndex embedding, for texts alone and for texts, images and sound."""

from llama_index.embeddings.llm_multi_core.base import MultiCoreEmbedding
from llama_index.embeddings.llm_multi_core.guards import check_index, stamp_index
from llama_index.embeddings.llm_multi_core.ingestion import undone_on_failure
from llama_index.embeddings.llm_multi_core.multimodal import MultiCoreMultiModalEmbedding
from llama_index.embeddings.llm_multi_core.postprocessors import MediaBlocks
from llama_index.embeddings.llm_multi_core.preparing import with_media_metadata
from llama_index.embeddings.llm_multi_core.queries import (
    aquery_by_audio,
    aquery_by_image,
    query_by_audio,
    query_by_image,
)
from llama_index.embeddings.llm_multi_core.readers import MultiCoreReader, nodes_of_file
from llama_index.embeddings.llm_multi_core.retrievers import MultiCoreRetriever

__all__ = [
    "MediaBlocks",
    "MultiCoreEmbedding",
    "MultiCoreMultiModalEmbedding",
    "MultiCoreReader",
    "MultiCoreRetriever",
    "aquery_by_audio",
    "aquery_by_image",
    "check_index",
    "nodes_of_file",
    "query_by_audio",
    "query_by_image",
    "stamp_index",
    "undone_on_failure",
    "with_media_metadata",
]
