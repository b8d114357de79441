"""One result list from the lists of several modalities, with places kept for each."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from llm_multi_core.embedder.analysis.retrieval import check_k
from llm_multi_core.embedder.errors import InvalidInputError, InvalidOptionError
from llm_multi_core.embedder.frameworks import nearest

Id = TypeVar("Id", bound=Hashable)


class Hit(NamedTuple, Generic[Id]):
    """A result: what was found, how well it fits, and of which modality it is."""

    id: Id
    score: float
    modality: str


def merge_with_quotas(
    results_by_modality: Mapping[str, Sequence[tuple[Id, float]]],
    k: int,
    quotas: Mapping[str, int] | None = None,
) -> list[Hit[Id]]:
    """The best `k` of several lists, with places kept for modalities that would lose them all.

    Each modality first gets the places of its quota for its best results; what is left, because quotas
    sum to less than `k` or a list is short, goes to the best of the rest, whatever they are. Quotas that
    sum to `k` therefore fix the composition. Scores should be comparable, such as those of
    `ModalityCalibration`.

    Args:
        results_by_modality: `(id, score)` pairs in any order, higher being better. An id that several
            lists have, or one several times, is listed once.
        k: results wanted, at least 1; fewer are returned if there are no more.
        quotas: places by modality; those not named have none kept.

    Returns:
        Best first; equals in the order of the lists.

    Raises:
        InvalidInputError: for a score that is not finite.
        InvalidOptionError: if a quota is negative or of a modality without a list, or they exceed `k`.
    """
    check_k(k)
    kept = _checked_quotas(quotas or {}, k, list(results_by_modality))
    hits = [Hit(found, float(score), name) for name, results in results_by_modality.items() for found, score in results]
    for hit in hits:
        if not np.isfinite(hit.score):
            raise InvalidInputError(f"{hit.id!r} among the results for {hit.modality!r} has the score {hit.score}")
    hits.sort(key=lambda hit: -hit.score)
    chosen: dict[Id, Hit[Id]] = {}
    for name, quota in kept.items():
        places = quota
        for hit in hits:
            if places and hit.modality == name and hit.id not in chosen:
                chosen[hit.id] = hit
                places -= 1
    for hit in hits:
        if len(chosen) < k:
            chosen.setdefault(hit.id, hit)
    taken = set(map(id, chosen.values()))
    return [hit for hit in hits if id(hit) in taken]


def _checked_quotas(quotas: Mapping[str, int], k: int, modalities: Sequence[str]) -> Mapping[str, int]:
    for name, quota in quotas.items():
        if name not in modalities:
            raise InvalidOptionError(f"quotas name {name!r}, which has no results{nearest(str(name), modalities)}")
        if isinstance(quota, bool) or not isinstance(quota, int) or quota < 0:
            raise InvalidOptionError(f"the quota of {name!r}, {quota!r}, is not a whole number of at least 0")
    if sum(quotas.values()) > k:
        raise InvalidOptionError(f"the quotas sum to {sum(quotas.values())}, more than k={k}")
    return quotas
