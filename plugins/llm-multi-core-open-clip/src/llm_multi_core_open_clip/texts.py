"""Tokens for the text tower: counted, cut and padded as open_clip's tokenizers do.

Nothing here is random: some configurations name a `reduction_mask` that open_clip applies in
training, dropping tokens at random; over-long texts are cut at their end instead.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder import Measure, ModelLoadError, UntrustedCodeError
from llm_multi_core_open_clip.finding import ClipFiles
from llm_multi_core_torch import ModelFiles, find_model, json_sha256, split_by_tokens, split_in_halves, tokenizer_sha256

if TYPE_CHECKING:
    from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

CONTEXT_LENGTH = 77
"""Tokens that a text tower takes if its configuration does not say, as OpenAI's."""

_VOCABULARIES = (
    "tokenizer.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
)
_NOT_SHAPING = frozenset({"trust_remote_code", "reduction_mask"})

Ids = npt.NDArray[np.int64]


class Texts(ABC):
    """Texts to token ids `(n, context length)`; safe in several threads."""

    def __init__(self, context_length: int) -> None:
        self.context_length = context_length

    @abstractmethod
    def measure(self, texts: Sequence[str]) -> Measure:
        """Tokens of each text, special ones included, nothing cut."""

    @abstractmethod
    def ids(self, texts: Sequence[str], state: Sequence[Any] | None) -> Ids:
        """Token ids, cut and padded; `state` is that of `measure`."""

    @abstractmethod
    def split(self, text: str, max_tokens: int) -> list[str]:
        """`text` in consecutive pieces of at most `max_tokens` each, at white space where possible."""


class ClipTexts(Texts):
    """OpenAI's byte-pair encoding, which comes with open_clip."""

    def __init__(self, tokenizer: SimpleTokenizer, context_length: int) -> None:
        super().__init__(context_length)
        self._tokenizer = tokenizer

    def measure(self, texts: Sequence[str]) -> Measure:
        """Tokens of each text; those that are used are kept for `ids`."""
        found = [self._tokenizer.encode(text) for text in texts]
        room = self.context_length - 2
        return Measure([len(tokens) + 2 for tokens in found], state=[np.array(row[:room], np.int64) for row in found])

    def ids(self, texts: Sequence[str], state: Sequence[Any] | None) -> Ids:
        """Start, tokens, end, then zeros."""
        rows = self.measure(texts).state if state is None else state
        assert rows is not None  # noqa: S101 - measure sets it
        ids = np.zeros((len(rows), self.context_length), np.int64)
        for place, row in zip(ids, rows, strict=True):
            place[0] = self._tokenizer.sot_token_id
            place[1 : len(row) + 1] = row
            place[len(row) + 1] = self._tokenizer.eot_token_id
        return ids

    def split(self, text: str, max_tokens: int) -> list[str]:
        """Pieces that end at white space where possible."""
        return split_by_tokens(text, list(self._starts(text)), max_tokens, self._count)

    def _count(self, text: str) -> int:
        return len(self._tokenizer.encode(text)) + 2

    def _starts(self, text: str) -> Iterator[int]:
        """About where each token begins: no token reaches over white space, and those of a word share its length."""
        begin = 0
        for word in text.split():
            begin = text.index(word, begin)
            tokens = len(self._tokenizer.encode(word))
            yield from (begin + number * len(word) // tokens for number in range(tokens))
            begin += len(word)


class HubTexts(Texts):
    """A tokenizer of transformers inside open_clip's wrapper, which only one thread may use at a time."""

    def __init__(self, tokenizer: HFTokenizer, context_length: int) -> None:
        super().__init__(context_length)
        self._tokenizer = tokenizer
        self._lock = threading.Lock()
        # In this mode, open_clip puts a start, an end and a class token around the text itself.
        self._added = 3 if tokenizer.tokenizer_mode == "clips" else 0

    def measure(self, texts: Sequence[str]) -> Measure:
        """Tokens of each text as the tokenizer finds them when it does not truncate."""
        cleaned = [self._tokenizer.clean_fn(text) for text in texts]
        if not cleaned:
            return Measure([])
        with self._lock:
            found = self._tokenizer.tokenizer(
                cleaned, add_special_tokens=not self._added, padding=False, truncation=False, verbose=False
            )
        return Measure([max(1, len(ids) + self._added) for ids in found["input_ids"]])

    def ids(self, texts: Sequence[str], state: Sequence[Any] | None) -> Ids:
        """Whatever open_clip's wrapper gives."""
        with self._lock:
            ids: Ids = self._tokenizer(list(texts)).numpy()
        return ids

    def split(self, text: str, max_tokens: int) -> list[str]:
        """Halves, halved again until they fit."""
        return split_in_halves(text, max_tokens, lambda piece: int(self.measure([piece]).units[0]))


class TokenizerSource:
    """Where the tokenizer of a model comes from; found without loading it."""

    def __init__(self, found: ClipFiles, options: Mapping[str, Any]) -> None:
        text = found.text_config
        self._label = found.label
        self._settings = dict(text.get("tokenizer_kwargs") or {})
        self._mode = text.get("tokenizer_mode")
        self._trusted = bool(options["trust_remote_code"])
        self.context_length = int(text.get("context_length") or CONTEXT_LENGTH)
        if kind := text.get("tokenizer_type"):  # from open_clip 4 on
            raise ModelLoadError(f"the tokenizer of model {self._label!r} is of type {kind!r}, which is not run here")
        if self._settings.pop("trust_remote_code", False) and not self._trusted:
            raise UntrustedCodeError(
                f"the tokenizer of model {self._label!r} brings code of its own. Read it, and pass "
                "trust_remote_code=True to run it"
            )
        self._files: ModelFiles | None = None
        if name := text.get("hf_tokenizer_name"):
            # A copy of a model in a folder carries its tokenizer along.
            here = any(vocabulary in found.files for vocabulary in _VOCABULARIES)
            self._files = found.files if here else _tokenizer_files(str(name), options)

    def identity(self) -> Any:
        """JSON data that tells tokenizers apart by content."""
        settings = {key: value for key, value in self._settings.items() if key not in _NOT_SHAPING}
        if self._files is None:
            return ["clip", settings]
        whole = self._files.read_object("tokenizer.json")
        if whole:
            content: Any = tokenizer_sha256(whole)
        else:
            content = {name: self._files.sha256(name) for name in _VOCABULARIES if name in self._files}
        return ["hub", self._mode, content, json_sha256(self._files.read_object("tokenizer_config.json")), settings]

    def load(self) -> Texts:
        """The tokenizer, ready.

        Raises:
            ModelLoadError: if it cannot be loaded.
        """
        from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

        try:
            if self._files is None:
                settings = {key: value for key, value in self._settings.items() if key != "reduction_mask"}
                return ClipTexts(SimpleTokenizer(context_length=self.context_length, **settings), self.context_length)
            trust = {"trust_remote_code": True} if self._trusted else {}
            tokenizer = HFTokenizer(
                str(self._files.folder),
                context_length=self.context_length,
                tokenizer_mode=self._mode,
                **self._settings,
                **trust,
            )
        except Exception as error:
            reason = str(error).partition("\n")[0]
            hint = ""
            if isinstance(error, ImportError):
                hint = "; pip install 'llm-multi-core-open-clip[hf]'"
            raise ModelLoadError(
                f"the tokenizer of model {self._label!r} could not be loaded ({type(error).__name__}: {reason}){hint}"
            ) from error
        return HubTexts(tokenizer, self.context_length)


def _tokenizer_files(name: str, options: Mapping[str, Any]) -> ModelFiles:
    return find_model(name, cache_folder=options["cache_folder"], local_files_only=options["local_files_only"])
