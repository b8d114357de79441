"""What this distribution offers. Imports the host and the standard library only."""

from __future__ import annotations

from llm_multi_core.embedder import FrameworkSpec, hookimpl
from llm_multi_core_transformers.audio_specs import AUDIO_FRAMEWORKS
from llm_multi_core_transformers.describer_specs import DESCRIBER_FRAMEWORKS
from llm_multi_core_transformers.image_specs import IMAGE_FRAMEWORKS
from llm_multi_core_transformers.text_specs import TEXT_FRAMEWORKS


@hookimpl
def llm_multi_core_frameworks() -> list[FrameworkSpec]:
    """The frameworks of this distribution."""
    return [*TEXT_FRAMEWORKS, *IMAGE_FRAMEWORKS, *AUDIO_FRAMEWORKS, *DESCRIBER_FRAMEWORKS]
