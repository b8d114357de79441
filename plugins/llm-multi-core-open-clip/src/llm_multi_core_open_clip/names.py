"""What a model's name refers to: a folder, a repository on the hub, or an architecture with a tag.

Architectures are read from open_clip's configuration files without importing it, which takes seconds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from llm_multi_core.embedder import InvalidOptionError, ModelLoadError

FOLDER_PREFIX = "local-dir:"
HUB_PREFIX = "hf-hub:"
TAG_SEPARATOR = "@"


@dataclass(frozen=True, slots=True)
class Reference:
    """What a name refers to.

    Attributes:
        kind: a folder with `open_clip_config.json`, a repository of that form on the hub, or one of
            open_clip's own architectures.
        name: the path, the repository or the architecture.
        weights: of an architecture, the pretrained tag or the path of a file.
    """

    kind: Literal["folder", "hub", "architecture"]
    name: str
    weights: str = ""

    @property
    def label(self) -> str:
        """How people know the model."""
        if self.kind == "folder":
            return Path(self.name).name
        if self.kind == "hub":
            return self.name
        return f"{self.name}{TAG_SEPARATOR}{Path(self.weights).name}"


def parse_name(model: str, pretrained: str | None) -> Reference:
    """What `model=` and `pretrained=` refer to.

    Args:
        model: `"local-dir:path"` or a folder; `"hf-hub:organisation/name"` or just that name;
            `"architecture@tag"` or just the architecture.
        pretrained: the tag, or the path of a file with weights, for an architecture.

    Raises:
        InvalidOptionError: if the two contradict each other.
        ModelLoadError: if nothing has this name.
    """
    reference = _without_weights(model)
    if reference is not None:
        if pretrained is not None:
            raise InvalidOptionError(
                f"pretrained={pretrained!r} chooses weights for one of open_clip's architectures; model {model!r} "
                "brings its own"
            )
        return reference
    name, _, tag = model.partition(TAG_SEPARATOR)
    if tag and pretrained is not None and pretrained != tag:
        raise InvalidOptionError(f"model {model!r} names the weights {tag!r}, and pretrained= names {pretrained!r}")
    architecture = name.replace("/", "-")  # OpenAI's spelling, "ViT-B/32"
    known = architectures()
    if architecture in known:
        return Reference("architecture", architecture, tag or pretrained or "")
    if "/" in name and not tag and pretrained is None:
        return Reference("hub", name)
    close = get_close_matches(architecture, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise ModelLoadError(
        f"there is no folder and no architecture of open_clip named {name!r}{hint} (models on the hub are named "
        f"'{HUB_PREFIX}organisation/name', folders '{FOLDER_PREFIX}path')"
    )


def _without_weights(model: str) -> Reference | None:
    if model.startswith(FOLDER_PREFIX):
        path = Path(model.removeprefix(FOLDER_PREFIX)).expanduser()
        if not path.is_dir():
            raise ModelLoadError(f"there is no folder {str(path)!r}")
        return Reference("folder", str(path))
    if model.startswith(HUB_PREFIX):
        return Reference("hub", model.removeprefix(HUB_PREFIX))
    if Path(model).expanduser().is_dir():
        return Reference("folder", str(Path(model).expanduser()))
    if model.startswith((".", "~", "/")):
        raise ModelLoadError(f"there is no folder {model!r}")
    return None


@cache
def architectures() -> tuple[str, ...]:
    """The names of all architectures that the installed open_clip can build."""
    return tuple(sorted(path.stem for path in _configurations().glob("*.json")))


def architecture_config(name: str) -> dict[str, Any]:
    """The configuration of an architecture: a fresh copy of the content of its file."""
    config: dict[str, Any] = json.loads((_configurations() / f"{name}.json").read_text(encoding="utf-8"))
    return config


def _configurations() -> Path:
    package = find_spec("open_clip")
    if package is None or package.origin is None:
        raise ModelLoadError("open_clip is not installed: pip install open_clip_torch")
    return Path(package.origin).parent / "model_configs"
