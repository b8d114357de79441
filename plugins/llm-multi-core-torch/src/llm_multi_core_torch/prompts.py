"""Which prompt a role means: the user's, the model's own, or the one that its card asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llm_multi_core.embedder import InvalidOptionError, ModelLoadError, Role, Task
from llm_multi_core_torch.model_cards import ModelCard

DOCUMENT_PROMPTS = ("document", "passage", "corpus")
"""Names under which models keep the prompt of documents."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """What is put before texts.

    Attributes:
        by_role: the prompt of every role.
        instruction: the prompt that an instruction is put into, at `{}`.
    """

    by_role: Mapping[Role, str]
    instruction: str = "{}"

    @property
    def distinguished(self) -> frozenset[Role]:
        """The roles with another prompt than the symmetric one."""
        plain = self.by_role[Role.SYMMETRIC]
        return frozenset(role for role, prompt in self.by_role.items() if prompt != plain)

    def of(self, task: Task) -> str:
        """The prompt of a task; its instruction takes the place of the role's prompt."""
        if task.instruction is None:
            return self.by_role[task.role]
        return self.instruction.replace("{}", task.instruction)


def choose_prompts(settings: Mapping[str, Any], options: Mapping[str, Any], card: ModelCard) -> Prompts:
    """The prompt of each role.

    Prompts that the user gives come first, then the model's own, then those of its card, which speaks
    only where the other two are silent; `prompts={}` silences it as well. The document prompt is the
    first that is not empty of `document`, `passage` and `corpus`. sentence-transformers means the same,
    but fills in an empty `document` that hides the other two (seen in 6.2).

    Args:
        settings: the model's `config_sentence_transformers.json`.
        options: the framework's options; `prompts` and `default_prompt_name` are heeded.
        card: what is known of the model.

    Raises:
        InvalidOptionError: if a prompt is not a text, or the default one does not exist.
        ModelLoadError: if the model's own settings are malformed.
    """
    given, own = named_prompts(settings, options)
    prompts = {**own, **given}
    symmetric = ""
    if options.get("prompts") is None and not any(prompts.values()):
        prompts |= {"query": card.query, "document": card.document}
        symmetric = card.symmetric
    by_role = {
        Role.QUERY: prompts.get("query", "") or _of_task("query", prompts, card),
        Role.DOCUMENT: _document_prompt(prompts, given) or _of_task("document", prompts, card),
        Role.SYMMETRIC: _default_prompt(prompts, settings, options) or symmetric,
    }
    return Prompts(by_role, card.instruction)


def named_prompts(
    settings: Mapping[str, Any], options: Mapping[str, Any]
) -> tuple[Mapping[str, str], Mapping[str, str]]:
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


def _of_task(role: str, prompts: Mapping[str, str], card: ModelCard) -> str:
    """The prompt that has the name of what the model's own code calls the role."""
    return prompts.get(card.tasks[role], "") if role in card.tasks else ""


def _document_prompt(prompts: Mapping[str, str], given: Mapping[str, str]) -> str:
    for source in (given, prompts):
        named = [source[name] for name in DOCUMENT_PROMPTS if name in source]
        if any(named) or (named and source is given):  # the user may want none
            return next((prompt for prompt in named if prompt), "")
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
