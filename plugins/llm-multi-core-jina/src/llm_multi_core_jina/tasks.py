"""Which of Jina's tasks says what an embedding is for: the roles' own, or the one that the user chose."""

from __future__ import annotations

from collections.abc import Mapping

from llm_multi_core.embedder import InvalidOptionError, Role
from llm_multi_core_jina.catalogue import JinaModel

_OTHER_WORD = {"clustering": "separation", "separation": "clustering"}
"""Models call one and the same task by one of two words."""


def tasks_of(model: JinaModel, wanted: str | None) -> Mapping[Role, str | None]:
    """The value of the field `task` for each role; `None` leaves the field out.

    Args:
        model: the model.
        wanted: what the user chose: a family (`"retrieval"`, `"code"`), between whose sides for queries
            and for passages the roles choose, or one task for all roles. `None` is the model's own
            family.

    Raises:
        InvalidOptionError: for a task that the model does not have, with those that it has.
    """
    for task in (wanted, _OTHER_WORD.get(wanted or "")):
        if task in model.tasks:
            return dict.fromkeys(Role, task)
    family = wanted or model.default_task
    query, document = (task if task in model.tasks else None for task in (f"{family}.query", f"{family}.passage"))
    if wanted is not None and query is None:
        families = {task.partition(".")[0] for task in model.tasks}
        takes = ", ".join(sorted(families | set(model.tasks))) or "no task"
        raise InvalidOptionError(f"task={wanted!r}: jina model {model.name!r} takes {takes}")
    symmetric = "text-matching" if "text-matching" in model.tasks else document
    return {Role.QUERY: query, Role.DOCUMENT: document, Role.SYMMETRIC: symmetric}


def distinct_roles(tasks: Mapping[Role, str | None]) -> frozenset[Role]:
    """The roles whose task is not that of the symmetric one."""
    return frozenset(role for role, task in tasks.items() if task != tasks[Role.SYMMETRIC])
