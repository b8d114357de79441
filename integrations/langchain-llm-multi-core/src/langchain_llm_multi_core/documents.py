"""Documents that stand for media, and for texts among them, with what tells each apart.

A document of a picture or sound has a reference as its text, and the media in a file: vector stores keep
texts and metadata, and never the media.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from langchain_core.documents import BaseDocumentTransformer, Document

from llm_multi_core.embedder import InvalidInputError
from llm_multi_core.embedder.media import FileContent, MediaRecord, entry_id, text_metadata, uniform_metadata


def media_document(
    record: MediaRecord, metadata: Mapping[str, Any] | None = None, *, uniform_metadata: bool = False
) -> Document:
    """The document of a picture, a recording, a window of one, or a page.

    Args:
        record: as a `MediaLibrary` registers it.
        metadata: more of them; the record's own go before.
        uniform_metadata: give every document the same keys; see `MediaBlobParser`.

    Returns:
        A document whose `id` follows from file and content, so that adding it again replaces it.
    """
    own = _uniform(record.to_metadata(), uniform_metadata)
    return Document(
        id=entry_id(record.source, record.reference),
        page_content=record.reference,
        metadata={**(metadata or {}), **own},
    )


def documents_of(
    content: FileContent,
    *,
    text_splitter: BaseDocumentTransformer | None = None,
    metadata: Mapping[str, Any] | None = None,
    uniform_metadata: bool = False,
) -> Iterator[Document]:
    """The documents of a file: one for each record of media, or a text in pieces.

    Args:
        content: what the file holds.
        text_splitter: cuts texts into pieces.
        metadata: more metadata for each.
        uniform_metadata: give every document the same keys; see `MediaBlobParser`.
    """
    for record in content.records:
        yield media_document(record, metadata, uniform_metadata=uniform_metadata)
    if content.text is None:
        return
    whole = Document(content.text)
    seen: Counter[str] = Counter()
    for piece in [whole] if text_splitter is None else text_splitter.transform_documents([whole]):
        text = piece.page_content
        if not text.strip():
            continue
        own = text_metadata(text, str(content.path), content.mime_type)
        number = seen[own["sha256"]]  # of equal pieces, which a store could not tell apart
        seen[own["sha256"]] += 1
        name = entry_id(own["source"], own["sha256"], number or None)
        merged = {**(metadata or {}), **piece.metadata, **_uniform(own, uniform_metadata)}
        yield Document(id=name, page_content=text, metadata=merged)


def document_key(document: Document) -> str:
    """The id of a document of this package, for `index(..., key_encoder=document_key)`.

    Ids follow from file and content, are UUIDs as every store takes them, and leave other metadata out.

    Raises:
        InvalidInputError: if it has none.
    """
    if document.id is None:
        raise InvalidInputError("the document has no id; documents of MediaFolderLoader and MediaBlobParser have one")
    return document.id


def media_records(documents: Iterable[Document]) -> list[MediaRecord]:
    """The records that documents of media hold, for a library that does not know them yet.

    Registering them trusts the store that the documents came from: it then says which files are opened.
    """
    records = (MediaRecord.from_metadata(document.metadata) for document in documents)
    return [record for record in records if record is not None]


def _uniform(metadata: Mapping[str, Any], uniform: bool) -> dict[str, Any]:
    return uniform_metadata(metadata) if uniform else dict(metadata)
