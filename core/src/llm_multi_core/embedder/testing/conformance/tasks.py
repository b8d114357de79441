"""Standard tests of what a caller may ask for: roles, instructions, dimensions."""

from __future__ import annotations

from itertools import combinations

import pytest

from llm_multi_core.embedder.errors import InvalidOptionError, UnsupportedDimensionsError
from llm_multi_core.embedder.items import Role, Task
from llm_multi_core.embedder.testing.conformance.compare import assert_changed, assert_finite, assert_same
from llm_multi_core.embedder.testing.conformance.fixtures import EncoderTests
from llm_multi_core.embedder.testing.conformance.subject import BareEncoder, Subject, Way, embed_rows


class TaskTests(EncoderTests):
    """Roles, instructions, dimensions."""

    def test_declared_roles_differ(self, subject: Subject, way: Way) -> None:
        """Declared roles give vectors of their own, the same alone and in a batch."""
        declared = sorted(subject.description.roles)
        if not declared:
            pytest.skip("the encoder declares no roles")
        vectors = {role: subject.vectors(way, subject.items, Task(role)) for role in declared}
        if len(declared) == 1:  # then it differs from all others, which are one
            vectors[next(role for role in Role if role not in declared)] = subject.alone(way)
        tolerance = subject.case.tolerance
        for (a, left), (b, right) in combinations(vectors.items(), 2):
            assert_changed(left, right, tolerance, f"role {a} against role {b}")
        for role in declared:
            alone = [row for item in subject.items for row in subject.vectors(way, [item], Task(role))]
            assert_same(vectors[role], alone, tolerance, f"all samples as {role} in one call against one by one")

    def test_undeclared_roles_change_nothing(self, subject: Subject, way: Way) -> None:
        """Roles that are not declared give one and the same vector."""
        undeclared = [role for role in Role if role not in subject.description.roles]
        if len(undeclared) < 2:
            pytest.skip("at most one role is undeclared")
        expected = subject.vectors(way, subject.items, Task(undeclared[0]))
        for role in undeclared[1:]:
            found = subject.vectors(way, subject.items, Task(role))
            assert_same(found, expected, subject.case.tolerance, f"undeclared role {role} against {undeclared[0]}")

    def test_instruction_is_followed_if_declared(self, subject: Subject, way: Way) -> None:
        """An instruction changes the vectors, or is refused by the embedder if none is followed."""
        task = Task(Role.QUERY, subject.case.instruction)
        if not subject.description.instructions:
            if way == "bare":
                pytest.skip("the encoder follows no instruction")
            with pytest.raises(InvalidOptionError):
                subject.vectors(way, subject.items, task)
            return
        before = subject.vectors(way, subject.items, Task(Role.QUERY))
        found = subject.vectors(way, subject.items, task)
        assert_changed(found, before, subject.case.tolerance, "an instruction")
        alone = [row for item in subject.items for row in subject.vectors(way, [item], task)]
        assert_same(found, alone, subject.case.tolerance, "all samples with an instruction against one by one")

    def test_dimensions_are_honest(self, subject: Subject) -> None:
        """`dimensions=` gives that many, or is refused; a sliceable encoder's are its first ones."""
        description = subject.description
        wanted = subject.case.dimensions or max(1, description.space.dimension // 2)
        with subject.new_embedder(dimensions=wanted) as embedder:
            try:
                dimension = embedder.dimension
            except UnsupportedDimensionsError:
                assert not description.sliceable, "a sliceable encoder refuses dimensions"
                return
            rows = embed_rows(embedder, subject.items)
            assert dimension == embedder.space.dimension == wanted
            rows.check(len(subject.items), wanted, description.space.output)
            found = subject.spread(rows)
            assert_finite(found, f"dimensions={wanted}")
            assert embedder.space.fingerprint != description.space.fingerprint, "the space is that of all dimensions"
        if description.sliceable:
            expected = subject.bare.encode(subject.items).cut(wanted).normalize()
            claim = f"dimensions={wanted} against the first {wanted} of all"
            assert_same(found, subject.spread(expected), subject.case.tolerance, claim)

    def test_encoder_gives_the_dimensions_it_describes(self, subject: Subject) -> None:
        """An encoder that is asked for dimensions returns as many as it then describes."""
        wanted = subject.case.dimensions or max(1, subject.description.space.dimension // 2)
        bare = BareEncoder(subject, dimensions=wanted)
        try:
            described = bare.encoder.describe()
            assert described.native_dimension == subject.description.native_dimension
            rows = bare.encode(subject.items)
            rows.check(len(subject.items), described.space.dimension, described.space.output)
        except UnsupportedDimensionsError:
            return
        finally:
            bare.close()
