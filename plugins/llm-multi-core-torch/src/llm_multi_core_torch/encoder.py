"""`TorchEncoder`: what plugins that run a torch model subclass."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder import EncoderConfig, LocalEncoder
from llm_multi_core_torch.devices import choose_device, device_type
from llm_multi_core_torch.execution import inference, is_out_of_memory, limit_threads, release_memory, to_numpy
from llm_multi_core_torch.precision import Precision, resolve_precision

if TYPE_CHECKING:
    import torch


class TorchEncoder(LocalEncoder):
    """A torch model on one device in one precision.

    A plugin writes `describe`, `measure`, `split` and `prepare`, and here `load_model`, `compute`
    and `unload`. Weights are to be loaded in `self.precision.weights_dtype`; autocast, inference
    mode, conversion to float32, threads and the reaction to full memory are seen to.
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

    @property
    def on_gpu(self) -> bool:
        """Whether batches are to be large enough to fill a GPU."""
        return device_type(self.device) != "cpu"

    def identity(self) -> Mapping[str, str]:
        """The engine and the resolved precision; extend it with prompts, pooling, preprocessing."""
        return {"engine": "torch", "precision": self.precision.name}

    def load(self) -> None:
        """Load the model, unless it was loaded before.

        Raises:
            ModelLoadError: if that fails.
        """
        if not self._loaded:
            limit_threads()
            self.load_model()
            self._loaded = True

    def forward(self, batch: Any) -> npt.NDArray[np.float32]:
        """Rows `(n, d)` for a prepared batch.

        Raises:
            MemoryError: if the batch is too large for the memory of the device.
        """
        try:
            with inference(self.device, self.precision):
                return to_numpy(self.compute(batch))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            reason = str(error).partition("\n")[0]
        # Outside the handler: the frames of the first error hold the tensors that are to be freed.
        release_memory(self.device)
        raise MemoryError(reason)

    def close(self) -> None:
        """Drop the model and give its memory back."""
        if self._loaded:
            self._loaded = False
            self.unload()
            release_memory(self.device)

    @abstractmethod
    def load_model(self) -> None:
        """Load the weights onto `device`, ready for `compute`.

        Raises:
            ModelLoadError: if that fails.
        """

    @abstractmethod
    def compute(self, batch: Any) -> torch.Tensor:
        """The rows `(n, d)` of a prepared batch, on any device in any floating-point type.

        Called in inference mode, under autocast where the precision wants it.
        """

    @abstractmethod
    def unload(self) -> None:
        """Drop every reference to the model."""
