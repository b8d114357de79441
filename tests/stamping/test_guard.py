"""An index is refused to an embedder that did not fill it, whatever kind of index it is."""

from __future__ import annotations

import warnings

import pytest

from llm_multi_core.embedder import IncompatibleSpacesError, InvalidOptionError, Modality, Stamp
from llm_multi_core.embedder.stamping import StampPlace, UnstampedIndexWarning, check_index, stamp_index


class Memory(StampPlace):
    def __init__(self, text=None, dimension=None):
        self.name = "index 'memory'"
        self.text = text
        self.held = dimension

    def read(self):
        return self.text

    def write(self, text):
        self.text = text

    def dimension(self):
        return self.held


class Forgetful(Memory):
    def write(self, text):
        pass


def test_it_opens_with_the_model_that_filled_it(index, texts):
    stamp_index(index.open(), texts())
    assert check_index(index.open(), texts()) == pytest.approx(1.0)


def test_a_swapped_model_of_the_same_dimension_is_refused(index, texts):
    stamp_index(index.open(), texts("fake-small"))
    with pytest.raises(IncompatibleSpacesError, match="cannot be used with named/fake-large"):
        check_index(index.open(), texts("fake-large"))


def test_a_changed_prompt_is_refused(index, texts):
    stamp_index(index.open(), texts(roles=False))
    with pytest.raises(IncompatibleSpacesError, match="the probes for text agree only"):
        check_index(index.open(), texts(roles=True))


def test_it_opens_for_all_modalities_or_one(index, mixed, texts):
    stamp_index(index.open(), mixed())
    assert check_index(index.open(), mixed()) == pytest.approx(1.0)
    assert check_index(index.open(), texts()) == pytest.approx(1.0)


def test_an_alignment_that_was_fitted_anew_is_refused(index, mixed):
    stamp_index(index.open(), mixed(seed=0))
    with pytest.raises(IncompatibleSpacesError, match="the probes for image agree only"):
        check_index(index.open(), mixed(seed=1))


def test_an_index_without_a_stamp_warns_where_it_is_opened(texts):
    with pytest.warns(UnstampedIndexWarning, match="index 'memory' holds no stamp") as caught:
        assert check_index(Memory(), texts()) is None
    assert caught[0].filename == __file__


def test_it_can_be_stamped_afterwards(texts):
    place = Memory(dimension=8)
    stamp_index(place, texts())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_index(place, texts()) == pytest.approx(1.0)


@pytest.mark.parametrize("stamped", [False, True])
def test_another_dimension_is_named(texts, stamped):
    place = Memory(dimension=8)
    if stamped:
        stamp_index(place, texts())
    for act in (check_index, stamp_index):
        with pytest.raises(IncompatibleSpacesError, match=r"holds vectors of 8 dimensions, and .* makes 5"):
            act(place, texts(dimension=5))


def test_another_dimension_is_named_where_the_index_does_not_say_its_own(texts):
    place = Memory()
    stamp_index(place, texts())
    with pytest.raises(IncompatibleSpacesError, match=r"holds vectors of 8 dimensions, made by .* makes 5"):
        check_index(place, texts(dimension=5))


def test_stamping_twice_changes_nothing(texts):
    place = Memory()
    first = stamp_index(place, texts()).to_json()
    assert stamp_index(place, texts()).to_json() == place.text == first


def test_stamping_over_another_model_is_refused_unless_it_is_meant(texts):
    place = Memory()
    stamp_index(place, texts("fake-small"))
    with pytest.raises(IncompatibleSpacesError):
        stamp_index(place, texts("fake-large"))
    stamp_index(place, texts("fake-large"), overwrite=True)
    assert check_index(place, texts("fake-large")) == pytest.approx(1.0)


def test_a_stamp_learns_of_modalities_that_are_added_later(texts, mixed):
    place = Memory()
    stamp_index(place, texts())
    assert set(Stamp.from_json(place.text).canaries) == {Modality.TEXT}
    stamp_index(place, mixed(seed=0))
    assert set(Stamp.from_json(place.text).canaries) == {Modality.TEXT, Modality.IMAGE, Modality.AUDIO}
    with pytest.raises(IncompatibleSpacesError):
        check_index(place, mixed(seed=1))
    stamp_index(place, texts())  # which knows less, and takes nothing away
    assert set(Stamp.from_json(place.text).canaries) == {Modality.TEXT, Modality.IMAGE, Modality.AUDIO}


def test_an_index_that_keeps_nothing_is_told_of(texts):
    with pytest.raises(InvalidOptionError, match="did not keep its stamp"):
        stamp_index(Forgetful(), texts())


@pytest.mark.parametrize("text", ["", "{}", "no json", '{"version": 1}'])
def test_a_stamp_that_was_damaged_is_refused(texts, text):
    with pytest.raises(IncompatibleSpacesError, match="cannot be read"):
        check_index(Memory(text), texts())
