"""The files of one model: which count, what they hold, what identifies them.

A model lies in a folder. Weights that are only on the hub so far are known by their hash, so that a
model can be described without being downloaded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from llm_multi_core.embedder import ModelLoadError
from llm_multi_core_torch.hashing import file_sha256

WEIGHTS = (
    ("model.safetensors", "model.safetensors.index.json"),
    ("pytorch_model.bin", "pytorch_model.bin.index.json"),
)
"""File names of weights with those of the index of a sharded file, the preferred format first."""

_WEIGHT_SUFFIXES = frozenset({".safetensors", ".bin", ".pt", ".pth"})


def within(folder: str, name: str) -> str:
    """The name of a file in a sub-folder; `""` is the model's own folder."""
    return f"{folder}/{name}" if folder else name


def is_weight_file(name: str) -> bool:
    """Whether a file of this name holds weights that torch loads."""
    return PurePosixPath(name).suffix in _WEIGHT_SUFFIXES


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The files of one model.

    Attributes:
        folder: where they are.
        label: the name that people know the model by.
        revision: the commit, for a model from the hub.
        remote: sha256 of the files that are still to be downloaded, by name.
        fetch: downloads one of those by its name.
    """

    folder: Path
    label: str
    revision: str | None = None
    remote: Mapping[str, str] = field(default_factory=dict)
    fetch: Callable[[str], Path] | None = None

    @property
    def short_label(self) -> str:
        """The label; of a folder, its own name without the path to it."""
        return Path(self.label).name if Path(self.label).expanduser().is_dir() else self.label

    def __contains__(self, name: str) -> bool:
        return name in self.remote or (self.folder / name).is_file()

    def names(self, folder: str = "") -> list[str]:
        """The names of all files in a sub-folder and below, sorted."""
        root = self.folder / folder
        here = {path.relative_to(self.folder).as_posix() for path in root.rglob("*") if path.is_file()}
        prefix = within(folder, "")
        return sorted(here | {name for name in self.remote if name.startswith(prefix)})

    def read_json(self, name: str, default: Any = None) -> Any:
        """The content of a JSON file, or `default` if there is none.

        Raises:
            ModelLoadError: if it is not JSON.
        """
        path = self.folder / name
        if not path.is_file():
            return default
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelLoadError(f"{name} of model {self.label!r} cannot be read ({error})") from error

    def read_object(self, name: str) -> dict[str, Any]:
        """The content of a JSON file that holds an object, empty if there is no such file.

        Raises:
            ModelLoadError: if it holds something else.
        """
        content = self.read_json(name, {})
        if not isinstance(content, dict):
            raise ModelLoadError(f"{name} of model {self.label!r} holds a {type(content).__name__}, not an object")
        return content

    def sha256(self, name: str) -> str:
        """The sha256 of a file.

        Raises:
            ModelLoadError: if there is no such file.
        """
        if name in self.remote and not (self.folder / name).is_file():
            return self.remote[name]
        try:
            return file_sha256(self.folder / name)
        except OSError as error:
            raise ModelLoadError(f"{name} of model {self.label!r} cannot be read ({error.strerror})") from error

    def weights(self, folder: str = "") -> dict[str, str]:
        """The sha256 of each weight file of a sub-folder that is loaded, by name within it.

        Of several formats of the same weights only the preferred one counts. Empty if there are none.
        """
        for whole, index in WEIGHTS:
            if within(folder, whole) in self:
                return {whole: self.sha256(within(folder, whole))}
            if within(folder, index) in self:
                shards = sorted(set(self.read_object(within(folder, index)).get("weight_map", {}).values()))
                return {shard: self.sha256(within(folder, shard)) for shard in shards}
        return {}

    def download(self, folders: Collection[str]) -> None:
        """Fetch what is only on the hub so far, of the sub-folders named; `""` is the folder itself.

        Raises:
            ModelLoadError: if that fails.
        """
        wanted = [PurePosixPath(folder) for folder in folders]
        for name in self.remote:
            parents = PurePosixPath(name).parents
            belongs = any(folder == parents[0] or (folder.parts and folder in parents) for folder in wanted)
            if belongs and self.fetch is not None and not (self.folder / name).is_file():
                self.fetch(name)
