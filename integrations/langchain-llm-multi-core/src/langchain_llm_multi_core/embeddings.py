"""`MultiCoreEmbeddings`: any text framework of llm-multi-core as a LangChain `Embeddings`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from inspect import signature
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    SkipValidation,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    model_validator,
)

from langchain_llm_multi_core.arguments import Checked, HiddenArguments, masked
from langchain_llm_multi_core.keywords import Keywords
from langchain_llm_multi_core.namespaces import cache_namespace
from langchain_llm_multi_core.roles import Binding, OneRoleEmbeddings, RoleEmbeddings
from llm_multi_core.embedder import (
    Host,
    InvalidOptionError,
    Modality,
    Role,
    Secret,
    Task,
    TextEmbedder,
    VectorCache,
    create_text_embedder,
)
from llm_multi_core.embedder.host import default_host
from llm_multi_core.embedder.pipeline.call import TruncationPolicy


class MultiCoreEmbeddings(BaseModel, RoleEmbeddings):
    """A text embedder of llm-multi-core for LangChain.

    `embed_documents` embeds texts as documents and `embed_query` as queries, each with the prompt that
    the model wants for it. Made without loading or sending anything; fixed once made
    (`model_copy(update=...)` makes a changed one), so that it can be shared by threads.

    Example:
        ```python
        embeddings = MultiCoreEmbeddings(framework="sentence-transformers", model="intfloat/e5-small-v2")
        store = InMemoryVectorStore(embeddings)
        ```

    Every argument that is left at `None` takes its default.

    Args:
        framework: a framework's name, or `distribution/name`; by default `"sentence-transformers"`.
        model: a model name or a local folder; by default the framework's own default.
        model_name: another name for `model`.
        device: `"cpu"`, `"cuda"`, `"cuda:1"`, `"mps"`; by default the best one.
        precision: of the computation: `"auto"` (default), `"float32"`, `"bfloat16"` or `"float16"`.
        dimensions: fewer components than the model's own, where the model allows it.
        force_dimensions: cut to `dimensions` even if the model is not known to allow it; default off.
        normalize: bring vectors to length 1; default on.
        truncation: what to do with texts beyond the model's limit: `"warn"` (default), `"error"`,
            `"truncate"` or `"mean"`.
        batch_size: at most this many texts in one batch; by default the planner decides.
        api_key: a hosted framework's key: a string, a `SecretStr`, or a callable that returns it. By
            default the provider's environment variable is read at each use. It is kept out of every
            printed, dumped and pickled form; a pickled copy reads the environment.
        show_progress: draw a progress bar while documents are embedded; default off.
        cache: where vectors are kept between calls, such as `MemoryCache()`.
        host: where plugins are looked up; by default all that are installed.
        model_kwargs: settings and options under the names of langchain-huggingface (`"device"`,
            `"revision"`, `"truncate_dim"`, `"torch_dtype"`, ...).
        encode_kwargs: the same (`"normalize_embeddings"`, `"batch_size"`, `"show_progress_bar"`, ...).
        options: the framework's own options as a dictionary, as `model_dump` gives them.
        **own_options: the framework's own options.

    Raises:
        UnknownFrameworkError: no such framework for text; names the nearest.
        AmbiguousFrameworkError: two distributions offer it; names both.
        FrameworkUnavailableError: not installed; with the `pip install` line.
        PluginError: its plugin is broken.
        InvalidOptionError: a setting or option that the framework does not take, one that has no
            counterpart here, or one that was given twice with two values.
        MissingCredentialsError: a hosted framework without a key.
    """

    model_config = ConfigDict(
        arbitrary_types_allowed=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        protected_namespaces=(),
    )

    framework: str
    model: str
    device: str | None = None
    precision: str = "auto"
    dimensions: int | None = None
    force_dimensions: bool = False
    normalize: bool = True
    truncation: TruncationPolicy = "warn"
    batch_size: int | None = None
    show_progress: bool = False
    options: dict[str, Any] = Field(default_factory=dict)
    api_key: Annotated[SecretStr | Secret | None, WithJsonSchema({"type": "string", "writeOnly": True})] = Field(
        default=None, exclude=True, repr=False
    )
    cache: Annotated[SkipValidation[VectorCache | None], WithJsonSchema({})] = Field(
        default=None, exclude=True, repr=False
    )

    _embedder: TextEmbedder = PrivateAttr()
    _host: Host | None = PrivateAttr(default=None)

    def __init__(
        self,
        /,
        framework: str | None = None,
        model: str | None = None,
        *,
        model_name: str | None = None,
        device: str | None = None,
        precision: str | None = None,
        dimensions: int | None = None,
        force_dimensions: bool | None = None,
        normalize: bool | None = None,
        truncation: TruncationPolicy | None = None,
        batch_size: int | None = None,
        api_key: str | SecretStr | Secret | Callable[[], str] | None = None,
        show_progress: bool | None = None,
        cache: VectorCache | None = None,
        host: Host | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
        encode_kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        **own_options: Any,
    ) -> None:
        hidden = own_options.get(HiddenArguments.KEYWORD)
        if isinstance(hidden, HiddenArguments):
            self.__init__(**hidden.take())  # type: ignore[misc]
            return
        offer = (host or default_host()).find(framework, Modality.TEXT)
        keywords = Keywords([option.name for option in offer.spec.options])
        keywords.add(
            model=model,
            model_name=model_name,
            device=device,
            precision=precision,
            dimensions=dimensions,
            force_dimensions=force_dimensions,
            normalize=normalize,
            truncation=truncation,
            batch_size=batch_size,
            api_key=api_key,
            show_progress=show_progress,
            cache=cache,
            **own_options,
        )
        keywords.add_options({} if options is None else options)
        keywords.add_model_kwargs({} if model_kwargs is None else model_kwargs)
        keywords.add_encode_kwargs({} if encode_kwargs is None else encode_kwargs)
        settings = keywords.settings
        progress = settings.pop("show_progress", False)
        for name, flag in (("show_progress", progress), ("force_dimensions", settings.get("force_dimensions", False))):
            if not isinstance(flag, bool):
                raise InvalidOptionError(f"{name}={flag!r} is not True or False")
        embedder = create_text_embedder(framework, host=host, **settings, **keywords.options)
        checked = Checked(settings)
        checked.update(
            framework=offer.qualified_name if "/" in (framework or "") else embedder.framework,
            model=embedder.model,
            show_progress=progress,
            options=keywords.options,
            api_key=masked(settings.get("api_key")),
        )
        # What BaseModel.__init__ does, but for the class of the values.
        self.__pydantic_validator__.validate_python(checked, self_instance=self)
        self._embedder = embedder
        self._host = host

    # Other roles, caches.

    def as_document_role(self) -> OneRoleEmbeddings:
        """A view whose `embed_query` embeds in the document role as well.

        For code that stores what it embeds with `embed_query`.
        """
        return OneRoleEmbeddings(self, Role.DOCUMENT)

    def as_symmetric(self) -> OneRoleEmbeddings:
        """A view that embeds all texts alike, as neither query nor document.

        For comparing texts of one kind: similar documents, clusters, duplicates.
        """
        return OneRoleEmbeddings(self, Role.SYMMETRIC)

    def cache_namespace(self, role: str = "document") -> str:
        """The namespace under which a cache or store may keep the vectors of one role.

        Two namespaces are equal only if the vectors are: it changes with the model, its revision and
        options, the role, the dimensions, `normalize` and `truncation`. The model is looked at, but
        not loaded.

        Args:
            role: `"document"`, `"query"` or `"symmetric"`.

        Returns:
            Letters, digits and hyphens, with a hyphen at the end.

        Raises:
            InvalidOptionError: for a role that does not exist.
        """
        return cache_namespace(self.embedder, Task.of(role).role, self.normalize, self.truncation)

    def _binding(self) -> Binding:
        return Binding(self._embedder, Role.DOCUMENT, Role.QUERY, self.show_progress)

    # A value that is fixed once made, and keeps its key to itself.

    @property
    def model_name(self) -> str:
        """Another name for `model`."""
        return self.model

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """These embeddings with some arguments changed, checked like new ones; the key is kept.

        Args:
            update: arguments of the constructor; `options` replaces all of the framework's own ones.
            deep: copy the options too. The embedder, the key and the cache are shared in any case.

        Raises:
            EmbedderError: as the constructor does.
        """
        if not update:
            return deepcopy(self) if deep else self.__copy__()
        kept = {name: getattr(self, name) for name in type(self).model_fields}
        if "model_name" in update:
            del kept["model"]
        arguments = signature(type(self)).parameters
        own_options = {name: value for name, value in update.items() if name not in arguments}
        changes = {name: value for name, value in update.items() if name in arguments}
        options = {**changes.pop("options", self.options), **own_options}
        return type(self)(**{"host": self._host, **kept, **changes, "options": options})

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        copied = self.__copy__()
        copied.__dict__["options"] = deepcopy(self.options, memo)
        return copied

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        state["__dict__"] = {**state["__dict__"], "api_key": None}
        state["__pydantic_private__"] = {**state["__pydantic_private__"], "_host": None}
        return state

    def __setattr__(self, name: str, value: Any) -> None:
        # pydantic's own error would hold the value, which may be a key.
        if not name.startswith("_"):
            raise AttributeError(
                f"{name} cannot be set: {type(self).__name__} are fixed once made; use model_copy(update=...)"
            )
        super().__setattr__(name, value)

    def __eq__(self, other: object) -> bool:
        """Equal if they make equal vectors: the key, the cache and the progress bar do not count."""
        if not isinstance(other, MultiCoreEmbeddings):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash((self.framework, self.model, self.dimensions))

    def _identity(self) -> dict[str, Any]:
        return self.model_dump(exclude={"show_progress"})

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            field = type(self).model_fields.get(name or "")
            if field is None or field.is_required() or value != field.get_default(call_default_factory=True):
                yield name, value

    @model_validator(mode="wrap")
    @classmethod
    def _hide_arguments(cls, data: Any, handler: ValidatorFunctionWrapHandler) -> Self:
        """Keep what `model_validate` is given, or a field of another model, out of pydantic's errors."""
        if isinstance(data, Mapping) and not isinstance(data, Checked):
            data = {HiddenArguments.KEYWORD: HiddenArguments(data)}
        validated: Self = handler(data)
        return validated
