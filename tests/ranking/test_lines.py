"""The lines beside the ranker's trees: what they learn, and what becomes of them in a folder."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from scipy.special import expit

from cprtools.errors import SchemaError
from cprtools.ranking.lines import Lines, fit_lines, load_lines

NAMES = ("query_degree", "score", "noise")


def evidence(rows=40_000, seed=0):
    """Where a query has pairs its score tells much, elsewhere the other way round and little."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, 3)).astype(np.float32)
    features[:, 0] = rng.integers(0, 2, rows)
    slope = np.where(features[:, 0] > 0, 2.0, -0.5)
    is_true = rng.random(rows) < expit(slope * features[:, 1] - 2)
    return features, is_true.astype(np.float32)


def test_each_kind_of_query_has_the_line_that_made_its_pairs():
    features, counts = evidence()
    lines = fit_lines(features, counts, NAMES, degree="query_degree")
    asked = np.float32([[0, 0, 0], [0, 1, 0], [1, 0, 0], [1, 1, 0], [1, 1, 3]])
    expected = [-2, -2.5, -2, 0, 0]
    np.testing.assert_allclose(lines.predict(asked), expected, atol=0.15)


def test_a_pair_counts_as_often_as_it_was_bought():
    features, counts = evidence()
    often = np.where(features[:, 1] > 0, 5 * counts, counts)
    once, more = (
        fit_lines(features, given, NAMES, degree="query_degree").predict(
            np.float32([[1, 1, 0], [1, -1, 0]])
        )
        for given in (counts, often)
    )
    assert more[0] > once[0] + 1
    np.testing.assert_allclose(more[1] - once[1], 0, atol=0.5)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("count", [2.0**53, 2.0**62])
def test_counts_beside_which_all_others_round_to_nothing_leave_a_finite_line(count):
    features, counts = evidence()
    huge = (counts * count).astype(np.float32)
    lines = fit_lines(features, huge, NAMES, degree="query_degree")
    assert np.isfinite(lines.predict(features)).all()
    load_lines(lines.tables()["ranker_lines"], NAMES, "query_degree")


def test_a_score_that_tells_everything_gets_the_weight_that_the_penalty_leaves():
    # of each kind of query 200 pairs with the score 1, and 200 candidates with -1
    features = np.zeros((800, 3), dtype=np.float32)
    features[:400, 0] = 1
    features[:, 1] = np.tile([1, -1], 400)
    lines = fit_lines(features, np.maximum(features[:, 1], 0), NAMES, degree="query_degree")
    # where 400 log(1 + exp(-w)) + w^2 / 2 is least: w = 400 / (1 + exp(w))
    weight = lines.weight[:, 1]
    np.testing.assert_allclose(weight * (1 + np.exp(weight)), 400, rtol=0.01)


def test_drawn_negatives_stand_for_all(monkeypatch):
    features, counts = evidence()
    whole = fit_lines(features, counts, NAMES, degree="query_degree")
    monkeypatch.setattr("cprtools.ranking.lines._MOST_NEGATIVES", 3000)
    some = fit_lines(features, counts, NAMES, degree="query_degree", seed=1)
    asked = features[:100]
    assert not np.array_equal(some.weight, whole.weight)
    np.testing.assert_allclose(some.predict(asked), whole.predict(asked), atol=0.5)


def test_too_few_pairs_of_a_kind_make_no_line():
    features, counts = evidence()
    counts[(features[:, 0] == 0) & (np.cumsum(counts) > 150)] = 0
    assert fit_lines(features, counts, NAMES, degree="query_degree") is None


def test_a_row_has_the_same_bits_alone_and_its_parts_add_up():
    features, counts = evidence(5000)
    features[0, 1] = 1e6  # as far as it counts, and no further
    lines = fit_lines(features, counts, NAMES, degree="query_degree")
    together = lines.predict(features[:50])
    for row in range(50):
        assert lines.predict(features[row : row + 1])[0] == together[row]
    base, added = lines.contributions(features[:50])
    np.testing.assert_allclose(base + added.sum(axis=1), together)
    assert abs(added[0, 1]) <= 8 * np.abs(lines.weight).max()


def test_lines_come_back_from_a_folder_and_damage_is_told():
    features, counts = evidence(5000)
    lines = fit_lines(features, counts, NAMES, degree="query_degree")
    table = lines.tables()["ranker_lines"]
    again = load_lines(table, NAMES, "query_degree")
    assert isinstance(again, Lines)
    assert (again.predict(features) == lines.predict(features)).all()

    def changed(name, values):
        return table.set_column(table.column_names.index(name), name, values)

    broken = [
        table.slice(1),
        changed("feature", pa.array(["other"] * table.num_rows)),
        changed("weight", pc.multiply(table.column("weight"), float("nan"))),
        changed("deviation", pc.multiply(table.column("deviation"), 0.0)),
    ]
    for one in broken:
        with pytest.raises(SchemaError, match="ranker is damaged"):
            load_lines(one, NAMES, "query_degree")
    with pytest.raises(SchemaError, match="ranker is damaged"):
        load_lines(table, (*NAMES, "more"), "query_degree")
