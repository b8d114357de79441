"""Media in an index: records that say what an entry shows, and the library that finds it again.

An index holds vectors and metadata, never the media. What both adapters need of that is here.
"""

from llm_multi_core.embedder.media.files import files_below, mime_type_of
from llm_multi_core.embedder.media.library import MediaLibrary
from llm_multi_core.embedder.media.records import MediaRecord

__all__ = ["MediaLibrary", "MediaRecord", "files_below", "mime_type_of"]
