"""The options that say which embedder to use, shared by all commands that embed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import typer

from llm_multi_core.embedder.api import create_audio_embedder, create_image_embedder, create_text_embedder
from llm_multi_core.embedder.cli.guard import CommandError
from llm_multi_core.embedder.errors import InvalidOptionError
from llm_multi_core.embedder.frameworks import FrameworkSpec, OptionSpec
from llm_multi_core.embedder.host import default_host
from llm_multi_core.embedder.items import Modality, Role
from llm_multi_core.embedder.modalities import AudioEmbedder, ImageEmbedder, TextEmbedder
from llm_multi_core.embedder.settings import PRECISIONS, TRUNCATIONS

_FLAGS = ("framework", "model", "device", "precision", "dimensions", "force_dimensions", "truncation", "allow_urls")
MODALITIES = ("text", "image", "audio")
ROLES = tuple(str(role) for role in Role)
_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def one_of(*values: str) -> Callable[[str | None], str | None]:
    """A callback that refuses every other value, before anything is loaded."""

    def check(value: str | None) -> str | None:
        if value is not None and value not in values:
            raise typer.BadParameter(f"{value!r} is not one of {', '.join(values)}")
        return value

    return check


def _choice(flag: str, values: tuple[str, ...], description: str) -> Any:
    return typer.Option(flag, metavar="|".join(values), callback=one_of(*values), help=description)


FrameworkOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The framework, or distribution/framework.",
        show_default="sentence-transformers; clip for images, wav2vec2 for audio",
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="A model name or a local folder.", show_default="the framework's"),
]
DeviceOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="cpu, cuda, cuda:1, mps; for local models.", show_default="the best one"),
]
PrecisionOption = Annotated[str, _choice("--precision", PRECISIONS, "What a local model computes in.")]
DimensionsOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Fewer components than the model's own, where it allows that.",
        show_default="the model's",
    ),
]
ForceDimensionsOption = Annotated[
    bool,
    typer.Option("--force-dimensions", help="Cut to --dimensions even if the model is not known to allow it."),
]
TruncationOption = Annotated[str, _choice("--truncation", TRUNCATIONS, "What to do with an input beyond the limit.")]
ModalityOption = Annotated[
    str, _choice("--modality", MODALITIES, "What the inputs are. Images and audio are named by path.")
]
AllowUrlsOption = Annotated[
    bool,
    typer.Option("--allow-urls", help="Fetch images and audio from http(s) URLs, from public addresses only."),
]
InputsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="INPUT",
        help="Texts, always taken as they are; or the paths of images or recordings, of folders that hold some "
        "(all below count, in the order of their paths), and patterns such as 'photos/**/*.jpg'.",
        show_default=False,
    ),
]
FileOption = Annotated[
    list[str] | None,
    typer.Option(
        "--file",
        "-f",
        metavar="PATH",
        help="A UTF-8 file with one input per line, - for standard input; may be repeated. Without inputs and "
        "files, standard input is read.",
        show_default=False,
    ),
]
SkipEmptyOption = Annotated[
    bool,
    typer.Option(
        "--skip-empty",
        help="Leave out empty lines. By default each is a text with a vector, so that rows match lines.",
    ),
]
RoleOption = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(ROLES),
        callback=one_of(*ROLES),
        help="What the vectors are for, for models that tell roles apart.",
        show_default="symmetric",
    ),
]
InstructionOption = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="For models that follow one, in place of the role's prompt."),
]
BatchSizeOption = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="At most this many inputs in one batch.", show_default="the planner decides"),
]
FrameworkOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option", metavar="KEY=VALUE", help="An option of the framework's own; may be repeated.", show_default=False
    ),
]


def make_embedder(
    modality: Modality,
    framework: str | None,
    model: str | None,
    options: Iterable[str] | None,
    *,
    allow_urls: bool,
    **settings: Any,
) -> TextEmbedder | ImageEmbedder | AudioEmbedder:
    """The embedder that the options describe.

    Raises:
        CommandError: for an `--option` that is none, or for `--allow-urls` where texts are embedded.
        EmbedderError: as the factories of embedders.
    """
    if allow_urls and modality is Modality.TEXT:
        raise CommandError("--allow-urls is for --modality image and audio; a text is never fetched")
    spec = default_host().find(framework, modality).spec
    settings |= parse_options(options or (), spec)
    if modality is Modality.IMAGE:
        return create_image_embedder(framework, model, allow_urls=allow_urls, **settings)
    if modality is Modality.AUDIO:
        return create_audio_embedder(framework, model, allow_urls=allow_urls, **settings)
    return create_text_embedder(framework, model, **settings)


def parse_options(entries: Iterable[str], spec: FrameworkSpec) -> dict[str, Any]:
    """The values of `key=value` entries, typed as the framework declares.

    A value of another type than text, number or truth is written as JSON.

    Raises:
        CommandError: for an entry of another form, a key given twice, or one that is no option.
        InvalidOptionError: for a key that the framework does not take, or a value of the wrong type.
    """
    declared = {option.name: option for option in spec.options}
    given: dict[str, Any] = {}
    for entry in entries:
        name, separator, text = entry.partition("=")
        name = name.strip().replace("-", "_")
        if not separator or not name:
            raise CommandError(f"--option takes KEY=VALUE, not {entry!r}")
        if name in given:
            raise CommandError(f"--option {name} is given twice")
        if name == "api_key":
            raise CommandError(f"a key is no argument, since others can read those; {_where_keys_come_from(spec)}")
        if name not in declared and name in _FLAGS:
            raise CommandError(f"{name!r} is not an option of the framework: use --{name.replace('_', '-')}")
        given[name] = _convert(declared[name], text, spec.name) if name in declared else text
    spec.check_options(given, _FLAGS)
    return given


def _where_keys_come_from(spec: FrameworkSpec) -> str:
    if spec.credentials is None:
        return f"and framework {spec.name!r} needs none"
    return f"set {' or '.join(spec.credentials.variables)}"


def _convert(option: OptionSpec, text: str, framework: str) -> Any:
    types = option.type if isinstance(option.type, tuple) else (option.type,)
    readers: list[tuple[type, Callable[[str], Any]]] = [
        (bool, lambda value: _BOOLEANS[value.lower()]),
        (int, int),
        (float, float),
        (str, str),
    ]
    if str not in types and option.default is None and text.lower() in {"none", "null"}:
        return None
    for kind, read in readers:
        if kind in types:
            try:
                return read(text)
            except (KeyError, ValueError):
                continue
    try:
        value = json.loads(text)
    except ValueError:
        wanted = " or ".join(kind.__name__ for kind in types if kind is not type(None))
        raise InvalidOptionError(f"--option {option.name} of framework {framework!r} takes {wanted}") from None
    return tuple(value) if isinstance(value, list) and tuple in types else value
