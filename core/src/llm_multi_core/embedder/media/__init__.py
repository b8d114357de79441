"""Media in an index: records that say what an entry shows, and the library that finds it again.

An index holds vectors and metadata, never the media. What both adapters need of that is here.
"""

from llm_multi_core.embedder.media.files import files_below, is_text_type, mime_type_of, mime_type_of_bytes
from llm_multi_core.embedder.media.folders import (
    FileContent,
    FileFailure,
    MixedFolder,
    OnBadFile,
    UnreadableFileWarning,
    read_file,
)
from llm_multi_core.embedder.media.library import MediaLibrary
from llm_multi_core.embedder.media.records import (
    MediaRecord,
    entry_id,
    looks_like_reference,
    text_metadata,
    uniform_metadata,
)

__all__ = [
    "FileContent",
    "FileFailure",
    "MediaLibrary",
    "MediaRecord",
    "MixedFolder",
    "OnBadFile",
    "UnreadableFileWarning",
    "entry_id",
    "files_below",
    "is_text_type",
    "looks_like_reference",
    "mime_type_of",
    "mime_type_of_bytes",
    "read_file",
    "text_metadata",
    "uniform_metadata",
]
