"""The shipped data sets: the published values, split fairly, the same everywhere."""

import dataclasses

import numpy as np
import pytest
import sklearn.datasets
from hypothesis import given
from hypothesis import strategies as st

from imcsim.datasets import SHIPPED, load, stratified_split
from imcsim.errors import SpecError
from imcsim.rng import child

PUBLISHED = {"iris": sklearn.datasets.load_iris, "digits": sklearn.datasets.load_digits}


def sorted_rows(x, labels):
    table = np.column_stack([x, labels])
    return table[np.lexsort(table.T)]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=200), st.integers(0, 2**32))
def test_a_split_is_disjoint_and_complete_and_takes_a_fifth_of_every_class(labels, seed):
    labels = np.array(labels)
    train, test = stratified_split(labels, child(seed))
    np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(len(labels)))
    assert len(test) == round(0.2 * len(labels))
    fifths = np.bincount(labels, minlength=5) / 5
    assert np.all(np.abs(np.bincount(labels[test], minlength=5) - fifths) < 1)


def test_a_split_is_shuffled_so_that_its_first_samples_are_of_every_class():
    train, test = stratified_split(np.repeat([0, 1, 2], 50), child(0))
    assert not np.array_equal(train, np.sort(train))
    assert not np.array_equal(test, np.sort(test))


def test_another_stream_splits_otherwise():
    labels = np.repeat([0, 1], 50)
    assert not np.array_equal(stratified_split(labels, child(0))[1], stratified_split(labels, child(1))[1])


def test_digits_are_the_published_ones_in_units_of_the_full_scale_pixel():
    data, published = load("digits"), PUBLISHED["digits"]()
    ours = sorted_rows(np.concatenate([data.x_train, data.x_test]) * 16, np.concatenate([data.y_train, data.y_test]))
    np.testing.assert_array_equal(ours, sorted_rows(published.data, published.target))


def test_iris_is_the_published_one_scaled_by_the_range_of_the_training_part():
    data, published = load("iris"), PUBLISHED["iris"]()
    train, test = stratified_split(published.target, child(0, "split", "iris"))
    low, high = published.data[train].min(axis=0), published.data[train].max(axis=0)
    np.testing.assert_allclose(data.x_train, (published.data[train] - low) / (high - low), rtol=1e-15)
    np.testing.assert_allclose(data.x_test, np.clip((published.data[test] - low) / (high - low), 0, 1), rtol=1e-15)
    np.testing.assert_array_equal(data.y_train, published.target[train])
    np.testing.assert_array_equal(data.y_test, published.target[test])


@pytest.mark.parametrize("name", SHIPPED)
def test_features_are_floats_within_0_and_1_and_labels_count_the_classes(name):
    data = load(name)
    for x, labels in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        assert x.dtype == np.float64
        assert labels.dtype == np.int64
        assert x.min() >= 0.0
        assert x.max() <= 1.0
        assert set(labels) == set(range(data.classes))
    assert data.classes == len(PUBLISHED[name]().target_names)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_loaded_data_set_cannot_be_changed(name):
    data = load(name)
    assert load(name) is data
    with pytest.raises(ValueError, match="read-only"):
        data.x_train[0, 0] = 0.5


def rows(*parts):
    return sorted_rows(np.concatenate([x for x, _ in parts]), np.concatenate([labels for _, labels in parts]))


@pytest.mark.parametrize("name", SHIPPED)
def test_for_tuning_the_training_part_is_split_again_and_no_test_sample_is_in_it(name):
    data = load(name)
    tuning = data.for_tuning
    np.testing.assert_array_equal(
        rows((tuning.x_train, tuning.y_train), (tuning.x_test, tuning.y_test)), rows((data.x_train, data.y_train))
    )
    assert len(tuning.y_test) == round(len(data.y_train) / 5)
    fifths = np.bincount(data.y_train) / 5
    assert np.all(np.abs(np.bincount(tuning.y_test) - fifths) < 1)
    assert (tuning.name, tuning.classes) == (name, data.classes)


def test_the_split_for_tuning_depends_on_the_training_part_alone_and_stays():
    data = load("iris")
    assert data.for_tuning is data.for_tuning
    with pytest.raises(ValueError, match="read-only"):
        data.for_tuning.x_test[0, 0] = 0.5
    other_test = dataclasses.replace(data, x_test=data.x_test / 2)
    assert other_test.sha256 != data.sha256
    assert other_test.for_tuning.sha256 == data.for_tuning.sha256
    other_training = dataclasses.replace(data, x_train=data.x_train / 2)
    assert other_training.for_tuning.sha256 != data.for_tuning.sha256


# kept beside every study's results: another digest here means that finished points no longer belong to these data
SHA256 = {
    "iris": "e995faa004c0a24190deaf4122477a3245df1e97ea47239d1b974753210d20f2",
    "digits": "bd08ccdfbf40cbf6ac0b05a0b575235502e35ff8895e3437ea14fe4f57938194",
}


@pytest.mark.parametrize("name", SHIPPED)
def test_the_hash_is_the_one_that_earlier_results_carry(name):
    assert load(name).sha256 == SHA256[name]


def test_the_hash_changes_with_any_value_and_with_the_shape_but_not_with_the_layout():
    data = load("iris")
    other_value = data.x_test.copy()
    other_value[3, 2] = np.nextafter(other_value[3, 2], 0.5)
    changed = [
        dataclasses.replace(data, x_test=other_value),
        dataclasses.replace(data, y_train=data.y_train[::-1].copy()),
        dataclasses.replace(data, x_train=data.x_train.reshape(-1, 2)),
    ]
    assert len({data.sha256, *(other.sha256 for other in changed)}) == 4
    assert dataclasses.replace(data, x_train=np.asfortranarray(data.x_train)).sha256 == data.sha256


def test_a_misspelt_name_is_told_the_right_one():
    with pytest.raises(
        SpecError,
        match=r'name = "digit": must be one of "iris", "digits", "mnist", "fashion_mnist"; did you mean "digits"\?',
    ):
        load("digit")
