"""`EmbedderCore`: what an embedder stands on, its settings, its encoder and its life. Embeds nothing itself.

The calls that it answers are in `embedders`, the forms of input in `modalities`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sized
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, ClassVar, Self

from llm_multi_core.embedder.errors import InvalidInputError, InvalidOptionError
from llm_multi_core.embedder.inputs.shapes import require_many, require_one
from llm_multi_core.embedder.items import Item, Modality
from llm_multi_core.embedder.pipeline.call import Call, OnError, Portion
from llm_multi_core.embedder.pipeline.lease import Lease
from llm_multi_core.embedder.pipeline.resolution import Resolved
from llm_multi_core.embedder.pipeline.run import open_call
from llm_multi_core.embedder.pipeline.runtime import runtime
from llm_multi_core.embedder.settings import EmbedderSettings
from llm_multi_core.embedder.spaces import Space


class EmbedderCore(ABC):
    """One framework, one model, one modality: its encoder, taken at first use, and given back when it is closed."""

    modality: ClassVar[Modality]

    def __init__(self, settings: EmbedderSettings) -> None:
        self._settings = settings
        self._lease = Lease(settings, self.modality)

    # What it is.

    @property
    def framework(self) -> str:
        """The framework's name."""
        return self._settings.offer.spec.name

    @property
    def model(self) -> str:
        """The model's name or folder."""
        return self._settings.model

    @property
    def space(self) -> Space:
        """Where the vectors lie; its `fingerprint` says what they may be compared with."""
        return self._resolve().space

    @property
    def dimension(self) -> int:
        """Components of a vector."""
        return self._resolve().space.dimension

    @property
    def encoder_id(self) -> str:
        """A hash over everything that can change a vector in its last bits; keys caches."""
        return self._resolve().handle.encoder_id()

    @property
    def via(self) -> str | None:
        """How media is turned into text before it is embedded (`"caption"`, `"transcript"`), if it is."""
        return self._settings.offer.spec.bridge.get(self.modality)

    # Life.

    def load(self) -> Self:
        """Load a local model now rather than at first use; of a hosted one, find the key.

        Raises:
            ModelLoadError: if there is no such model, or it cannot be read.
            MissingCredentialsError: if a hosted framework has no key any more.
        """
        self._resolve().handle.load()
        return self

    async def aload(self) -> Self:
        """`load` without blocking the event loop, such as when a server starts."""
        return await runtime.in_thread(self.load)

    def close(self) -> None:
        """Give the model back; the last embedder that uses it frees it. Closing twice is harmless."""
        self._lease.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"settings": self._settings.without_secret(), "closed": self._lease.closed}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["settings"])  # type: ignore[misc]  # a subclass must keep this signature
        if state["closed"]:
            self._lease.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(framework={self.framework!r}, model={self.model!r})"

    # What a modality adds.

    @abstractmethod
    def _item(self, value: Any) -> Item:
        """One input as an item.

        Raises:
            InvalidInputError: without an index.
        """

    @abstractmethod
    def _is_single(self, value: Any) -> bool:
        """Whether a value that could be iterated over is one input."""

    # How it is done.

    def _resolve(self) -> Resolved:
        """The encoder and its space, found out at first use.

        Raises:
            EmbedderError: as `Lease.resolve`.
        """
        return self._lease.resolve()

    def _resolve_dense(self) -> Resolved:
        resolved = self._resolve()
        if resolved.space.output != "dense":
            raise InvalidOptionError(f"{resolved.space} has no dense vectors, which embed and embed_batch return")
        return resolved

    def _open(
        self,
        xs: object,
        role: str | None,
        instruction: str | None,
        on_error: OnError = "raise",
        show_progress: bool = False,
        resolved: Resolved | None = None,
        portion: Portion | None = None,
    ) -> AbstractContextManager[Call]:
        return open_call(
            resolved or self._resolve_dense(),
            self._settings,
            self.modality,
            role=role,
            instruction=instruction,
            on_error=on_error,
            total=len(xs) if isinstance(xs, Sized) else None,
            show_progress=show_progress,
            portion=portion,
        )

    def _items(self, call: Call, xs: Iterable[Any]) -> Iterator[Item | None]:
        """Inputs as items, `None` for a refused one. Counts on where an earlier part of the call ended."""
        for index, value in enumerate(xs, call.report.items):
            try:
                yield self._check_item(value) if isinstance(value, Item) else self._item(value)
            except InvalidInputError as error:
                position = call.position(index)
                call.fail(position, error.at(position))
                yield None

    def _check_item(self, item: Item) -> Item:
        # A framework may have a specification for each modality, and models that take several at once.
        supported = {*self._settings.offer.spec.modalities, *self._resolve().space.modalities}
        for modality in item.signature:
            if modality not in supported:
                raise InvalidInputError(f"framework {self.framework!r} does not take {modality}")
        if not item.parts:
            raise InvalidInputError("the item has no parts")
        if len(item.parts) > 1 and not self._resolve().description.interleaves:
            raise InvalidInputError(
                f"framework {self.framework!r} with model {self.model!r} takes one part an item, not {len(item.parts)}"
            )
        return item

    def _refuse_single(self, xs: object, asynchronous: bool = False) -> None:
        require_many(xs, self.modality, self._is_single(xs) or isinstance(xs, Item), asynchronous)

    def _refuse_many(self, x: object) -> None:
        require_one(x, self.modality, self._is_single(x))
