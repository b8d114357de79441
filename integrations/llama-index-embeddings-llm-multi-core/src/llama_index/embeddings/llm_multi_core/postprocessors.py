"""`MediaBlocks`: retrieved nodes as a multimodal language model takes them, with the media themselves."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llama_index.core.base.llms.types import ContentBlock
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MediaResource, MetadataMode, Node, NodeWithScore, QueryBundle
from pydantic import Field, PrivateAttr

from llm_multi_core.embedder import InvalidInputError, Modality
from llm_multi_core.embedder.inputs.audio import AudioSource
from llm_multi_core.embedder.inputs.encoded import encode_media
from llm_multi_core.embedder.inputs.image import ImageSource
from llm_multi_core.embedder.media import MediaLibrary, MediaRecord

IMAGE_FORMATS = ("image/jpeg", "image/png", "image/webp", "image/gif")
AUDIO_FORMATS = ("audio/wav", "audio/mpeg")
"""What language models take; anything else is written anew in the first of them."""


class MediaBlocks(BaseNodePostprocessor):
    """Gives each retrieved node of media its title as text, and what it shows as a block.

    `get_content_blocks` of such a node, which response synthesizers call, gives a `TextBlock` (`"image
    cat.jpg"`, `"page 3 of report.pdf"`, `"audio talk.mp3 0:30-1:00"`) and an `ImageBlock` or `AudioBlock`.
    A whole file in a format that models take is given by its path; a page, a stretch of a recording and
    other formats as bytes. Metadata stays, with `source`, `page`, `start_ms` and `end_ms`. Texts pass.

    A file is used only if it still holds what was indexed.

    Args:
        modalities: what the model takes; of other media the title says that they are left out.
        max_bytes: the largest picture or sound. A larger picture is shrunk, a larger sound written anew in
            mono, and left out, which its title then says, if that is still too large.
        max_total_bytes: of all media together; what comes after is left out likewise.
        image_formats: media types of pictures that the model takes.
        audio_formats: those of sound.
        library: where media are read from; by default an own one.
    """

    modalities: tuple[str, ...] = Field(default=(Modality.TEXT, Modality.IMAGE, Modality.AUDIO))
    max_bytes: int = Field(default=4 * 1024 * 1024, gt=0)
    max_total_bytes: int = Field(default=16 * 1024 * 1024, gt=0)
    image_formats: tuple[str, ...] = IMAGE_FORMATS
    audio_formats: tuple[str, ...] = AUDIO_FORMATS

    _library: MediaLibrary = PrivateAttr()

    def __init__(self, *, library: MediaLibrary | None = None, **fields: Any) -> None:
        super().__init__(**fields)
        self._library = MediaLibrary() if library is None else library

    @classmethod
    def class_name(cls) -> str:
        """The name under which LlamaIndex files serialised copies."""
        return "MediaBlocks"

    def blocks(self, nodes: Sequence[NodeWithScore]) -> list[ContentBlock]:
        """The content blocks of retrieved nodes, in order, for a `ChatMessage(blocks=...)`.

        Raises:
            InvalidInputError: if a file is gone, or no longer holds what was indexed.
        """
        shown = self.postprocess_nodes(list(nodes))
        blocks: list[ContentBlock] = []
        for found in shown:
            blocks += found.node.get_content_blocks(metadata_mode=MetadataMode.LLM)  # type: ignore[arg-type]
        return blocks

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        left = self.max_total_bytes
        shown: list[NodeWithScore] = []
        for found in nodes:
            record = MediaRecord.from_metadata(found.node.metadata)
            if record is None:
                shown.append(found)
                continue
            resource, size, reason = self._resource(record, left)
            left -= size
            fields: dict[str, Any] = {
                "metadata": found.node.metadata,
                "excluded_llm_metadata_keys": found.node.excluded_llm_metadata_keys,
                "relationships": found.node.relationships,
                "image_resource" if record.modality is Modality.IMAGE else "audio_resource": resource,
            }
            title = MediaResource(text=f"{record.title}{reason}")
            node = Node(id_=found.node.node_id, text_resource=title, **fields)
            shown.append(NodeWithScore(node=node, score=found.score))
        return shown

    def _resource(self, record: MediaRecord, left: int) -> tuple[MediaResource | None, int, str]:
        """The media of a record, their size in bytes, and why there are none."""
        if record.modality not in self.modalities:
            return None, 0, f" (left out: {record.modality} is not shown to this model)"
        formats = self.image_formats if record.modality is Modality.IMAGE else self.audio_formats
        payload = self._library.item(record).parts[0].payload
        size = Path(record.source).stat().st_size
        if size <= min(self.max_bytes, left) and record.mime_type in formats and _is_whole_file(payload, record):
            return _by_path(record), size, ""
        try:
            media = encode_media(payload, formats, self.max_bytes)
        except InvalidInputError:
            encode_media(payload, formats)  # which raises again unless the size was all that was wrong
            return None, 0, " (left out: it is too large)"
        if media.nbytes > left:
            return None, 0, " (left out: it is too large)"
        return MediaResource(data=base64.b64encode(media.data), mimetype=media.media_type), media.nbytes, ""


def _by_path(record: MediaRecord) -> MediaResource:
    return MediaResource(path=Path(os.fspath(record.source)), mimetype=record.mime_type)


def _is_whole_file(payload: Any, record: MediaRecord) -> bool:
    """Whether a model that is given the file sees or hears what was embedded."""
    if isinstance(payload, ImageSource):
        return payload.is_plain()
    return isinstance(payload, AudioSource) and payload.whole and record.start_ms is None
