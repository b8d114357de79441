"""What plugin authors write to turn media into text: a `Describer`. A text embedder then embeds its words.

The way from a picture or a recording over words into a text space is called a bridge; what comes of
it is always labelled (`via="caption"`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from llm_multi_core.embedder.encoders import EncoderConfig, Intake
from llm_multi_core.embedder.items import Modality


class Describer(ABC):
    """A local model that puts images or recordings into words.

    The life of a describer is that of an encoder: making it does no I/O, `load` makes it ready, `close`
    frees what it holds.

    Attributes:
        modality: what it describes.
        via: the label of what comes of it: `"caption"`, `"transcript"`.
        intake: how it wants media; images come as RGB `PIL.Image.Image`, audio as mono `Waveform`.
        items_per_batch: most media that it is given at once.
    """

    modality: ClassVar[Modality]
    via: ClassVar[str]
    intake: ClassVar[Intake] = Intake()
    items_per_batch: ClassVar[int] = 8

    def __init__(self, config: EncoderConfig) -> None:
        self.config = config

    def identity(self) -> Mapping[str, str]:
        """Everything that can change the words: model, revision, prompt, lengths. Never the device."""
        return {}

    def load(self) -> None:
        """Make ready to describe.

        Raises:
            ModelLoadError: if that fails.
        """

    def close(self) -> None:
        """Free what `load` took."""

    @abstractmethod
    def describe(self, media: Sequence[Any]) -> list[str]:
        """The words for each, in order. Always called on the host's one worker thread for models."""
