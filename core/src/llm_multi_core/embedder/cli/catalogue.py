"""`llm-multi-core models`: the well-known models of a framework, and its options. Imports no framework."""

from __future__ import annotations

import json
from types import NoneType
from typing import Annotated, Any

import typer

from llm_multi_core.embedder.cli.guard import CommandError, tell
from llm_multi_core.embedder.cli.listings import JsonOption
from llm_multi_core.embedder.cli.tables import print_table
from llm_multi_core.embedder.errors import FrameworkError
from llm_multi_core.embedder.frameworks import ModelSpec, Offer, OptionSpec
from llm_multi_core.embedder.host import default_host
from llm_multi_core.embedder.items import Modality


def models(
    framework: Annotated[str, typer.Argument(metavar="FRAMEWORK", help="A framework, or distribution/framework.")],
    as_json: JsonOption = False,
) -> None:
    """List a framework's well-known models and its options.

    Other models of the same kind work as well. A star marks the model that is used where none is named. Options are
    passed as keywords in Python, and as --option KEY=VALUE here.
    """
    offers = _offers(framework)
    if as_json:
        typer.echo(json.dumps([_entry(offer) for offer in offers], indent=2))
        return
    for number, offer in enumerate(offers):
        if number:
            typer.echo()
        _print(offer)


def _offers(name: str) -> list[Offer]:
    """The framework's offers: one, or one for each modality where they are declared apart.

    Raises:
        CommandError: if it embeds nothing here.
        FrameworkError: if it is not there, is missing something, or two distributions offer it.
    """
    found: list[Offer] = []
    first_error: FrameworkError | None = None
    for modality in (Modality.TEXT, Modality.IMAGE, Modality.AUDIO):
        try:
            offer = default_host().find(name, modality)
        except FrameworkError as error:
            serves = any(modality in row.modalities for row in default_host().statuses() if row.name == name)
            if first_error is None or serves:
                first_error = error
        else:
            if offer not in found:
                found.append(offer)
    if not found:
        raise first_error or CommandError(f"no framework {name!r}")
    return found


def _print(offer: Offer) -> None:
    spec = offer.spec
    typer.echo(f"{spec.name} of {offer.distribution} {offer.version}" + (f": {spec.summary}" if spec.summary else ""))
    rows = [_model_row(model, offer) for model in spec.models]
    listed = {model.name for model in spec.models}
    for modality, name in spec.default_model.items():
        if name not in listed:
            listed.add(name)
            rows.append((f"{name} *", str(modality), "-", "-", "-", ""))
    typer.echo()
    if rows:
        fifth = "price" if spec.hosted else "own code"
        print_table(("model", "modalities", "dimensions", "longest input", fifth, "note"), rows)
    else:
        tell("note", f"{spec.name} names no models")
    typer.echo()
    if spec.options:
        header = ("option", "type", "default", "changes the space", "what it is")
        print_table(header, [_option_row(option) for option in spec.options])
    else:
        tell("note", f"{spec.name} has no options of its own")


def _model_row(model: ModelSpec, offer: Offer) -> tuple[str, ...]:
    star = " *" if model.name in offer.spec.default_model.values() else ""
    dimensions = ", ".join(map(str, sorted({model.dimension or 0, *model.dimensions} - {0})))
    longest = "-" if model.max_units is None else f"{model.max_units} {model.unit}s"
    return (
        f"{model.name}{star}",
        ",".join(model.modalities),
        dimensions or "-",
        longest,
        _price(model) if offer.spec.hosted else "yes" if model.trust_remote_code else "no",
        model.note,
    )


def _price(model: ModelSpec) -> str:
    return "unknown" if model.price is None else f"${model.price:g} per million {model.unit}s"


def _option_row(option: OptionSpec) -> tuple[str, ...]:
    kind = "|".join(map(str, option.choices)) or " or ".join(_type_names(option))
    default = "-" if option.default is None else str(option.default)
    return option.name, kind, default, "yes" if option.affects_space else "no", option.summary


def _type_names(option: OptionSpec) -> list[str]:
    types = option.type if isinstance(option.type, tuple) else (option.type,)
    return [kind.__name__ for kind in types if kind is not NoneType]


def _entry(offer: Offer) -> dict[str, Any]:
    spec = offer.spec
    return {
        "framework": spec.name,
        "plugin": offer.distribution,
        "version": offer.version,
        "summary": spec.summary,
        "modalities": list(spec.modalities),
        "default_model": dict(spec.default_model),
        "models": [
            {
                "name": model.name,
                "modalities": list(model.modalities),
                "dimension": model.dimension,
                "dimensions": list(model.dimensions),
                "max_units": model.max_units,
                "unit": model.unit,
                "trust_remote_code": model.trust_remote_code,
                "price": model.price,
                "note": model.note,
                "source": model.source,
            }
            for model in spec.models
        ],
        "options": [
            {
                "name": option.name,
                "type": _type_names(option),
                "default": _as_json(option.default),
                "choices": [_as_json(choice) for choice in option.choices],
                "affects_space": option.affects_space,
                "summary": option.summary,
            }
            for option in spec.options
        ],
    }


def _as_json(value: Any) -> Any:
    """A default as JSON has it; what JSON has no form for, as Python writes it."""
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError):
        return repr(value)
