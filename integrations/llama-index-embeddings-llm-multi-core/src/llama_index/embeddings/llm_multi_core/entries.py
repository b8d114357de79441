"""Documents and nodes of LlamaIndex for the files of a folder, with all that keeps them apart.

Each has an id that follows from where it comes from, so that it is known again when the folder is read
again; metadata by which media are found again; and a text, since indexes leave out nodes without one.
"""

from __future__ import annotations

from typing import Any, TypeVar

from llama_index.core.schema import (
    BaseNode,
    Document,
    MediaResource,
    Node,
    NodeRelationship,
    RelatedNodeInfo,
    TextNode,
)

from llm_multi_core.embedder import Modality
from llm_multi_core.embedder.media import MediaRecord, entry_id, text_metadata, uniform_metadata

NodeT = TypeVar("NodeT", bound=BaseNode)

KEYS = ("modality", "mime_type", "source", "sha256", "start_ms", "end_ms", "page")
"""The metadata by which entries are known, neither embedded nor shown to a language model."""


def metadata_of_media(record: MediaRecord) -> dict[str, str | int]:
    """The metadata of a record, with all of `KEYS`."""
    return uniform_metadata(record.to_metadata())


def metadata_of_text(text: str, source: str, mime_type: str = "text/plain") -> dict[str, str | int]:
    """The metadata of a text, with all of `KEYS`."""
    return uniform_metadata(text_metadata(text, source, mime_type))


def media_node(record: MediaRecord) -> BaseNode:
    """The node of a picture, a recording, a window of one, or a page of a PDF.

    No `ImageNode`: an index on a store that keeps texts would remember the ids of those and of no others,
    and its retrievers then hide everything else where the store filters by ids, as Qdrant does.
    """
    common = _common(record.source, metadata_of_media(record), record.page, record.start_ms, record.end_ms)
    if record.page is not None:  # its file is no picture, so it is not given out as one
        return TextNode(text=record.reference, **common)
    return Node(text_resource=MediaResource(text=record.reference), **_resource(record), **common)


def media_document(record: MediaRecord) -> Document:
    """The document of a picture, a recording, a window of one, or a page of a PDF."""
    common = _common(record.source, metadata_of_media(record), record.page, record.start_ms, record.end_ms)
    return Document(text=record.reference, **({} if record.page is not None else _resource(record)), **common)


def text_node(text: str, source: str, mime_type: str) -> TextNode:
    """The node of a text."""
    return TextNode(text=text, **_common(source, metadata_of_text(text, source, mime_type)))


def text_document(text: str, source: str, mime_type: str) -> Document:
    """The document of a text."""
    return Document(text=text, **_common(source, metadata_of_text(text, source, mime_type)))


def as_own_source(node: NodeT) -> NodeT:
    """The node as it goes into a store, which deletes entries by their source: one without has itself as that.

    Not before: a document store that knows documents by their sources could not delete such a one.
    """
    if node.source_node is not None or not {"sha256", "modality"} <= node.metadata.keys():
        return node
    own = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=node.node_id)}
    return node.model_copy(update={"relationships": {**node.relationships, **own}})


def _common(source: str, metadata: dict[str, str | int], *part: int | None) -> dict[str, Any]:
    return {
        "id_": entry_id(source, *part),
        "metadata": metadata,
        "excluded_embed_metadata_keys": list(KEYS),
        "excluded_llm_metadata_keys": list(KEYS),
    }


def _resource(record: MediaRecord) -> dict[str, Any]:
    """The resource of a record, by the name of the field that it goes into."""
    resource = MediaResource.model_validate({"path": record.source, "mimetype": record.mime_type or None})
    return {"image_resource" if record.modality is Modality.IMAGE else "audio_resource": resource}
