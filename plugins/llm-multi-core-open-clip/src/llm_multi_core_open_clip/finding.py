"""From a model's name to its files, its configuration and its preprocessing. Loads no weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from llm_multi_core.embedder import ModelLoadError
from llm_multi_core_open_clip.catalogue import MODELS
from llm_multi_core_open_clip.names import FOLDER_PREFIX, Reference, architecture_config, parse_name
from llm_multi_core_torch import ModelFiles, find_model

CONFIG = "open_clip_config.json"
_SAFE = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")
_PICKLED = ("open_clip_pytorch_model.bin", "open_clip_pytorch_model.pth")
_PREFERRED = (*_SAFE, *_PICKLED, "model.safetensors", "pytorch_model.bin", "pytorch_model.pth", "model.pth")
"""The order in which open_clip itself looks for weights in a folder (`_find_checkpoint_in_dir`)."""
_SUFFIXES = (".safetensors", ".bin", ".pth", ".pt")

_DEFAULT_IMAGE = {
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
    "interpolation": "bicubic",
    "resize_mode": "shortest",
    "fill_color": 0,
}
"""OpenAI's preprocessing, the default of open_clip's `PreprocessCfg`."""


@dataclass(frozen=True, slots=True)
class ClipFiles:
    """The files of one model and what they say.

    Attributes:
        label: how people know the model.
        files: its files.
        weights: the name of the one with the weights.
        config: open_clip's model configuration, with the activation that the weights were trained with.
        image: how images are prepared: `size` (height, width), `mean`, `std`, `interpolation`,
            `resize_mode`, `fill_color`; empty for a model of sounds.
        from_transformers: whether the weights are laid out as those of a `ClapModel` of transformers.
    """

    label: str
    files: ModelFiles
    weights: str
    config: Mapping[str, Any]
    image: Mapping[str, Any]
    from_transformers: bool = False

    @property
    def dimension(self) -> int:
        """Components of a vector."""
        return int(self.config["embed_dim"])

    @property
    def audio_config(self) -> Mapping[str, Any] | None:
        """What concerns the audio tower, for a model that has one."""
        config: Mapping[str, Any] | None = self.config.get("audio_cfg")
        return config

    @property
    def text_config(self) -> Mapping[str, Any]:
        """What concerns the text tower."""
        config: Mapping[str, Any] = self.config["text_cfg"]
        return config

    @property
    def is_pickle(self) -> bool:
        """Whether the weights are in a format that could hold code."""
        return PurePosixPath(self.weights).suffix != ".safetensors"

    def weights_path(self) -> Path:
        """The file with the weights, downloaded if need be."""
        if not (self.files.folder / self.weights).is_file() and self.files.fetch is not None:
            return self.files.fetch(self.weights)
        return self.files.folder / self.weights


def find_clip(model: str, options: Mapping[str, Any]) -> ClipFiles:
    """The files of a model.

    Args:
        model: as `parse_name` takes it.
        options: the framework's options.

    Raises:
        ModelLoadError: if there is no such model, it is not to be had, or its weights are in pickle
            form and that is not allowed.
        InvalidOptionError: if model and options contradict each other.
    """
    reference = parse_name(model, options["pretrained"])
    if reference.kind == "folder":
        found = _configured(reference, ModelFiles(Path(reference.name).resolve(), reference.label), options)
    elif reference.kind == "hub":
        found = _configured(reference, _from_hub(reference.name, reference.name, options), options)
    else:
        found = _architecture(reference, options)
    if found.is_pickle and not options["allow_pickle"]:
        raise _refused(found.label, found.weights)
    return found


def _configured(reference: Reference, files: ModelFiles, options: Mapping[str, Any]) -> ClipFiles:
    """A folder or repository that says by itself how its model is built."""
    content = files.read_object(CONFIG)
    config = content.get("model_cfg")
    if not isinstance(config, dict):
        what = "lacks 'model_cfg'" if content else "is missing"
        raise ModelLoadError(f"model {reference.label!r} is not one of open_clip: its {CONFIG} {what}")
    weights = _weights_on_hub(files, "", options) if reference.kind == "hub" else _weights_in_folder(files)
    return _found(reference.label, files, weights, config, content.get("preprocess_cfg") or {})


def _architecture(reference: Reference, options: Mapping[str, Any]) -> ClipFiles:
    """One of open_clip's own architectures, with weights by their tag or from a file."""
    config = architecture_config(reference.name)
    path = Path(reference.weights).expanduser()
    if path.suffix in _SUFFIXES and path.is_file():
        return _found(reference.label, ModelFiles(path.resolve().parent, reference.label), path.name, config, {})
    tag = _tag(reference)
    if bool(tag.get("quick_gelu")) != bool(config.get("quick_gelu")):
        # The activation belongs to the weights: OpenAI's were trained with QuickGELU.
        config["quick_gelu"] = bool(tag.get("quick_gelu"))
    repository, _, file = str(tag["hf_hub"]).rpartition("/")
    files = _from_hub(repository, reference.label, options)
    return _found(reference.label, files, _weights_on_hub(files, file, options), config, tag)


def _tag(reference: Reference) -> Mapping[str, Any]:
    """open_clip's entry for a pretrained tag; this imports open_clip."""
    from open_clip import get_pretrained_cfg, list_pretrained_tags_by_model

    tags = (
        ", ".join(repr(tag) for tag in list_pretrained_tags_by_model(reference.name)) or "none; pass the path of a file"
    )
    if not reference.weights:
        raise ModelLoadError(
            f"architecture {reference.name!r} comes with several weights: choose one as '{reference.name}@tag' or with "
            f"pretrained= (its tags: {tags})"
        )
    tag: Mapping[str, Any] = get_pretrained_cfg(reference.name, reference.weights)
    if not tag.get("hf_hub"):
        raise ModelLoadError(
            f"{reference.weights!r} is neither a file nor a tag of architecture {reference.name!r} (its tags: {tags})"
        )
    return tag


def _from_hub(repository: str, label: str, options: Mapping[str, Any]) -> ModelFiles:
    try:
        return find_model(
            repository,
            revision=options["revision"],
            cache_folder=options["cache_folder"],
            local_files_only=options["local_files_only"],
            known=[spec.source.removeprefix("https://huggingface.co/") for spec in MODELS],
        )
    except ModelLoadError as error:
        raise ModelLoadError(
            f"{label}: {error}. Without a hub: model='{FOLDER_PREFIX}path', a folder with {CONFIG} and {_SAFE[0]}"
        ) from error


def _weights_on_hub(files: ModelFiles, file: str, options: Mapping[str, Any]) -> str:
    """The weights of a repository, as open_clip looks for them there: safetensors first."""
    names = (*_SAFE, *_PICKLED) if not file else (str(PurePosixPath(file).with_suffix(".safetensors")), file)
    for name in names:
        if name in files:
            return name
    # A repository may also hold the model in the format of transformers; its pickles are not listed then.
    pickled = file or _PICKLED[0]
    if not options["allow_pickle"]:
        raise _refused(files.label, pickled)
    return pickled


def _weights_in_folder(files: ModelFiles) -> str:
    names = [name for name in files.names() if "/" not in name and PurePosixPath(name).suffix in _SUFFIXES]
    if not names:
        raise ModelLoadError(f"model {files.label!r} has no weights: its folder holds no {_SAFE[0]}")
    for name in _PREFERRED:
        if name in names:
            return name
    return min(names, key=lambda name: (not name.endswith(".safetensors"), name))


def _refused(label: str, weights: str) -> ModelLoadError:
    return ModelLoadError(
        f"the weights of model {label!r} are only there as {weights}, a pickle, which can hold code: convert them to "
        "safetensors, or pass allow_pickle=True (they are then read by torch's restricted unpickler)"
    )


def _found(
    label: str, files: ModelFiles, weights: str, config: Mapping[str, Any], image: Mapping[str, Any]
) -> ClipFiles:
    other = "audio_cfg" if "audio_cfg" in config else "vision_cfg"
    missing = [key for key in ("embed_dim", other, "text_cfg") if key not in config]
    if missing:
        raise ModelLoadError(f"the configuration of model {label!r} lacks {', '.join(missing)}")
    if other == "audio_cfg":
        return ClipFiles(label, files, weights, config, {}, bool(image.get("hf_transformers_clap")))
    size = config["vision_cfg"].get("image_size", 224)
    given = {key: image[key] for key in _DEFAULT_IMAGE if image.get(key) is not None}
    prepared: dict[str, Any] = {**_DEFAULT_IMAGE, **given}
    prepared["size"] = (size, size) if isinstance(size, int) else tuple(size)
    for key in ("mean", "std"):
        value = prepared[key]
        prepared[key] = tuple(value) if isinstance(value, list | tuple) else (value,) * 3
    return ClipFiles(label, files, weights, config, prepared)
