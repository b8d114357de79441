"""What the files of a model of sound say of how sound is prepared for it."""

from __future__ import annotations

from typing import Any

from llm_multi_core.embedder import ModelLoadError
from llm_multi_core_torch import ModelFiles


def sound_preprocessing(files: ModelFiles) -> dict[str, Any]:
    """The settings of the feature extractor, on their own or within those of a processor.

    Raises:
        ModelLoadError: if there are none.
    """
    own = files.read_object("preprocessor_config.json")
    nested = files.read_object("processor_config.json").get("feature_extractor")
    settings = own or nested
    if not isinstance(settings, dict) or not settings:
        raise ModelLoadError(
            f"model {files.label!r} has no feature extractor: neither preprocessor_config.json nor "
            "processor_config.json says how sound is prepared for it"
        )
    return settings
