"""`with_media_metadata`: nodes and documents of one's own, made fit for pipelines, caches and stores."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from llama_index.core.schema import BaseNode, ImageNode, MediaResource, MetadataMode, Node

from llama_index.embeddings.llm_multi_core.entries import KEYS, NodeT, metadata_of_media, metadata_of_text
from llama_index.embeddings.llm_multi_core.nodes import Attachment, attachment_of
from llm_multi_core.embedder import InvalidInputError, Modality
from llm_multi_core.embedder.inputs.sources import SourcePolicy, find_source
from llm_multi_core.embedder.media import MediaLibrary, MediaRecord, mime_type_of, mime_type_of_bytes
from llm_multi_core.embedder.media.files import sha256_of


def with_media_metadata(
    nodes: Iterable[NodeT], library: MediaLibrary | None = None, *, allow_urls: bool = False
) -> list[NodeT]:
    """Copies of nodes or documents with the metadata, and the text, that keep them apart everywhere.

    To be called before a pipeline sees them: it looks them up in its cache by text and metadata before it
    hands them to an embedding.

    - A node with an image or audio file gets the file's `sha256` and the other metadata of
      `MultiCoreReader`, none of which is embedded, and a reference below its text or in place of it.
    - Media that a node holds as bytes, which LlamaIndex does not store, or as a URL, are put into the
      library's folder for blobs (`MediaLibrary(blobs=folder)`), and the node is given their path.
    - A text gets its metadata likewise, but keeps what it has under one of these names.

    Args:
        nodes: what was made with LlamaIndex's own classes.
        library: where media are registered; `embed_model.library` lets indexes hand over references.
        allow_urls: fetch http(s) URLs, though never from addresses that are not public.

    Raises:
        InvalidInputError: naming the first node, by its position, whose media cannot be read or kept.
    """
    known = MediaLibrary() if library is None else library
    policy = SourcePolicy(allow_urls=allow_urls)
    prepared: list[NodeT] = []
    for position, node in enumerate(nodes):
        try:
            prepared.append(_prepared(node, known, policy))
        except InvalidInputError as error:
            raise error.at(position) from error.__cause__
    return prepared


def _prepared(node: NodeT, library: MediaLibrary, policy: SourcePolicy) -> NodeT:
    held = attachment_of(node)
    copy = node.model_copy(deep=True)
    if held is None:
        text = node.get_content(metadata_mode=MetadataMode.NONE)
        if MediaRecord.from_metadata(node.metadata) is None:
            copy.metadata = {**metadata_of_text(text, node.ref_doc_id or node.node_id), **node.metadata}
    else:
        record = _record(node, held, library, policy)
        library.register([record])
        copy.metadata = {**node.metadata, **metadata_of_media(record)}
        _set_path(copy, record)
        text = node.get_content(metadata_mode=MetadataMode.NONE)
        if not text.endswith(record.reference):
            copy.set_content(f"{text}\n{record.reference}" if text else record.reference)
    copy.excluded_embed_metadata_keys = list(dict.fromkeys([*node.excluded_embed_metadata_keys, *KEYS]))
    copy.excluded_llm_metadata_keys = list(dict.fromkeys([*node.excluded_llm_metadata_keys, *KEYS]))
    return copy


def _record(node: BaseNode, held: Attachment, library: MediaLibrary, policy: SourcePolicy) -> MediaRecord:
    """What a node's media are known by from now on."""
    known = MediaRecord.from_metadata(node.metadata)
    if held.path is not None:
        file = Path(held.path).expanduser().absolute()
        if not file.is_file():
            raise InvalidInputError(f"node {node.node_id}: no such file: {held.path!r}")
        digest = sha256_of(file)
        if known is not None and known.sha256 == digest and known.source == str(file):
            return known  # perhaps a part of it
        return MediaRecord(held.modality, held.mime_type or mime_type_of(file), str(file), digest)
    data = _bytes(node, held, policy)
    mime_type = held.mime_type or mime_type_of_bytes(data)
    if mime_type is None:
        raise InvalidInputError(f"node {node.node_id}: its bytes are of no known kind; give them a mimetype")
    kept = library.add_bytes(data, mime_type)[0]
    return MediaRecord(held.modality, mime_type, kept.source, sha256(data).hexdigest())


def _bytes(node: BaseNode, held: Attachment, policy: SourcePolicy) -> bytes:
    if held.data is not None:
        try:
            return base64.b64decode(held.data, validate=True)
        except ValueError:
            raise InvalidInputError(f"node {node.node_id}: its inline data is not base64") from None
    source = find_source(held.url, policy, str(held.modality))
    assert source is not None  # noqa: S101 - it has a URL, since it holds nothing else
    return source.read()


def _set_path(node: BaseNode, record: MediaRecord) -> None:
    """Let a node hold its media by path and nothing else."""
    if isinstance(node, ImageNode):
        node.image, node.image_path, node.image_url = None, record.source, None
        node.image_mimetype = record.mime_type
    elif isinstance(node, Node):
        resource = MediaResource(path=Path(record.source), mimetype=record.mime_type)
        if record.modality is Modality.IMAGE:
            node.image_resource = resource
        else:
            node.audio_resource = resource
