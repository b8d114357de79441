"""The text frameworks of this distribution, as data. Imports the host and the standard library only."""

from __future__ import annotations

from llm_multi_core.embedder import FrameworkSpec, Modality, ModelSpec, OptionSpec

REQUIRES = ("llm-multi-core-torch>=0.1,<0.2", "torch>=2.6,<3", "transformers>=5,<6")

POOLINGS = ("mean", "cls", "max", "weightedmean", "lasttoken", "attention")

ENGINE = OptionSpec(
    "engine", str, default="auto", choices=("auto", "torch", "openvino"), summary="what runs the model on a CPU"
)

CHECKPOINT_OPTIONS = (
    OptionSpec("revision", str, summary="branch, tag or commit on the hub"),
    OptionSpec("trust_remote_code", bool, default=False, summary="run code that the model brings along"),
    OptionSpec("cache_folder", str, summary="where downloads go"),
    OptionSpec("local_files_only", bool, default=False, summary="ask the hub nothing"),
    OptionSpec("allow_pickle", bool, default=False, summary="load weights in pickle form (.bin), which can run code"),
)

TEXT_OPTIONS = (
    OptionSpec(
        "pooling",
        str,
        affects_space=True,
        choices=POOLINGS,
        summary="how tokens become one vector; by default what the model's folder says, else mean",
    ),
    OptionSpec("max_length", int, summary="most tokens of a text, prompt and special tokens included"),
    OptionSpec("padding_side", str, choices=("left", "right"), summary="by default what the model needs"),
    OptionSpec("prompts", dict, summary="prompts by name (query, document), beside or instead of the model's own"),
    OptionSpec("default_prompt_name", str, summary="the prompt of the symmetric role"),
    ENGINE,
    *CHECKPOINT_OPTIONS,
)

DEFAULT_TEXT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
DEFAULT_MODERNBERT = "nomic-ai/modernbert-embed-base"
_TEXT = (Modality.TEXT,)
_CARD = "https://huggingface.co/"

_MODERNBERT_EMBED = ModelSpec(
    DEFAULT_MODERNBERT,
    _TEXT,
    dimension=768,
    dimensions=(256,),
    max_units=8192,
    note="prefixes search_query: and search_document: are put before texts",
    source=_CARD + DEFAULT_MODERNBERT,
)

HUGGINGFACE = FrameworkSpec(
    name="huggingface",
    modalities=_TEXT,
    target="llm_multi_core_transformers.text:HuggingFaceEncoder",
    requires=REQUIRES,
    default_model={Modality.TEXT: DEFAULT_TEXT_MODEL},
    options=TEXT_OPTIONS,
    summary="any text model of transformers, with the pooling of your choice",
    models=(
        ModelSpec(
            DEFAULT_TEXT_MODEL,
            _TEXT,
            dimension=384,
            max_units=256,
            note="mean pooling",
            source=_CARD + DEFAULT_TEXT_MODEL,
        ),
        ModelSpec(
            "sentence-transformers/all-mpnet-base-v2",
            _TEXT,
            dimension=768,
            max_units=384,
            note="mean pooling",
            source=_CARD + "sentence-transformers/all-mpnet-base-v2",
        ),
        ModelSpec(
            "sentence-transformers/gtr-t5-base",
            _TEXT,
            dimension=768,
            max_units=512,
            note="T5 encoder, mean pooling, dense layer",
            source=_CARD + "sentence-transformers/gtr-t5-base",
        ),
        ModelSpec(
            "sentence-transformers/LaBSE",
            _TEXT,
            dimension=768,
            max_units=256,
            note="CLS pooling and a dense layer; 109 languages",
            source=_CARD + "sentence-transformers/LaBSE",
        ),
        ModelSpec(
            "intfloat/e5-base-v2",
            _TEXT,
            dimension=768,
            max_units=512,
            note="prefixes query: and passage: are put before texts",
            source=_CARD + "intfloat/e5-base-v2",
        ),
        ModelSpec(
            "intfloat/multilingual-e5-base",
            _TEXT,
            dimension=768,
            max_units=512,
            note="XLM-R; prefixes query: and passage: are put before texts",
            source=_CARD + "intfloat/multilingual-e5-base",
        ),
        _MODERNBERT_EMBED,
    ),
)

MODERNBERT = FrameworkSpec(
    name="modernbert",
    modalities=_TEXT,
    target="llm_multi_core_transformers.text:ModernBertEncoder",
    requires=REQUIRES,
    default_model={Modality.TEXT: DEFAULT_MODERNBERT},
    options=TEXT_OPTIONS,
    summary="ModernBERT models for retrieval, with the prefixes that they need",
    models=(
        _MODERNBERT_EMBED,
        ModelSpec(
            "lightonai/modernbert-embed-large",
            _TEXT,
            dimension=1024,
            dimensions=(256,),
            max_units=8192,
            note="prefixes search_query: and search_document: are put before texts",
            source=_CARD + "lightonai/modernbert-embed-large",
        ),
        ModelSpec(
            "Alibaba-NLP/gte-modernbert-base",
            _TEXT,
            dimension=768,
            max_units=8192,
            note="CLS pooling, no prefixes",
            source=_CARD + "Alibaba-NLP/gte-modernbert-base",
        ),
    ),
)

TEXT_FRAMEWORKS = (HUGGINGFACE, MODERNBERT)
