"""Which prompt and which route a role means, as `encode_query` and `encode_document` decide it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from llm_multi_core.embedder import InvalidOptionError, ModelLoadError, Role, Task
from llm_multi_core_sentence_transformers.catalogue import ModelFacts

DOCUMENT_PROMPTS = ("document", "passage", "corpus")
"""Names under which models keep the prompt of documents."""


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
        by_role: one for every role.
        routed: whether the model itself tells tasks apart, beyond their prompts.
        instruction: the prompt that an instruction is put into, at `{}`.
    """

    by_role: Mapping[Role, Treatment]
    routed: bool = False
    instruction: str = "{}"

    @property
    def distinguished(self) -> frozenset[Role]:
        """The roles that are treated otherwise than the symmetric one."""
        plain = self._effective(Role.SYMMETRIC)
        return frozenset(role for role in self.by_role if self._effective(role) != plain)

    def of(self, task: Task) -> Treatment:
        """How to treat the texts of a task; its instruction takes the place of the role's prompt."""
        treatment = self.by_role[task.role]
        if task.instruction is None:
            return treatment
        return replace(treatment, prompt=self.instruction.replace("{}", task.instruction))

    def _effective(self, role: Role) -> Treatment:
        treatment = self.by_role[role]
        return treatment if self.routed else replace(treatment, task=None)


def treatments(
    settings: Mapping[str, Any], options: Mapping[str, Any], facts: ModelFacts, *, routed: bool
) -> Treatments:
    """The treatment of each role.

    Prompts that the user gives come first, then the model's own, then those of its card. The document
    prompt is the first that is not empty of `document`, `passage` and `corpus`. sentence-transformers
    means the same, but fills in an empty `document` that hides the other two (seen in 6.2).

    Args:
        settings: the model's `config_sentence_transformers.json`.
        options: the framework's options.
        facts: what the catalogue knows.
        routed: whether the model tells tasks apart itself.

    Raises:
        InvalidOptionError: if a prompt is not a text, or the default one does not exist.
        ModelLoadError: if the model's own settings are malformed.
    """
    given, own = prompts_of(settings, options)
    prompts = {**own, **given}
    # A model that has prompts of its own, or whose user has some, says all there is to say.
    silent = not any(prompts.values()) and not given
    query = prompts.get("query", "") or _of_task("query", prompts, facts) or (facts.query if silent else "")
    document = (
        _document_prompt(prompts, given) or _of_task("document", prompts, facts) or (facts.document if silent else "")
    )
    symmetric = _default_prompt(prompts, settings, options) or (facts.symmetric if silent else "")
    return Treatments(
        {
            Role.QUERY: Treatment(query, facts.tasks.get("query", "query")),
            Role.DOCUMENT: Treatment(document, facts.tasks.get("document", "document")),
            Role.SYMMETRIC: Treatment(symmetric, facts.tasks.get("symmetric")),
        },
        routed,
        facts.instruction,
    )


def prompts_of(settings: Mapping[str, Any], options: Mapping[str, Any]) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """The prompts that the user gives, and the model's own, by name.

    Raises:
        InvalidOptionError: if one of the user's is not a text.
        ModelLoadError: if the model's own are malformed.
    """
    given: Mapping[str, str] = options.get("prompts") or {}
    for name, prompt in given.items():
        if not isinstance(name, str) or not isinstance(prompt, str):
            raise InvalidOptionError(f"prompts maps names to texts; prompts[{name!r}] is a {type(prompt).__name__}")
    own = settings.get("prompts") or {}
    if not isinstance(own, Mapping):
        raise ModelLoadError("the prompts in config_sentence_transformers.json are not an object")
    return given, {name: prompt or "" for name, prompt in own.items()}


def _of_task(role: str, prompts: Mapping[str, str], facts: ModelFacts) -> str:
    """The prompt that has the name of what the model's own code calls the role."""
    return prompts.get(facts.tasks[role], "") if role in facts.tasks else ""


def _document_prompt(prompts: Mapping[str, str], given: Mapping[str, str]) -> str:
    for source in (given, prompts):
        names = [name for name in DOCUMENT_PROMPTS if name in source]
        if chosen := next((source[name] for name in names if source[name]), ""):
            return chosen
        if source is given and names:  # the user wants none
            return ""
    return ""


def _default_prompt(prompts: Mapping[str, str], settings: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    chosen = options.get("default_prompt_name")
    name = chosen or settings.get("default_prompt_name")
    if name is None:
        return ""
    if name not in prompts and name not in {"query", "document"}:
        available = ", ".join(sorted(prompts)) or "none"
        fault = f"the model has no prompt named {name!r} (its prompts: {available})"
        raise InvalidOptionError(f"default_prompt_name: {fault}") if chosen else ModelLoadError(fault)
    return prompts.get(name, "")
