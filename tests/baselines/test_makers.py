"""Which tables of vectors can be compared: those of one model, wherever it lies."""

import numpy as np
import pyarrow as pa
import pytest

from cprtools import tables
from cprtools.baselines.makers import differing_makers, maker_of
from cprtools.tables import Footer


@pytest.fixture
def vectors(tmp_path):
    """A function that writes two vectors as `embed-text` with these parameters does."""

    def write(name="v", **params):
        path = str(tmp_path / f"{name}.parquet")
        table = tables.vectors_table(pa.array(["a", "b"]), np.eye(2, dtype=np.float32))
        tables.write(table, path, Footer("embed-text", params))
        return tables.open_table(path, tables.VECTORS)

    return write


TINY = {"method": "transformer", "model": "tiny"}


@pytest.mark.parametrize(
    ("before", "after", "is_told"),
    [
        (TINY, TINY, False),
        (TINY, {**TINY, "model": "big"}, True),
        # the same model in another folder, and another one in a folder of that name
        ({**TINY, "model_digest": "1a"}, {**TINY, "model": "copy", "model_digest": "1a"}, False),
        ({**TINY, "model_digest": "1a"}, {**TINY, "model_digest": "2b"}, True),
        ({**TINY, "model_digest": "1a"}, {**TINY, "method": "static", "model_digest": "1a"}, True),
        # a table from before digests were told
        (TINY, {**TINY, "model_digest": "1a"}, False),
        ({**TINY, "model_digest": "1a"}, {**TINY, "model": "big"}, True),
        ({}, TINY, False),
    ],
)
def test_vectors_of_one_model_compare(vectors, before, after, is_told):
    known = maker_of(vectors("old", **before))
    told = list(differing_makers([vectors("new", **after)], [known]))
    assert bool(told) == is_told
    if told:
        assert told[0].startswith(f"the vectors of {vectors('new', **after).label} are of ")
        assert f"those of training of {known}: " in told[0]


def test_vectors_of_another_origin_are_of_no_known_maker(vectors, tmp_path):
    assert maker_of(vectors()) == ""
    assert maker_of(vectors(**TINY, model_digest="1a")) == "transformer 'tiny' of digest 1a"
