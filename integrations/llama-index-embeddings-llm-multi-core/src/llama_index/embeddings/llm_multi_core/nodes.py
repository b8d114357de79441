"""What of LlamaIndex's nodes is embedded: the media that they hold or stand for, else their text.

A node with media has the sha256 of its file in its metadata, since LlamaIndex tells nodes apart by their
texts and metadata alone: its ingestion cache would give a picture the vector of any other whose text is
the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from llama_index.core.schema import BaseNode, ImageNode, MediaResource, MetadataMode, Node

from llama_index.embeddings.llm_multi_core.inputs import RecordInput, TextInput
from llm_multi_core.embedder import InvalidInputError, Modality
from llm_multi_core.embedder.media import MediaLibrary, MediaRecord, looks_like_reference, mime_type_of


@dataclass(frozen=True, slots=True)
class Attachment:
    """The media that a node holds, as it holds them.

    Attributes:
        modality: image or audio.
        path: of their file.
        url: of their file, elsewhere.
        data: base64 of their bytes.
        mime_type: what they are, as far as the node says.
    """

    modality: Modality
    path: str | None
    url: str | None
    data: str | bytes | None
    mime_type: str | None


def attachment_of(node: BaseNode) -> Attachment | None:
    """The media of a node, if it holds any; nothing is opened or fetched.

    Raises:
        InvalidInputError: if it holds several, or a video.
    """
    if isinstance(node, ImageNode):
        if not (node.image or node.image_path or node.image_url):
            return None
        return Attachment(Modality.IMAGE, node.image_path, node.image_url, node.image, node.image_mimetype)
    if not isinstance(node, Node):
        return None
    if node.video_resource is not None and _holds(node.video_resource):
        raise InvalidInputError(f"node {node.node_id} holds a video, which nothing here embeds")
    resources = {Modality.IMAGE: node.image_resource, Modality.AUDIO: node.audio_resource}
    held = {modality: resource for modality, resource in resources.items() if resource is not None and _holds(resource)}
    if len(held) > 1:
        raise InvalidInputError(f"node {node.node_id} holds an image and a recording; make a node of each")
    for modality, resource in held.items():
        path, url = resource.path, resource.url
        return Attachment(
            modality,
            None if path is None else str(path),
            None if url is None else str(url),
            resource.data,
            resource.mimetype,
        )
    return None


def record_of(node: BaseNode) -> MediaRecord | None:
    """What a node shows, as far as its metadata and its file's path say; `None` for a text.

    A node that lost its media on the way, such as to a splitter, is known by its text, which is the
    record's reference.

    Raises:
        InvalidInputError: if it has media that its metadata do not identify, or a piece of a reference.
    """
    held = attachment_of(node)
    record = MediaRecord.from_metadata(node.metadata)
    if held is None:
        if record is None:
            return None
        text = node.get_content(MetadataMode.NONE)
        if text and text != record.reference and text in record.reference:
            raise InvalidInputError(
                f"node {node.node_id} has a piece of {record.reference!r}; a splitter cut it. Give media nodes past "
                "the splitter, or let its chunks be larger"
            )
        return record if text == record.reference else None
    if record is not None and record.modality is held.modality:
        moved = held.path is not None and held.path != record.source
        return replace(record, source=held.path) if moved and held.path is not None else record
    digest = node.metadata.get("sha256")
    if held.path is None or not digest:
        raise InvalidInputError(
            f"node {node.node_id} holds {_named(held)} without the sha256 of its file in its metadata, by which "
            "LlamaIndex's caches and stores tell one from another. Read it with MultiCoreReader, or pass nodes "
            "through with_media_metadata(nodes) first"
        )
    return MediaRecord(held.modality, held.mime_type or mime_type_of(held.path), held.path, str(digest))


def node_inputs(nodes: Sequence[BaseNode], library: MediaLibrary) -> list[RecordInput | TextInput]:
    """What is embedded of each node: its media, else its text with the metadata that are not left out.

    Raises:
        InvalidInputError: naming the first node, by its position, that cannot be.
    """
    inputs: list[RecordInput | TextInput] = []
    for position, node in enumerate(nodes):
        try:
            record = record_of(node)
            if record is not None:
                inputs.append(RecordInput(record, library))
            else:
                inputs += text_inputs([node.get_content(metadata_mode=MetadataMode.EMBED)], library)
        except InvalidInputError as error:
            raise error.at(position) from error.__cause__
    return inputs


def text_inputs(texts: Sequence[str], library: MediaLibrary) -> list[RecordInput | TextInput]:
    """What is embedded of texts: the media that they are the references of, else themselves.

    A reference may stand below metadata, which indexes put before a text.

    Raises:
        InvalidInputError: naming the first, by its position, that is the reference of media not known here.
    """
    inputs: list[RecordInput | TextInput] = []
    for position, text in enumerate(texts):
        record = library.find(text) or library.find(text.rpartition("\n")[2]) if isinstance(text, str) else None
        if record is not None:
            inputs.append(RecordInput(record, library))
            continue
        if isinstance(text, str) and looks_like_reference(text):
            raise InvalidInputError(
                f"{text!r} stands for media that this embedding's library does not know. Give that to the reader "
                "(MultiCoreReader(..., library=embed_model.library)), or embed nodes with embed_model(nodes) before "
                "they go into an index",
                index=position,
            )
        inputs.append(TextInput(text))
    return inputs


def _holds(resource: MediaResource) -> bool:
    return resource.path is not None or resource.url is not None or resource.data is not None


def _named(held: Attachment) -> str:
    what = "an image" if held.modality is Modality.IMAGE else "a recording"
    return f"{what} ({Path(held.path).name})" if held.path is not None else f"{what} that is no file"
