"""The embedders of llm-multi-core for LangChain: texts, images and sound.

`MultiCoreEmbeddings` embeds texts, `MultiCoreMultiModalEmbeddings` all modalities into one space. Around the
latter: documents of media, a loader for mixed folders, search and retrieval by picture or sound, content blocks
for chat models, and stamps that keep a store from being opened with another model. Types are converted here and an
embedder is called; it batches, caches and normalises.
"""

from langchain_llm_multi_core.blobs import MediaBlobParser
from langchain_llm_multi_core.content import content_blocks
from langchain_llm_multi_core.documents import document_key, media_document, media_records
from langchain_llm_multi_core.embeddings import MultiCoreEmbeddings
from langchain_llm_multi_core.loader import MediaFolderLoader
from langchain_llm_multi_core.media_inputs import MediaQuery, UnregisteredReferenceWarning
from langchain_llm_multi_core.media_roles import OneRoleMediaEmbeddings
from langchain_llm_multi_core.multimodal import MultiCoreMultiModalEmbeddings
from langchain_llm_multi_core.retriever import MultiModalRetriever
from langchain_llm_multi_core.roles import OneRoleEmbeddings
from langchain_llm_multi_core.search import amedia_search, media_search
from langchain_llm_multi_core.stamping import check, stamp
from llm_multi_core.embedder.media import MediaLibrary, MediaRecord, UnreadableFileWarning
from llm_multi_core.embedder.stores import UnstampedIndexWarning

__all__ = [
    "MediaBlobParser",
    "MediaFolderLoader",
    "MediaLibrary",
    "MediaQuery",
    "MediaRecord",
    "MultiCoreEmbeddings",
    "MultiCoreMultiModalEmbeddings",
    "MultiModalRetriever",
    "OneRoleEmbeddings",
    "OneRoleMediaEmbeddings",
    "UnreadableFileWarning",
    "UnregisteredReferenceWarning",
    "UnstampedIndexWarning",
    "amedia_search",
    "check",
    "content_blocks",
    "document_key",
    "media_document",
    "media_records",
    "media_search",
    "stamp",
]
