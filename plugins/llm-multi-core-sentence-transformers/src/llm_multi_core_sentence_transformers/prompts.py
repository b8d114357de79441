"""Which prompt and which route a role means, as `encode_query` and `encode_document` decide it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llm_multi_core.embedder import Role, Task
from llm_multi_core_torch import ModelCard, Prompts, choose_prompts


@dataclass(frozen=True, slots=True)
class Treatment:
    """How the texts of one task enter the model.

    Attributes:
        prompt: what is put before each text.
        task: what models with several routes are told; `None` leaves them to their default.
    """

    prompt: str = ""
    task: str | None = None


@dataclass(frozen=True, slots=True)
class Treatments:
    """The treatment of each role.

    Attributes:
        prompts: what is put before texts.
        tasks: what models with several routes are told of a role.
        routed: whether the model itself tells tasks apart, beyond their prompts.
    """

    prompts: Prompts
    tasks: Mapping[Role, str] = field(default_factory=dict)
    routed: bool = False

    @property
    def by_role(self) -> dict[Role, Treatment]:
        """One for every role."""
        return {role: Treatment(prompt, self.tasks.get(role)) for role, prompt in self.prompts.by_role.items()}

    @property
    def distinguished(self) -> frozenset[Role]:
        """The roles that are treated otherwise than the symmetric one."""
        if not self.routed:
            return self.prompts.distinguished
        by_role = self.by_role
        return frozenset(role for role, treatment in by_role.items() if treatment != by_role[Role.SYMMETRIC])

    def of(self, task: Task) -> Treatment:
        """How to treat the texts of a task; its instruction takes the place of the role's prompt."""
        return Treatment(self.prompts.of(task), self.tasks.get(task.role))


def treatments(settings: Mapping[str, Any], options: Mapping[str, Any], card: ModelCard, *, routed: bool) -> Treatments:
    """The treatment of each role.

    Args:
        settings: the model's `config_sentence_transformers.json`.
        options: the framework's options.
        card: what is known of the model.
        routed: whether the model tells tasks apart itself.

    Raises:
        InvalidOptionError: if a prompt is not a text, or the default one does not exist.
        ModelLoadError: if the model's own settings are malformed.
    """
    tasks = {"query": "query", "document": "document", **card.tasks}
    return Treatments(
        choose_prompts(settings, options, card), {Role(role): task for role, task in tasks.items()}, routed
    )
