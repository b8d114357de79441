"""What this distribution offers. Imports the host and the standard library only.

One framework, `gemini`, in three specifications: limits, units and prices differ by modality, and so does
the default model. `gemini-embedding-2` embeds all three modalities into one space.
"""

from __future__ import annotations

from llm_multi_core.embedder import FrameworkSpec, Modality, OptionSpec, hookimpl
from llm_multi_core.embedder.credentials import Credentials
from llm_multi_core.embedder.hosted import HOSTED_OPTIONS
from llm_multi_core_google.catalogue import MEDIA_MODEL, MODELS, QUERY_TASKS, SYMMETRIC_TASKS, TEXT_MODEL

TRANSPORTS = ("google-genai", "google-generativeai")

_VERTEX = (
    OptionSpec("vertexai", bool, None, summary="whether to ask Vertex AI, by default with Google Cloud credentials"),
    OptionSpec("project", str, None, summary="Google Cloud project, for Vertex AI; by default the environment's"),
    OptionSpec("location", str, None, summary="Google Cloud region, for Vertex AI; by default the environment's"),
)
_DIMENSION = OptionSpec(
    "native_dimension", int, None, summary="components of the vectors of a model that is not in the catalogue"
)
_TASK = OptionSpec(
    "task_type",
    str,
    None,
    choices=(*SYMMETRIC_TASKS, *QUERY_TASKS),
    summary="what the vectors are for, other than search and likeness; the query side's where there are two",
)
_TRANSPORT = OptionSpec(
    "transport", str, TRANSPORTS[0], choices=TRANSPORTS, summary="the SDK; the older one has an extra, 'legacy'"
)
_REQUIRES = ("google-genai>=3.5,<4", "httpx>=0.28,<1")
_CREDENTIALS = Credentials(("GEMINI_API_KEY", "GOOGLE_API_KEY"), optional_with=("vertexai",))

TEXT = FrameworkSpec(
    name="gemini",
    modalities=(Modality.TEXT,),
    target="llm_multi_core_google.encoder:GeminiTextEncoder",
    requires=_REQUIRES,
    default_model={Modality.TEXT: TEXT_MODEL},
    options=(*HOSTED_OPTIONS, _TASK, *_VERTEX, _DIMENSION, _TRANSPORT),
    hosted=True,
    credentials=_CREDENTIALS,
    summary="Google's Gemini embedding models over the Gemini API or Vertex AI",
    models=tuple(model.spec(Modality.TEXT) for model in MODELS),
)

IMAGE = FrameworkSpec(
    name="gemini",
    modalities=(Modality.IMAGE,),
    target="llm_multi_core_google.encoder:GeminiImageEncoder",
    requires=(*_REQUIRES, "pillow>=10.1,<14"),
    default_model={Modality.IMAGE: MEDIA_MODEL},
    options=(*HOSTED_OPTIONS, *_VERTEX, _DIMENSION),
    hosted=True,
    credentials=_CREDENTIALS,
    summary="Google's Gemini embedding models over the Gemini API or Vertex AI",
    models=tuple(model.spec(Modality.IMAGE) for model in MODELS if model.multimodal),
)

AUDIO = FrameworkSpec(
    name="gemini",
    modalities=(Modality.AUDIO,),
    target="llm_multi_core_google.encoder:GeminiAudioEncoder",
    requires=(*_REQUIRES, "soundfile>=0.12,<1", "soxr>=0.3,<2"),
    default_model={Modality.AUDIO: MEDIA_MODEL},
    options=(*HOSTED_OPTIONS, *_VERTEX, _DIMENSION),
    hosted=True,
    credentials=_CREDENTIALS,
    summary="Google's Gemini embedding models over the Gemini API or Vertex AI",
    models=tuple(model.spec(Modality.AUDIO) for model in MODELS if model.multimodal),
)


@hookimpl
def llm_multi_core_frameworks() -> list[FrameworkSpec]:
    """The framework of this distribution, once for each modality."""
    return [TEXT, IMAGE, AUDIO]
