"""From the keywords that a constructor was given to the host's settings and a framework's options.

Knows what users of langchain-huggingface write into `model_kwargs` and `encode_kwargs`. Checks no
values: the host does, with its own errors.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from llm_multi_core.embedder import InvalidOptionError
from llm_multi_core.embedder.frameworks import nearest
from llm_multi_core.embedder.settings import COMMON_SETTINGS

DTYPES = ("dtype", "torch_dtype")
"""Arguments of `from_pretrained` that are the setting `precision` here."""

ENCODE_KEYWORDS = {
    "normalize_embeddings": "normalize",
    "batch_size": "batch_size",
    "device": "device",
    "show_progress_bar": "show_progress",
    "truncate_dim": "dimensions",
}
"""Arguments of `SentenceTransformer.encode`, and the settings that they are here."""

ALWAYS_SO: Mapping[str, Any] = {
    "precision": "float32",  # of the output; a setting of that name is the computation's
    "convert_to_numpy": True,
    "convert_to_tensor": False,
    "output_value": "sentence_embedding",
}
"""Arguments of `encode` that may be given with the one value that they have here."""

DOCUMENT_PROMPTS = ("document", "passage", "corpus")
"""Names under which sentence-transformers looks for the prompt of documents."""

NOT_OPTIONS = ("framework", "host", "options", "model_kwargs", "encode_kwargs")
"""Arguments of the constructor that are no options, unless a framework has one of that name."""


class Keywords:
    """Settings and options from several places; what is given twice must be the same.

    Args:
        own: names of the framework's own options, which go before any other meaning of a name.

    Attributes:
        settings: what every embedder takes, and `show_progress`.
        options: what goes to the framework.
    """

    def __init__(self, own: Collection[str]) -> None:
        self.settings: dict[str, Any] = {}
        self.options: dict[str, Any] = {}
        self._own = frozenset(own)
        self._source: dict[str, str] = {}

    def add(self, /, **given: Any) -> None:
        """Add settings and options by their own names; `None` leaves a setting at its default.

        Raises:
            InvalidOptionError: if `model` and `model_name` contradict each other.
        """
        for name, value in given.items():
            self._put("model" if name == "model_name" else name, value, f"{name}=")

    def add_options(self, given: Mapping[str, Any]) -> None:
        """Add the framework's own options; a setting's name is taken for the setting.

        Raises:
            InvalidOptionError: if `given` is no mapping, or contradicts what was given before.
        """
        for name, value in _items(given, "options"):
            self._put(name, value, f"options[{name!r}]")

    def add_model_kwargs(self, given: Mapping[str, Any]) -> None:
        """Add arguments of a SentenceTransformer, which may hold `model_kwargs` of transformers.

        Raises:
            InvalidOptionError: if `given` is no mapping, or contradicts what was given before.
        """
        for name, value in _items(given, "model_kwargs"):
            here = f"model_kwargs[{name!r}]"
            if name == "model_kwargs" and isinstance(value, Mapping):
                rest = {inner: entry for inner, entry in value.items() if inner not in DTYPES}
                for inner in value.keys() - rest.keys():
                    self._put("precision", _dtype_name(value[inner]), f"{here}[{inner!r}]")
                if rest:
                    self._put(name, rest, here)
            elif name in self._own:
                self._put(name, value, here)
            elif name in DTYPES:
                self._put("precision", _dtype_name(value), here)
            else:
                self._put("dimensions" if name == "truncate_dim" else name, value, here)

    def add_encode_kwargs(self, given: Mapping[str, Any]) -> None:
        """Add arguments of `SentenceTransformer.encode`.

        Raises:
            InvalidOptionError: for one that has no counterpart here, or contradicts what was given
                before.
        """
        for name, value in _items(given, "encode_kwargs"):
            here = f"encode_kwargs[{name!r}]"
            if name in self._own:
                self._put(name, value, here)
            elif name in ENCODE_KEYWORDS:
                self._put(ENCODE_KEYWORDS[name], value, here)
            elif name in ALWAYS_SO:
                if value != ALWAYS_SO[name]:
                    raise InvalidOptionError(f"{here} can only be {ALWAYS_SO[name]!r}: LangChain takes lists of floats")
            elif name in {"prompt_name", "prompt"}:
                if name == "prompt" or value not in DOCUMENT_PROMPTS:
                    raise InvalidOptionError(
                        f"{here} cannot be set: the role chooses the prompt. embed_query takes the model's prompt "
                        "for queries and embed_documents the one for documents; as_document_role() and "
                        "as_symmetric() give both methods one role"
                    )
            else:
                known = (*ENCODE_KEYWORDS, *ALWAYS_SO, *sorted(self._own))
                raise InvalidOptionError(
                    f"{here} has no counterpart here{nearest(str(name), known)} (it may hold: {', '.join(known)})"
                )

    def _put(self, name: str, value: Any, source: str) -> None:
        if name in NOT_OPTIONS and name not in self._own:
            raise InvalidOptionError(f"{source} is no option: pass {name}=... itself")
        is_setting = name in COMMON_SETTINGS or name == "show_progress"
        if is_setting and value is None:
            return
        target = self.settings if is_setting else self.options
        if name in target and target[name] is not value and target[name] != value:
            raise InvalidOptionError(f"{self._source[name]} and {source} contradict each other; give one of them")
        target[name] = value
        self._source.setdefault(name, source)


def _items(given: Any, source: str) -> list[tuple[str, Any]]:
    if not isinstance(given, Mapping):
        raise InvalidOptionError(f"{source} takes a dictionary, not {type(given).__name__}")
    return list(given.items())


def _dtype_name(dtype: Any) -> str | None:
    return None if dtype is None else str(dtype).removeprefix("torch.")
