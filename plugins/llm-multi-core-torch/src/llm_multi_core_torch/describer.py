"""`TorchDescriber`: what plugins subclass whose torch model puts media into words."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from llm_multi_core.embedder import Describer, EncoderConfig
from llm_multi_core_torch.devices import choose_device
from llm_multi_core_torch.execution import limit_threads, release_memory, run_model
from llm_multi_core_torch.precision import Precision, resolve_precision


class TorchDescriber(Describer):
    """A torch model that writes, on one device in one precision.

    A plugin writes `identity`, and here `load_model`, `prepare`, `words` and `unload`. Autocast, inference mode,
    threads and the reaction to full memory are seen to, as by `TorchEncoder`.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self._loaded = False

    @cached_property
    def device(self) -> str:
        """The device that the model runs on.

        Raises:
            InvalidOptionError: if the machine lacks it.
        """
        return choose_device(self.config.device)

    @cached_property
    def precision(self) -> Precision:
        """The precision that the model computes in.

        Raises:
            InvalidOptionError: if the device cannot.
        """
        return resolve_precision(self.config.precision, self.device)

    def load(self) -> None:
        """Load the model, unless it was loaded before.

        Raises:
            InvalidOptionError: if the machine lacks the device, or the device cannot compute in the precision.
            ModelLoadError: if that fails.
        """
        if not self._loaded:
            self.precision  # noqa: B018 - asked for before anything is read
            limit_threads()
            self.load_model()
            self._loaded = True

    def describe(self, media: Sequence[Any]) -> list[str]:
        """The words for each.

        Raises:
            MemoryError: if together they are too much for the memory of the device.
        """
        return run_model(self.device, self.precision, self.words, self.prepare(media))

    def close(self) -> None:
        """Drop the model and give its memory back."""
        if self._loaded:
            self._loaded = False
            self.unload()
            release_memory(self.device)

    @abstractmethod
    def load_model(self) -> None:
        """Load the weights onto `device`, ready for `words`.

        Raises:
            ModelLoadError: if that fails.
        """

    @abstractmethod
    def prepare(self, media: Sequence[Any]) -> Any:
        """What the model is given for decoded media: everything that its precision is not to touch."""

    @abstractmethod
    def words(self, prepared: Any) -> list[str]:
        """The words for each of some prepared media, in order; called as `TorchEncoder.compute` is."""

    @abstractmethod
    def unload(self) -> None:
        """Drop every reference to the model."""
