"""`MediaLoader`: pictures and recordings of a Chroma collection by their URIs.

Chroma's own loader knows pictures only, and shows them as they lie in the file: unturned, with palettes.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from chromadb.api.types import DataLoader

from llm_multi_core.embedder import InvalidInputError, Modality
from llm_multi_core.embedder.inputs.audio import audio_item
from llm_multi_core.embedder.inputs.image import image_item
from llm_multi_core.embedder.inputs.mixed import suffix_modality
from llm_multi_core.embedder.inputs.sources import SourcePolicy


class MediaLoader(DataLoader[list[Any]]):
    """Loads what a collection has URIs of: paths and `file:` URLs, and http(s) URLs if that is allowed.

    A picture becomes upright RGB pixels `(height, width, 3)` uint8, and a recording a pair of mono samples
    `(frames,)` float32 and their rate in Hz. What has no suffix of a recording is taken for a picture.

    Args:
        allow_urls: fetch http(s) URLs, though never from addresses that are not public.
        max_workers: files that are read at a time.
    """

    def __init__(self, *, allow_urls: bool = False, max_workers: int = 8) -> None:
        self._policy = SourcePolicy(allow_urls=allow_urls)
        self._max_workers = max_workers

    def __call__(self, uris: Sequence[str | None]) -> list[Any]:
        """What the URIs name, in order; `None` for `None`.

        Raises:
            InvalidInputError: naming the first, by its position, that cannot be read.
        """
        with ThreadPoolExecutor(self._max_workers, thread_name_prefix="llm-multi-core-chroma") as threads:
            return list(threads.map(self._load, range(len(uris)), uris))

    def _load(self, index: int, uri: str | None) -> Any:
        if uri is None:
            return None
        try:
            return self._read(uri)
        except InvalidInputError as error:
            raise error.at(index) from error.__cause__

    def _read(self, uri: str) -> Any:
        # Not of a path itself: one with a question mark in it would lose what follows.
        name = urlsplit(uri).path if "://" in uri else uri
        if suffix_modality(PurePath(name)) is Modality.AUDIO:
            sound = audio_item(uri, None, self._policy).parts[0].payload.decode()
            return sound.samples, sound.sample_rate
        picture = image_item(uri, self._policy).parts[0].payload
        return np.asarray(picture.decode() if hasattr(picture, "decode") else picture)
