"""Which prompt a role means: the user's, the model's own, or the one that its card asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llm_multi_core.embedder import InvalidOptionError, ModelLoadError, Role, Task

_DOCUMENT_NAMES = ("document", "passage", "corpus")


@dataclass(frozen=True, slots=True)
class CardPrompts:
    """Prompts that a model's card asks for, and its configuration may not name."""

    query: str = ""
    document: str = ""
    symmetric: str = ""


_E5 = CardPrompts("query: ", "passage: ", "query: ")
"""https://huggingface.co/intfloat/e5-base-v2: symmetric tasks use `query: ` on both sides."""
SEARCH = CardPrompts("search_query: ", "search_document: ", "search_document: ")
"""https://huggingface.co/nomic-ai/modernbert-embed-base: one of the two prefixes is required."""

_CARDS = {
    **{f"intfloat/e5-{size}{version}": _E5 for size in ("small", "base", "large") for version in ("", "-v2")},
    **{f"intfloat/multilingual-e5-{size}": _E5 for size in ("small", "base", "large")},
    "nomic-ai/modernbert-embed-base": SEARCH,
    "lightonai/modernbert-embed-large": SEARCH,
}


def card_prompts(name: str) -> CardPrompts:
    """The prompts of the card of the model of this name; empty ones if nothing is known."""
    return _CARDS.get(name.lower(), CardPrompts())


@dataclass(frozen=True, slots=True)
class Prompts:
    """The prompt of each role."""

    by_role: Mapping[Role, str]

    @property
    def distinguished(self) -> frozenset[Role]:
        """The roles with another prompt than the symmetric one."""
        plain = self.by_role[Role.SYMMETRIC]
        return frozenset(role for role, prompt in self.by_role.items() if prompt != plain)

    def of(self, task: Task) -> str:
        """The prompt of a task; an instruction takes the place of the role's."""
        return self.by_role[task.role] if task.instruction is None else task.instruction


def choose_prompts(settings: Mapping[str, Any], options: Mapping[str, Any], card: CardPrompts) -> Prompts:
    """The prompt of each role; the user's first, then the model's own, then the card's.

    Args:
        settings: the model's `config_sentence_transformers.json`, or nothing.
        options: the framework's options.
        card: what to use where neither the user nor the model has any prompt.

    Raises:
        InvalidOptionError: if a prompt is not a text, or the default one does not exist.
        ModelLoadError: if the model's own settings are malformed.
    """
    given = options["prompts"]
    for name, prompt in (given or {}).items():
        if not isinstance(name, str) or not isinstance(prompt, str):
            raise InvalidOptionError(f"prompts maps names to texts; prompts[{name!r}] is a {type(prompt).__name__}")
    own = settings.get("prompts") or {}
    if not isinstance(own, Mapping):
        raise ModelLoadError("the prompts in config_sentence_transformers.json are not an object")
    prompts = {name: prompt or "" for name, prompt in own.items()} | (given or {})
    if not any(prompts.values()) and given is None:
        prompts |= {"query": card.query, "document": card.document}
        symmetric = _symmetric(prompts, settings, options) or card.symmetric
        return Prompts({Role.QUERY: card.query, Role.DOCUMENT: card.document, Role.SYMMETRIC: symmetric})
    return Prompts(
        {
            Role.QUERY: prompts.get("query", ""),
            Role.DOCUMENT: _document(given or {}, prompts),
            Role.SYMMETRIC: _symmetric(prompts, settings, options),
        }
    )


def _document(given: Mapping[str, str], prompts: Mapping[str, str]) -> str:
    for source in (given, prompts):
        named = [source[name] for name in _DOCUMENT_NAMES if name in source]
        if any(named) or (named and source is given):
            return next((prompt for prompt in named if prompt), "")
    return ""


def _symmetric(prompts: Mapping[str, str], settings: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    chosen = options["default_prompt_name"]
    name = chosen or settings.get("default_prompt_name")
    if name is None:
        return ""
    if name not in prompts and name not in {"query", "document"}:
        available = ", ".join(sorted(prompts)) or "none"
        fault = f"the model has no prompt named {name!r} (its prompts: {available})"
        raise InvalidOptionError(f"default_prompt_name: {fault}") if chosen else ModelLoadError(fault)
    return prompts.get(name, "")
