"""From settings to the encoder that serves them, and the space that its vectors lie in."""

from __future__ import annotations

from dataclasses import dataclass

from llm_multi_core.embedder.encoders import Description
from llm_multi_core.embedder.errors import InvalidOptionError, UnsupportedDimensionsError
from llm_multi_core.embedder.items import Modality, Role, Task
from llm_multi_core.embedder.pipeline.pool import EncoderHandle, pool
from llm_multi_core.embedder.settings import EmbedderSettings
from llm_multi_core.embedder.spaces import Space


@dataclass(frozen=True, slots=True)
class Resolved:
    """An encoder and what the embedder makes of its rows.

    `cut` is the dimension that the pipeline cuts to, `None` where the encoder returns what is asked.
    """

    handle: EncoderHandle
    description: Description
    space: Space
    cut: int | None


def resolve(settings: EmbedderSettings, modality: Modality) -> Resolved:
    """Find the encoder that gives the dimensions asked for, by itself or by cutting.

    Its handle is acquired from the pool; whoever calls releases it.

    Raises:
        InvalidOptionError: if the model does not embed `modality`, though its framework does.
        UnsupportedDimensionsError: if there is no way to those dimensions.
        ModelLoadError: if there is no such model.
    """
    handle = pool.acquire(settings.offer, settings.encoder_config(None))
    try:
        return _resolve(handle, settings, modality)
    except BaseException:
        pool.release(handle)
        raise


def _resolve(handle: EncoderHandle, settings: EmbedderSettings, modality: Modality) -> Resolved:
    wanted = settings.dimensions
    try:
        description = handle.describe()
    except InvalidOptionError:
        if wanted is None:
            raise
        told = _as_told(settings, modality)
        pool.release(handle)
        return told
    _require_modality(modality, description.space, settings)
    native = description.space.dimension
    if wanted is None or wanted == native:
        return Resolved(handle, description, description.space, None)
    cuttable = wanted < native and (description.sliceable or settings.force_dimensions)
    if cuttable and description.sliceable and not settings.offer.spec.hosted:
        return Resolved(handle, description, description.space.cut(wanted), wanted)
    own = pool.acquire(settings.offer, settings.encoder_config(wanted))
    reason = f"{handle.name} gives {native} dimensions and cannot give {wanted}"
    try:
        described = own.describe()
        if described.space.dimension == wanted:
            pool.release(handle)
            return Resolved(own, described, described.space, None)
    except UnsupportedDimensionsError as error:
        reason = str(error)
    except BaseException:
        pool.release(own)
        raise
    pool.release(own)
    if cuttable:
        return Resolved(handle, description, description.space.cut(wanted), wanted)
    if wanted < native:
        reason += "; it is not known to be a Matryoshka model: pass force_dimensions=True to cut all the same"
    raise UnsupportedDimensionsError(reason)


def _as_told(settings: EmbedderSettings, modality: Modality) -> Resolved:
    """The encoder of a model that has only the dimension that the user says, such as one that a catalogue lacks."""
    own = pool.acquire(settings.offer, settings.encoder_config(settings.dimensions))
    try:
        described = own.describe()
        _require_modality(modality, described.space, settings)
    except BaseException:
        pool.release(own)
        raise
    return Resolved(own, described, described.space, None)


def _require_modality(modality: Modality, space: Space, settings: EmbedderSettings) -> None:
    if modality in space.modalities:
        return
    spec = settings.offer.spec
    able = [model.name for model in spec.models if modality in model.modalities][:3]
    raise InvalidOptionError(
        f"{spec.name} model {settings.model!r} embeds {' and '.join(sorted(space.modalities)) or 'nothing'}, not "
        f"{modality}; choose one that does" + (f", such as {' or '.join(map(repr, able))}" if able else "")
    )


def effective_task(task: Task, description: Description, settings: EmbedderSettings) -> Task:
    """The task with a role folded that the encoder does not distinguish, so that caches agree.

    Raises:
        InvalidOptionError: for an instruction to a model that follows none.
    """
    if task.instruction is not None and not description.instructions:
        raise InvalidOptionError(f"{settings.offer.spec.name} model {settings.model!r} follows no instruction")
    return task if task.role in description.roles else Task(Role.SYMMETRIC, task.instruction)
