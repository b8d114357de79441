"""Stella: one backbone with a projection for each dimension, and a prompt for queries.

The folder of a Stella model holds `2_Dense_256` to `2_Dense_8192` side by side, of which `modules.json` names
one. Each was trained for its own dimension, so another dimension is another projection, never a slice.

Source: https://huggingface.co/NovaSearch/stella_en_400M_v5
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from llm_multi_core.embedder import (
    Description,
    EncoderConfig,
    ModelLoadError,
    Role,
    UnsupportedDimensionsError,
)
from llm_multi_core_sentence_transformers.encoder import SentenceTransformersEncoder
from llm_multi_core_sentence_transformers.finding import find_files
from llm_multi_core_sentence_transformers.plugin import STELLA
from llm_multi_core_sentence_transformers.prompts import Treatments
from llm_multi_core_torch import ModelFiles, Prompts, device_type, named_prompts, untrusted_code

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PROMPTS = {
    "s2p_query": "Instruct: Given a web search query, retrieve relevant passages that answer the query.\nQuery: ",
    "s2s_query": "Instruct: Retrieve semantically similar text.\nQuery: ",
}
"""As the model cards and the models' own configuration give them; the configuration comes first."""

INSTRUCTION = "Instruct: {}\nQuery: "
"""How an instruction of the user's own becomes a prompt."""

_HEAD = re.compile(r"(?P<prefix>.+_Dense_)(?P<dimension>\d+)")
_WITHOUT_XFORMERS = {"use_memory_efficient_attention": False, "unpad_inputs": False}


@dataclass(frozen=True, slots=True)
class Heads:
    """The projections of a Stella model.

    Attributes:
        default: the sub-folder that its `modules.json` names.
        folders: all that there are, by dimension.
    """

    default: str
    folders: Mapping[int, str]

    @classmethod
    def of(cls, files: ModelFiles) -> Heads:
        """Those that lie in the model's folder.

        Raises:
            ModelLoadError: if it is no Stella model.
        """
        entries = files.read_json("modules.json")
        paths = [entry.get("path") for entry in entries or () if isinstance(entry, Mapping)]
        named = [match for path in paths if isinstance(path, str) and (match := _HEAD.fullmatch(path))]
        if len(named) != 1:
            raise ModelLoadError(
                f"model {files.label!r} is no Stella model: its modules.json names no projection such as "
                "2_Dense_1024; use framework 'sentence-transformers'"
            )
        prefix = named[0]["prefix"]
        found = re.compile(re.escape(prefix) + r"(\d+)/config\.json")
        folders = {int(match[1]): f"{prefix}{match[1]}" for name in files.names() if (match := found.fullmatch(name))}
        return cls(named[0][0], dict(sorted(folders.items())))

    def choose(self, dimension: int | None, label: str) -> str:
        """The sub-folder of the projection to `dimension`; the model's own for `None`.

        Raises:
            UnsupportedDimensionsError: if there is none; it lists those that there are.
        """
        if dimension is None:
            return self.default
        if dimension not in self.folders:
            listed = ", ".join(map(str, self.folders)) or "none"
            raise UnsupportedDimensionsError(
                f"model {label!r} has no projection to {dimension} dimensions; there are: {listed}"
            )
        return self.folders[dimension]


@dataclass(frozen=True, slots=True)
class HeadedFiles(ModelFiles):
    """The files of a model with another of its projections in `modules.json`."""

    default: str = ""
    head: str = ""

    def read_json(self, name: str, default: Any = None) -> Any:
        """As ever, but for the path of the projection."""
        content = ModelFiles.read_json(self, name, default)  # super() does not work with slots before Python 3.14
        if name != "modules.json" or self.head == self.default:
            return content
        return [{**entry, "path": self.head} if entry.get("path") == self.default else entry for entry in content]


class StellaEncoder(SentenceTransformersEncoder):
    """A Stella model with one of its projections."""

    specification = STELLA

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self._query_prompt = f"{self._options['query_prompt']}_query"

    @cached_property
    def _files(self) -> HeadedFiles:
        files = find_files(self.config.model, self._options)
        heads = Heads.of(files)
        _require_trust(files, trusted=self._options["trust_remote_code"])
        head = heads.choose(self.config.dimensions, files.label)
        return HeadedFiles(
            files.folder, files.label, files.revision, files.remote, files.fetch, default=heads.default, head=head
        )

    @cached_property
    def _treatments(self) -> Treatments:
        given, own = named_prompts(self._layout.settings, self._options)
        known = {**PROMPTS, **{name: prompt for name, prompt in own.items() if prompt}, **given}
        by_role = {
            Role.QUERY: given.get("query", known[self._query_prompt]),
            Role.DOCUMENT: given.get("document", ""),
            Role.SYMMETRIC: given.get("symmetric", known["s2s_query"]),
        }
        return Treatments(Prompts(by_role, INSTRUCTION))

    def describe(self) -> Description:
        """As for any model, but that vectors are never cut: each dimension has a projection of its own."""
        described = super().describe()
        files = self._files
        default = _HEAD.fullmatch(files.default)
        native = described.native_dimension if default is None else int(default["dimension"])
        return replace(described, native_dimension=native, sliceable=False)

    def _load_modules(self) -> SentenceTransformer:
        from sentence_transformers.base.modules import Dense

        files = self._files
        files.download([files.default])
        self._options = {**self._options, "config_kwargs": self._config_kwargs()}
        model = super()._load_modules()
        if files.head != files.default:
            place, current = next((place, module) for place, module in enumerate(model) if isinstance(module, Dense))
            head = Dense.load(
                str(files.folder),
                subfolder=files.head,
                local_files_only=True,
                trust_remote_code=self._options["trust_remote_code"],
            )
            head.to(device=self.device, dtype=self.precision.weights_dtype)
            model[place] = head.train(current.training).requires_grad_(False)
        return model

    def _config_kwargs(self) -> Mapping[str, Any]:
        """What the user passes on; the 400M model attends by xformers, which is for GPUs, unless told otherwise."""
        given: Mapping[str, Any] = self._options["config_kwargs"] or {}
        own = self._files.read_object("config.json")
        asks = own.get("use_memory_efficient_attention") or own.get("unpad_inputs")
        if not asks or (device_type(self.device) == "cuda" and _has_xformers()):
            return given
        return {**_WITHOUT_XFORMERS, **given}


def _has_xformers() -> bool:
    from importlib.util import find_spec

    return find_spec("xformers") is not None


def _require_trust(files: ModelFiles, *, trusted: bool) -> None:
    """Refuse a model with code of its own, which also where transformers has a class for it computes otherwise."""
    code = files.read_object("config.json").get("auto_map")
    if code and not trusted:
        raise untrusted_code(files, ", ".join(sorted(map(str, code))))
