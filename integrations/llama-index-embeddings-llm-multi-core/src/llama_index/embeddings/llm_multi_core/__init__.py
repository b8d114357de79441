"""Every framework of llm-multi-core as a LlamaIndex embedding, for texts alone and for texts, images and sound."""

from llama_index.embeddings.llm_multi_core.base import MultiCoreEmbedding
from llama_index.embeddings.llm_multi_core.multimodal import MultiCoreMultiModalEmbedding
from llama_index.embeddings.llm_multi_core.preparing import with_media_metadata
from llama_index.embeddings.llm_multi_core.readers import MultiCoreReader, nodes_of_file

__all__ = [
    "MultiCoreEmbedding",
    "MultiCoreMultiModalEmbedding",
    "MultiCoreReader",
    "nodes_of_file",
    "with_media_metadata",
]
