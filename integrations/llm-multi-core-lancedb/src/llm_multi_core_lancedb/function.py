"""`MultiCoreEmbeddingFunction`: embedders of llm-multi-core behind LanceDB's interface.

It converts types and calls the embedder. LanceDB keeps what a function was created with in the table, and
creates it again whenever the table is used: so that holds no key, and nothing that only a user can grant.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from lancedb.embeddings import EmbeddingFunction, register
from pydantic import ConfigDict, Field, PrivateAttr, SecretStr

from llm_multi_core.embedder import Audio, Image, InvalidInputError, InvalidOptionError, MultiModalEmbedder, Text
from llm_multi_core.embedder.media import mime_type_of_bytes
from llm_multi_core.embedder.rows import FloatArray
from llm_multi_core.embedder.stores import PinnedEmbedder, refuse_grants, shared_embedder, stored_settings

NAME = "llm-multi-core"
"""Under which LanceDB has it in its registry."""

_VARIABLE = "$var:"
_BESIDE = frozenset({"source", "fingerprint", "api_key", "allow_urls", "max_retries"})
"""Arguments that are none of the embedder's settings."""


@register(NAME)  # type: ignore[no-untyped-call]
class MultiCoreEmbeddingFunction(EmbeddingFunction):
    """Embeds the columns of LanceDB tables with any frameworks of llm-multi-core: texts, images or sound.

    Made by `create`, as every function of LanceDB. `source` says what the source column holds; a query may be
    of any modality that the embedder's space serves. A string is a text, both as a query and in a column of
    texts; in a column of images or sound it is a path or a `file:` URL. Bytes are files.

    The table keeps the settings with the fingerprint of the vector space: if the model has become another,
    the first use is refused. A key is given as a variable (`api_key="$var:my_key"`), or read from the
    environment.

    Args:
        text_framework: the framework for texts, such as `"sentence-transformers"`.
        image_framework: that for images.
        audio_framework: that for sound.
        framework: one for all modalities that its model embeds, such as `"clip"`.
        model: its model.
        joint_framework: a framework that serves several modalities in one space.
        joint_model: its model.
        alignment: paths of saved alignments.
        bridge: by modality the framework that puts media into words.
        text: settings of the text embedder only, such as `{"model": ...}`.
        image: those of the image embedder.
        audio: those of the audio embedder.
        device: where local models run.
        precision: what they compute in.
        dimensions: with `framework`: fewer components than the model's own.
        truncation: what to do with inputs beyond a model's limit.
        batch_size: most inputs in one batch of a model.
        options: with `framework`: its own options.
        source: what the source column holds.
        fingerprint: of the space that vectors must lie in; the table fills it in.
        api_key: a variable of LanceDB's registry that holds a hosted framework's key.
        allow_urls: a variable that holds whether http(s) URLs of media are fetched, though never from
            addresses that are not public.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    text_framework: str | None = None
    image_framework: str | None = None
    audio_framework: str | None = None
    framework: str | None = None
    model: str | None = None
    joint_framework: str | None = None
    joint_model: str | None = None
    alignment: str | list[str | dict[str, Any]] | None = None
    bridge: dict[str, str] | None = None
    text: dict[str, Any] | None = None
    image: dict[str, Any] | None = None
    audio: dict[str, Any] | None = None
    device: str | None = None
    precision: str | None = None
    dimensions: int | None = None
    truncation: str | None = None
    batch_size: int | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    source: Literal["text", "image", "audio"] = "text"
    fingerprint: str | None = None
    api_key: SecretStr | None = None
    allow_urls: bool = False

    _kept: dict[str, Any] = PrivateAttr(default_factory=dict)

    __embedding_function_registry_alias__: ClassVar[str]

    @classmethod
    def create(cls, **settings: Any) -> Self:
        """A function of settings that a table may keep. Nothing is loaded.

        Raises:
            InvalidOptionError: for a key or a grant that is no variable, for an alignment that is no path or a
                bridge that is no framework's name, and for settings that do not go together.
            IncompatibleSpacesError: if the file of an alignment has become another.
            pydantic.ValidationError: for an argument that does not exist, or is not of its type.
        """
        for name in ("api_key", "allow_urls"):
            _require_variable(name, settings.get(name))
        _kept_of(settings)  # first, and with the host's own errors
        made: Self = super().create(**settings)  # type: ignore[no-untyped-call]
        return made

    def model_post_init(self, context: Any, /) -> None:
        """Work out what a table keeps."""
        super().model_post_init(context)
        self._kept = _kept_of({name: getattr(self, name) for name in type(self).model_fields})

    @staticmethod
    def sensitive_keys() -> list[str]:
        """What a table never holds."""
        return ["api_key"]

    @property
    def embedder(self) -> MultiModalEmbedder:
        """The embedder behind this, shared by all functions of the same settings.

        Raises:
            FrameworkError: if a framework does not exist, is not installed, or is broken.
            InvalidOptionError: for settings that do not go together, or that a framework does not take.
            MissingCredentialsError: a hosted framework without a key.
        """
        return self._pinned().embedder

    def ndims(self) -> int:
        """Components of a vector; reads the model's configuration."""
        return self.embedder.dimension

    def compute_query_embeddings(self, query: Any, *args: Any, **kwargs: Any) -> list[FloatArray | None]:
        """The vector `(d,)` of one query, in a list.

        Args:
            query: a text; or an image or recording: a PIL image, bytes of a file, `Image(...)`, `Audio(...)`.
            *args: of LanceDB, without meaning here.
            **kwargs: likewise.

        Raises:
            InvalidInputError: if it cannot be embedded.
            IncompatibleSpacesError: if the model is not the one that filled the table.
            EncodingError: if the model or provider failed.
        """
        return list(self._pinned().checked().embed_joint([_query(query)], "query"))

    def compute_source_embeddings(self, inputs: Any, *args: Any, **kwargs: Any) -> list[FloatArray | None]:
        """The vectors `(d,)` of a column's values, in order; `None` for a missing value.

        Args:
            inputs: strings or bytes, in a list, an array of numpy or an array of Arrow.
            *args: of LanceDB, without meaning here.
            **kwargs: likewise.

        Raises:
            InvalidInputError: naming the first, by its position, that cannot be embedded.
            IncompatibleSpacesError: if the model is not the one that filled the table.
            EncodingError: if the model or provider failed.
        """
        values = _values(inputs)
        present = [index for index, value in enumerate(values) if value is not None]
        wrapped = [self._wrapped(values[index], index) for index in present]
        vectors: list[FloatArray | None] = [None] * len(values)
        if wrapped:
            try:
                rows = self._pinned().checked().embed_joint(wrapped, "document")
            except InvalidInputError as error:
                raise error.at(present[error.index or 0]) from error.__cause__
            for index, row in zip(present, rows, strict=True):
                vectors[index] = row
        return vectors

    # The host retries what may pass, and LanceDB would retry everything and hide what went wrong.

    def compute_query_embeddings_with_retry(self, *args: Any, **kwargs: Any) -> list[FloatArray | None]:
        """The same: the embedder retries by itself."""
        return self.compute_query_embeddings(*args, **kwargs)

    def compute_source_embeddings_with_retry(self, *args: Any, **kwargs: Any) -> list[FloatArray | None]:
        """The same: the embedder retries by itself."""
        return self.compute_source_embeddings(*args, **kwargs)

    def safe_model_dump(self) -> dict[str, Any]:
        """What a table keeps: the settings as data, and the fingerprint of the space."""
        beside = {name: self._original_args[name] for name in ("api_key", "allow_urls") if name in self._original_args}
        options = {name: value for name, value in self._kept.items() if name not in type(self).model_fields}
        settings = {name: value for name, value in self._kept.items() if name in type(self).model_fields}
        fingerprint = self.fingerprint or self.embedder.space.fingerprint
        dump = {**settings, "options": options, "source": self.source, "fingerprint": fingerprint, **beside}
        return {name: value for name, value in dump.items() if value not in ({}, None)}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MultiCoreEmbeddingFunction) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> str:
        return json.dumps([self._kept, self.source, self.fingerprint], sort_keys=True)

    def _pinned(self) -> PinnedEmbedder[MultiModalEmbedder]:
        secret = None if self.api_key is None else self.api_key.get_secret_value()
        return shared_embedder(self._kept, self.fingerprint, api_key=secret, allow_urls=self.allow_urls)

    def _wrapped(self, value: Any, index: int) -> Text | Image | Audio:
        if self.source == "text":
            if not isinstance(value, str):
                raise InvalidInputError(
                    f"a column of texts holds {type(value).__name__}; create the function with source='image'",
                    index=index,
                )
            return Text(value)
        return Image(value) if self.source == "image" else Audio(value)


def _kept_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a table keeps of the settings of an embedder.

    Raises:
        InvalidOptionError: for what no table may keep, or what could not be made again from it.
    """
    own = {name: value for name, value in settings.items() if name not in _BESIDE and name != "options"}
    refuse_grants({**own, **(settings.get("options") or {})})
    kept, _ = stored_settings({**own, **(settings.get("options") or {})})
    stored_settings(kept)  # which refuses what cannot be made again
    return kept


def _query(query: Any) -> Any:
    """A query, marked as what it is."""
    if isinstance(query, str):
        return Text(query)
    if isinstance(query, bytes | bytearray | memoryview):
        kind = mime_type_of_bytes(bytes(query[:16]))
        if kind is None or kind.partition("/")[0] not in ("image", "audio"):
            raise InvalidInputError("bytes that are of no known kind; wrap them: Image(data) or Audio(data)")
        return Image(bytes(query)) if kind.startswith("image/") else Audio(bytes(query))
    return query


def _values(inputs: Any) -> list[Any]:
    if isinstance(inputs, str | bytes):
        return [inputs]
    to_list = getattr(inputs, "to_pylist", None)  # of an array of Arrow
    return list(inputs if to_list is None else to_list())


def _require_variable(name: str, value: Any) -> None:
    if value in (None, False):
        return
    # With a default, as in "$var:name:value", the table itself would say it.
    if not isinstance(value, str) or not value.startswith(_VARIABLE) or ":" in value[len(_VARIABLE) :]:
        raise InvalidOptionError(
            f"{name}= is not for a table to keep: pass a variable, {name}='$var:my_{name}', and set it in your program "
            f"with lancedb.embeddings.get_registry().set_var('my_{name}', ...)"
        )
