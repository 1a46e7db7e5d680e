"""The store of vectors: what was added is found again, and damage is passed over or told."""

import numpy as np
import pytest

from cprtools.errors import DataError
from cprtools.tables import VectorStore, text_digests


def units(*angles):
    return np.array([[np.cos(a), np.sin(a)] for a in angles], dtype=np.float32)


def test_vectors_are_found_by_their_text_in_any_order_also_when_opened_again(tmp_path):
    store = VectorStore(tmp_path / "new" / "store", "m")
    store.append(text_digests(["a", "b"]), units(0, 1))
    store.append(text_digests(["c"]), units(2))
    again = VectorStore(tmp_path / "new" / "store", "m")

    rows = again.rows(text_digests(["c", "x", "a", "c", "b"]))

    assert (rows >= 0).tolist() == [True, False, True, True, True]
    assert (again.vectors(rows[rows >= 0]) == units(2, 0, 2, 1)).all()
    assert again.dim == store.dim == 2


def test_one_models_vectors_are_not_anothers(tmp_path):
    VectorStore(tmp_path, "m").append(text_digests(["a"]), units(0))

    assert VectorStore(tmp_path, "other").rows(text_digests(["a"])).tolist() == [-1]


@pytest.mark.parametrize("keep", [0, 5, 100, 150, -1])
def test_a_file_cut_short_is_passed_over_and_counted(tmp_path, keep):
    store = VectorStore(tmp_path, "m")
    store.append(text_digests(["a", "b"]), units(0, 1))
    store.append(text_digests(["c"]), units(2))
    cut = sorted(tmp_path.iterdir())[0]
    cut.write_bytes(cut.read_bytes()[:keep])

    again = VectorStore(tmp_path, "m")

    assert again.damaged == 1
    assert (again.rows(text_digests(["a", "b", "c"])) >= 0).sum() in (1, 2)


def test_a_file_of_vectors_of_another_length_is_passed_over_and_counted(tmp_path):
    # the names of the files are digests: which comes first does not matter here
    VectorStore(tmp_path, "m").append(text_digests(["a"]), units(0))
    VectorStore(tmp_path / "3", "m").append(text_digests(["b"]), np.eye(1, 3, dtype=np.float32))
    (other,) = (tmp_path / "3").iterdir()
    other.rename(tmp_path / other.name)

    again = VectorStore(tmp_path, "m")

    assert again.damaged == 1
    assert (again.rows(text_digests(["a", "b"])) >= 0).sum() == 1


def test_numbers_that_are_no_unit_vectors_are_an_error(tmp_path):
    for name, value in (("nan", np.nan), ("long", 1)):
        store = VectorStore(tmp_path / name, "m")
        store.append(text_digests(["a"]), np.full((1, 2), value, np.float32))
        with pytest.raises(DataError, match="holds damaged vectors; remove the folder"):
            store.vectors(np.array([0]))


def test_a_file_that_goes_while_in_use_is_an_error(tmp_path):
    store = VectorStore(tmp_path, "m")
    store.append(text_digests(["a"]), units(0))
    next(tmp_path.iterdir()).unlink()

    with pytest.raises(DataError, match="changed while in use"):
        store.vectors(np.array([0]))


def test_a_place_that_is_no_folder_is_an_error(tmp_path):
    (tmp_path / "file").write_text("x")

    with pytest.raises(DataError, match="file: file exists"):
        VectorStore(tmp_path / "file", "m")
