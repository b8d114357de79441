"""What all kits share: a standard test cannot be overridden or removed in silence."""

from __future__ import annotations

from typing import Any

KIT = __name__.rpartition(".")[0]
_GUARD = "test_no_standard_test_is_overridden"


class StandardTests:
    """Base of the kits.

    As in langchain-tests, a subclass may expect a standard test to fail, with
    `@pytest.mark.xfail(reason=...)` and the reason; it may not replace or remove one.
    """

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if _GUARD in vars(cls) and not _is_of_the_kit(cls):
            raise TypeError(f"{cls.__name__} overrides {_GUARD}")

    def test_no_standard_test_is_overridden(self) -> None:
        """Every standard test is the kit's own, or is expected to fail with a reason."""
        standard = {
            name: attribute
            for base in type(self).__mro__
            if _is_of_the_kit(base)
            for name, attribute in vars(base).items()
            if name.startswith("test_")
        }
        current = {name: getattr(type(self), name, None) for name in standard}
        replaced = sorted(
            name
            for name, attribute in current.items()
            if attribute is not standard[name] and not _is_excused(attribute)
        )
        assert not replaced, (
            f"{type(self).__name__} overrides standard tests without @pytest.mark.xfail(reason=...): "
            f"{', '.join(replaced)}"
        )


def _is_of_the_kit(cls: type) -> bool:
    return cls.__module__ == KIT or cls.__module__.startswith(f"{KIT}.")


def _is_excused(test: Any) -> bool:
    return any(mark.name == "xfail" and mark.kwargs.get("reason") for mark in getattr(test, "pytestmark", ()))
