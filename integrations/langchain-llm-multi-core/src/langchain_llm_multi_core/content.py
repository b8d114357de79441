"""Retrieved documents as content blocks for a chat model that sees pictures and hears sound."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePath

from langchain_core.documents import Document
from langchain_core.messages.content import ContentBlock, create_audio_block, create_image_block, create_text_block

from langchain_llm_multi_core.media_inputs import registered
from llm_multi_core.embedder import InvalidInputError, InvalidOptionError, Modality
from llm_multi_core.embedder.inputs.encoded import EncodedMedia, encode_media
from llm_multi_core.embedder.media import MediaLibrary, MediaRecord

IMAGE_FORMATS = ("image/jpeg", "image/png", "image/webp", "image/gif")
AUDIO_FORMATS = ("audio/wav", "audio/mpeg")
"""What chat models take; anything else is written anew in the first of them."""

MAX_BYTES = 4 * 1024 * 1024
MAX_TOTAL_BYTES = 16 * 1024 * 1024


def content_blocks(
    documents: Iterable[Document],
    library: MediaLibrary,
    *,
    modalities: Sequence[str] = (Modality.TEXT, Modality.IMAGE, Modality.AUDIO),
    max_bytes: int = MAX_BYTES,
    max_total_bytes: int = MAX_TOTAL_BYTES,
    image_formats: Sequence[str] = IMAGE_FORMATS,
    audio_formats: Sequence[str] = AUDIO_FORMATS,
) -> list[ContentBlock]:
    """LangChain's standard content blocks of documents, for a message to a chat model.

    Each document has a numbered heading, so that an answer can cite it: the file's name, and the page, time or
    characters that it shows. A text follows its heading; a picture, a page or a stretch of sound is a block of its
    own, in base64 with its media type. Names of folders are not told.

    Args:
        documents: such as a retriever gives.
        library: which has registered their media.
        modalities: what the model takes; of other documents the heading says that they were left out.
        max_bytes: the largest picture or sound, before base64. A larger picture is shrunk, a larger sound written
            anew in mono, and left out, which its heading then says, if that is still too large.
        max_total_bytes: of all media together; what comes after is left out likewise.
        image_formats: media types of pictures that the model takes.
        audio_formats: those of sound.

    Returns:
        Blocks for `HumanMessage(content_blocks=...)`.

    Raises:
        InvalidInputError: if media are not registered, or their file is gone or changed.
        InvalidOptionError: if a bound is not positive.
    """
    for name, bound in (("max_bytes", max_bytes), ("max_total_bytes", max_total_bytes)):
        if bound < 1:
            raise InvalidOptionError(f"{name}={bound!r} is not a positive number of bytes")
    formats = {Modality.IMAGE: tuple(image_formats), Modality.AUDIO: tuple(audio_formats)}
    blocks: list[ContentBlock] = []
    left = max_total_bytes
    for number, document in enumerate(documents, 1):
        record = MediaRecord.from_metadata(document.metadata)
        if record is None:
            blocks.append(create_text_block(f"[{number}] {_title(document)}\n{document.page_content}"))
            continue
        heading = f"[{number}] {record.title}"
        if record.modality not in modalities:
            blocks.append(create_text_block(f"{heading} (left out: {record.modality} is not shown to this model)"))
            continue
        media = _encoded(registered(record, library), library, formats[record.modality], max_bytes)
        if media is None or media.nbytes > left:
            blocks.append(create_text_block(f"{heading} (left out: it is too large)"))
            continue
        left -= media.nbytes
        create = create_image_block if record.modality is Modality.IMAGE else create_audio_block
        blocks += [create_text_block(heading), create(base64=media.base64, mime_type=media.media_type)]
    return blocks


def _encoded(
    record: MediaRecord, library: MediaLibrary, formats: tuple[str, ...], max_bytes: int
) -> EncodedMedia | None:
    """The media of a record as a file's bytes; `None` if they cannot be made small enough.

    Raises:
        InvalidInputError: if the file is gone, changed or damaged.
    """
    payload = library.item(record).parts[0].payload
    try:
        return encode_media(payload, formats, max_bytes)
    except InvalidInputError:
        encode_media(payload, formats)  # which raises again unless the size was all that was wrong
        return None


def _title(document: Document) -> str:
    source = document.metadata.get("source")
    name = PurePath(str(source)).name if source else "text"
    start = document.metadata.get("start_index")
    if isinstance(start, int) and start >= 0:
        return f"{name}, characters {start}-{start + len(document.page_content)}"
    return name
