"""`TorchEncoder`: what plugins that run a torch model subclass."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder import EncoderConfig, LocalEncoder, UnsupportedDimensionsError
from llm_multi_core_torch.devices import choose_device, device_type
from llm_multi_core_torch.engines import EngineName, accelerate, engine_identity, is_small_enough, resolve_engine
from llm_multi_core_torch.execution import limit_threads, release_memory, run_model, to_numpy
from llm_multi_core_torch.precision import Precision, resolve_precision

if TYPE_CHECKING:
    import torch

    from llm_multi_core_torch.signatures import Example


class TorchEncoder(LocalEncoder):
    """A torch model on one device in one precision.

    A plugin writes `describe`, `measure`, `split` and `prepare`, and here `load_model`, `compute`
    and `unload`. Weights are to be loaded in `self.precision.weights_dtype`; autocast, inference
    mode, conversion to float32, threads and the reaction to full memory are seen to. A plugin with
    the option `engine` lets `accelerate` decide what runs the model.
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
        requested = self.config.device
        return choose_device("cpu" if requested is None and self._requested_engine == "openvino" else requested)

    @cached_property
    def precision(self) -> Precision:
        """The precision that the model computes in.

        Raises:
            InvalidOptionError: if the device cannot.
        """
        return resolve_precision(self.config.precision, self.device)

    @cached_property
    def engine(self) -> EngineName:
        """What runs the model; torch in a plugin without the option `engine`.

        Raises:
            InvalidOptionError: if it does not run on the device.
            FrameworkUnavailableError: if it is not installed.
        """
        return resolve_engine(self._requested_engine, self.device, self.config.precision)

    @property
    def _requested_engine(self) -> str:
        return str(self.config.options.get("engine", "torch"))

    @property
    def on_gpu(self) -> bool:
        """Whether batches are to be large enough to fill a GPU."""
        return device_type(self.device) != "cpu"

    def identity(self) -> Mapping[str, str]:
        """The engine and the resolved precision; extend it with prompts, pooling, preprocessing."""
        return {"engine": engine_identity(self.engine), "precision": self.precision.name}

    def require_dimension(self, dimension: int, label: str) -> None:
        """Refuse `dimensions` that are not the model's own; where vectors may be cut, the host does it.

        Args:
            dimension: components of the model's vectors.
            label: the model's name, for the message.

        Raises:
            UnsupportedDimensionsError: if others were asked for.
        """
        wanted = self.config.dimensions
        if wanted is not None and wanted != dimension:
            raise UnsupportedDimensionsError(
                f"model {label!r} gives {dimension} dimensions and cannot give {wanted} itself"
            )

    def accelerate(
        self,
        module: torch.nn.Module,
        example: Example,
        *,
        key: str = "",
        dynamic: Mapping[str | int, Sequence[int]] | None = None,
    ) -> Callable[..., Any]:
        """A callable that computes what a loaded module computes, on the engine; for `load_model`.

        It takes the place of `cast_ahead`, which it calls for what runs in torch. For the arguments
        see `llm_multi_core_torch.accelerate`.
        """
        engine = self.engine
        if engine == "openvino" and self._requested_engine == "auto" and not is_small_enough(module, self.config.model):
            engine = "torch"
        label = f"model {self.config.model!r}"
        return accelerate(
            module, example, engine=engine, precision=self.precision, label=label, key=key, dynamic=dynamic
        )

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
        return run_model(self.device, self.precision, lambda: to_numpy(self.compute(batch)))

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
