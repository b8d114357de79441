"""Finding a model by its name: a folder, the local cache of the Hugging Face hub, or the hub itself.

Access tokens are left to the hub's own client (`HF_TOKEN`, or `hf auth login`); none passes through
here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NoReturn

from llm_multi_core.embedder import ModelLoadError
from llm_multi_core_torch.conversions import CONVERSIONS
from llm_multi_core_torch.model_files import WEIGHTS, ModelFiles, is_weight_file

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

_SKIPPED_FOLDERS = frozenset({"onnx", "openvino", "coreml", "gguf", "original", "runs", "logs", ".git"})
_CONVERSION_BOT = "SFconvertbot"
_CONVERSION_TITLE = "Adding `safetensors` variant of this model"
_LOADED_SUFFIXES = frozenset({".json", ".txt", ".model", ".py", ".jinja", ".spm", ".vocab", ".tiktoken"})


def find_model(
    name: str,
    *,
    revision: str | None = None,
    cache_folder: str | None = None,
    local_files_only: bool = False,
    known: Iterable[str] = (),
) -> ModelFiles:
    """The files of a model, with its configuration on disk; weights may still be on the hub.

    Args:
        name: a folder, or `"organisation/model"` on the hub.
        revision: branch, tag or commit on the hub; `None` is its main branch, or the commit at which the hub
            keeps the weights of main converted to safetensors (`CONVERSIONS`).
        cache_folder: where downloads go; `None` is the hub client's own folder.
        local_files_only: whether to ask the hub nothing.
        known: names to suggest for a misspelt one.

    Raises:
        ModelLoadError: if there is no such model, or it is neither in the cache nor to be had.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return ModelFiles(path.resolve(), label=name)
    if path.is_file():
        raise ModelLoadError(f"model {name!r} is a file; pass the folder that holds the model")
    if _looks_like_path(name):
        raise ModelLoadError(f"there is no folder {name!r}{_nearest(path.name, _siblings(path))}")
    if revision is None and (converted := CONVERSIONS.get(name)) is not None:
        with suppress(ModelLoadError):  # which the main branch may still be able to answer, or tells better
            return _Hub(name, converted, cache_folder).find(local_files_only)
    return _Hub(name, revision, cache_folder, tuple(known)).find(local_files_only)


class _Hub:
    """One repository on the hub."""

    def __init__(self, name: str, revision: str | None, cache_folder: str | None, known: tuple[str, ...] = ()) -> None:
        self._name = name
        self._revision = revision
        self._cache_folder = cache_folder
        self._known = known

    def find(self, local_files_only: bool) -> ModelFiles:
        if local_files_only:
            return self._cached(None)
        from huggingface_hub import HfApi
        from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError
        from huggingface_hub.errors import RevisionNotFoundError as NoSuchRevision

        try:
            info = HfApi().model_info(self._name, revision=self._revision, files_metadata=True)
        except (GatedRepoError, HFValidationError, NoSuchRevision, RepositoryNotFoundError) as error:
            self._explain(error)
        except Exception as error:  # noqa: BLE001 - whatever kept the hub from answering, the cache may have the model
            return self._cached(error)
        return self._described(info)

    def _described(self, info: ModelInfo) -> ModelFiles:
        """The configuration, downloaded, and the hashes of the weights."""
        commit = info.sha or self._revision or "main"
        hashes = {file.rfilename: file.lfs.sha256 if file.lfs else None for file in info.siblings or ()}
        weights: dict[str, str] = {}
        configuration = []
        for name in loaded_files(hashes):
            sha256 = hashes[name]
            if is_weight_file(name) and sha256 is not None:
                weights[name] = sha256
            else:
                configuration.append(name)
        if not configuration:
            raise ModelLoadError(f"the repository {self._name!r} on the hub holds no model")
        # Asked for by its own name once, the revision is found in the cache again when offline.
        self._fetch(configuration[0], self._revision or "main")
        paths = [self._fetch(name, commit) for name in configuration]
        folder = paths[0].parents[len(PurePosixPath(configuration[0]).parts) - 1]
        return ModelFiles(folder, self._name, commit, weights, lambda name: self._fetch(name, commit))

    def _cached(self, cause: Exception | None) -> ModelFiles:
        """What earlier downloads left; all of it is on disk."""
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

        try:
            folder = snapshot_download(
                self._name, revision=self._revision, cache_dir=self._cache_folder, local_files_only=True
            )
        except HFValidationError as error:
            self._explain(error)
        except (LocalEntryNotFoundError, OSError) as error:
            self._explain(cause or error)
        return ModelFiles(Path(folder), self._name, Path(folder).name)

    def _fetch(self, name: str, revision: str) -> Path:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import GatedRepoError

        try:
            return Path(hf_hub_download(self._name, name, revision=revision, cache_dir=self._cache_folder))
        except GatedRepoError as error:
            self._explain(error)
        except Exception as error:
            reason = str(error).partition("\n")[0]
            raise ModelLoadError(
                f"{name} of model {self._name!r} could not be downloaded ({type(error).__name__}: {reason})"
            ) from error

    def _explain(self, error: Exception) -> NoReturn:
        from huggingface_hub import errors

        name = self._name
        at = f" at revision {self._revision!r}" if self._revision else ""
        hint = _nearest(name, self._known)
        if isinstance(error, errors.HFValidationError):
            fault = f"there is no folder {name!r}, and it is not a name on the hub{hint}"
        elif isinstance(error, errors.GatedRepoError):
            fault = f"model {name!r} is gated: accept its terms on the hub, then log in there or set HF_TOKEN"
        elif isinstance(error, errors.RepositoryNotFoundError):
            fault = (
                f"there is no folder and no model on the hub named {name!r} (a private one needs a login or HF_TOKEN)"
                f"{hint}"
            )
        elif isinstance(error, errors.RevisionNotFoundError):
            fault = f"model {name!r} on the hub has no revision {self._revision!r}"
        else:
            offline = isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled)
            why = "is not to be asked (offline)" if offline else f"cannot be reached ({type(error).__name__})"
            fault = (
                f"model {name!r}{at} is neither a folder nor in the local cache, and the hub {why}; download it while "
                f"online, or pass the path of a folder{hint}"
            )
        raise ModelLoadError(fault) from error


def loaded_files(names: Iterable[str]) -> list[str]:
    """Those files of a repository that torch models are loaded from.

    Leaves out exports to other engines, documents, and weights that are there in a preferred format.
    """
    every = set(names)
    kept = []
    for name in sorted(every):
        path = PurePosixPath(name)
        if not _SKIPPED_FOLDERS.isdisjoint(path.parts[:-1]):
            continue
        if path.suffix in _LOADED_SUFFIXES or (is_weight_file(name) and not _is_superseded(path, every)):
            kept.append(name)
    return kept


def safetensors_conversion(files: ModelFiles) -> str | None:
    """The revision at which the hub keeps a model's pickled weights converted to safetensors.

    Where a repository has weights in pickle form only, the hub's own bot opens a pull request with the same weights as
    safetensors. Only the bot's count, so that no stranger's weights are named.

    Returns:
        `"refs/pr/N"`, or `None` if there is none, or the hub was not asked for this model and is not now.
    """
    if files.fetch is None:
        return None
    from huggingface_hub import HfApi

    try:
        found = HfApi().get_repo_discussions(
            files.label, author=_CONVERSION_BOT, discussion_type="pull_request", discussion_status="open"
        )
        return next(
            (each.git_reference for each in found if (each.author, each.title) == (_CONVERSION_BOT, _CONVERSION_TITLE)),
            None,
        )
    except Exception:  # noqa: BLE001 - it is only for a hint in a message
        return None


def _is_superseded(path: PurePosixPath, names: set[str]) -> bool:
    if path.suffix == ".safetensors":
        return False
    return any((path.parent / preferred).as_posix() in names for preferred in WEIGHTS[0])


def _looks_like_path(name: str) -> bool:
    return name.startswith((".", "~", "/", os.sep)) or name.count("/") > 1 or "\\" in name


def _siblings(path: Path) -> list[str]:
    try:
        return [entry.name for entry in path.parent.iterdir() if entry.is_dir()]
    except OSError:
        return []


def _nearest(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), n=1)
    if not close or close[0].rpartition("/")[2] == name.rpartition("/")[2]:  # right, but not to be had
        return ""
    return f"; did you mean {close[0]!r}?"
