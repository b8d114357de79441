"""The kit fails on encoders that break a promise, and by the tests that name the promise."""

from __future__ import annotations

from pathlib import Path

import pytest

EXACTLY = {
    "Right": set(),
    "Constant": {
        "test_different_inputs_have_different_vectors",
        "test_text_that_looks_like_a_path_or_url_stays_text",
    },
    "CrashesOnEmpty": {"test_empty_text", "test_any_text_is_embedded_or_refused"},
    "RoleIgnored": {"test_declared_roles_differ"},
    "UndeclaredRoleUsed": {"test_undeclared_roles_change_nothing"},
    "InstructionIgnored": {"test_instruction_is_followed_if_declared"},
    "DimensionsIgnored": {"test_dimensions_are_honest", "test_encoder_gives_the_dimensions_it_describes"},
    "SplitLosesWords": {"test_split_loses_nothing"},
    "SplitTooLong": {
        "test_split_loses_nothing",
        "test_overlong_input_is_cut",
        "test_overlong_input_is_averaged",
    },
    "MeasuresTheBatch": {
        "test_measure_counts_each_item",
        "test_any_text_is_embedded_or_refused",
        "test_overlong_input_is_cut",
        "test_overlong_input_is_refused",
    },
    "MeasuresOne": {
        "test_longer_text_measures_more",
        "test_split_loses_nothing",
        "test_overlong_input_is_cut",
        "test_overlong_input_is_refused",
        "test_overlong_input_is_averaged",
    },
    "ClaimsToTruncate": {"test_overlong_input_is_cut"},
    "OpensFilesWhenMade": {"test_construction_does_no_io"},
    "UnstableIdentity": {"test_describes_itself_before_it_is_loaded", "test_encoder_id_is_stable"},
    "OptionIsForgotten": {"test_encoder_id_tells_settings_apart"},
    "ShowsItsKey": {"test_keys_stay_secret"},
    "ReadsPaths": {"test_text_that_looks_like_a_path_or_url_stays_text"},
    "BoundToOneThread": {"test_threads_agree_with_serial", "test_async_agrees_with_sync"},
    "LosesRows": {
        "test_one_row_per_item",
        "test_batch_equals_single",
        "test_order_of_inputs_is_kept",
        "test_neighbours_do_not_matter",
        "test_duplicates_have_equal_vectors",
        "test_second_instance_agrees",
        "test_embedder_agrees_with_encoder",
        "test_encoder_gives_the_dimensions_it_describes",
    },
    "OverridesInSilence": {"test_no_standard_test_is_overridden"},
    "OverridesWithoutReason": {"test_no_standard_test_is_overridden"},
    "RemovesInSilence": {"test_no_standard_test_is_overridden"},
    "ExpectsFailureWithReason": set(),
}

MIXED_UP = {"test_batch_equals_single", "test_order_of_inputs_is_kept", "test_neighbours_do_not_matter"}
AT_LEAST = {
    "ReversedOrder": MIXED_UP | {"test_embedder_agrees_with_encoder"},
    "BatchNorm": MIXED_UP,
    "SeesPadding": MIXED_UP,
    "Noisy": MIXED_UP | {"test_same_input_has_same_vector"},
    "NotFinite": {"test_vectors_are_finite"},
    "DiffersByInstance": {"test_second_instance_agrees", "test_embedder_agrees_with_encoder"},
    "OtherDimension": {"test_description_holds", "test_encoder_gives_the_dimensions_it_describes"},
    "LiesAboutOutput": {"test_description_holds"},
    "DescribesOnlyWhenLoaded": {"test_description_holds"},
    "MeasuresTooFew": {"test_measure_counts_each_item"},
    "NoCase": {"test_one_row_per_item"},
}
"""Encoders whose vectors are wrong as such fail by most tests that look at vectors."""

UNCONCERNED = {
    "test_no_standard_test_is_overridden",
    "test_construction_does_no_io",
    "test_describes_itself_before_it_is_loaded",
    "test_embedder_agrees_with_description",
    "test_encoder_id_is_stable",
    "test_bad_input_is_refused_with_its_index",
    "test_no_inputs",
}
"""Tests that do not look at vectors."""


@pytest.fixture(scope="module")
def failed(run_kit):
    return run_kit(Path(__file__).with_name("wrong_encoders.py"))


@pytest.mark.parametrize("name", EXACTLY)
def test_only_the_broken_promise_fails(failed, name):
    assert failed[f"Test{name}"] == EXACTLY[name]


@pytest.mark.parametrize("name", AT_LEAST)
def test_wrong_vectors_fail_by_the_tests_of_vectors(failed, name):
    assert failed[f"Test{name}"] >= AT_LEAST[name]
    if name != "NoCase":
        assert not failed[f"Test{name}"] & UNCONCERNED


def test_every_wrong_encoder_is_accounted_for(failed):
    assert set(failed) == {f"Test{name}" for name in EXACTLY | AT_LEAST}
