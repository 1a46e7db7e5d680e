"""The ranker's trees: what numpy computes is what LightGBM learnt."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cprtools.errors import SchemaError
from cprtools.ranking import fit_trees, load_trees
from cprtools.ranking.trees import Trees

NAMES = ("signal", "noise", "other")


def planted(rows=4000, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, 3)).astype(np.float32)
    labels = (features[:, 0] + 0.5 * features[:, 2] > rng.normal(size=rows)).astype(np.float32)
    return features, labels


def fit(**options):
    features, labels = planted()
    return fit_trees(features, labels, NAMES, num_trees=20, **options)


def stored(table: pa.Table) -> pa.Table:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return pq.read_table(buffer)


def test_numpy_gives_what_lightgbm_gives(monkeypatch):
    import lightgbm

    kept = []
    train = lightgbm.train
    monkeypatch.setattr(lightgbm, "train", lambda *a, **k: kept.append(train(*a, **k)) or kept[-1])
    trees = fit()
    features, _ = planted(seed=1)
    expected = kept[0].predict(features, raw_score=True)
    np.testing.assert_allclose(trees.predict(features), expected, atol=1e-9)


def test_trees_learn_the_planted_signal_and_not_the_noise():
    trees = fit()
    features, labels = planted(seed=2)
    scores = trees.predict(features)
    positives, negatives = scores[labels > 0], scores[labels == 0]
    wins = (positives[:, None] > negatives[None, :]).mean()
    assert wins > 0.75
    assert trees.importance()["signal"] > trees.importance()["noise"]


def test_a_monotone_feature_never_lowers_the_score():
    trees = fit(monotone=np.array([1, 0, 0]))
    features = np.zeros((50, 3), dtype=np.float32)
    features[:, 0] = np.linspace(-3, 3, 50)
    assert (np.diff(trees.predict(features)) >= 0).all()


def test_stored_trees_predict_the_same():
    trees = fit()
    members = {name: stored(table) for name, table in trees.tables().items()}
    again = load_trees(members["ranker"], members["ranker_features"])
    features, _ = planted(seed=3)
    np.testing.assert_array_equal(again.predict(features), trees.predict(features))
    assert again.names == NAMES


def test_same_seed_gives_the_same_trees_and_another_seed_others():
    features, _ = planted(seed=4)
    np.testing.assert_array_equal(fit(seed=1).predict(features), fit(seed=1).predict(features))
    assert (fit(seed=1).predict(features) != fit(seed=2).predict(features)).any()


def by_hand():
    """x <= 1.5 ? 10 : (y <= 0 ? 20 : 30)."""
    return Trees(
        names=("x", "y"),
        roots=np.array([0]),
        feature=np.array([0, 0, 1, 0, 0]),
        threshold=np.array([1.5, 0, 0, 0, 0.0]),
        left=np.array([1, 1, 3, 3, 4]),
        right=np.array([2, 1, 4, 3, 4]),
        value=np.array([0, 10, 0, 20, 30.0]),
        mean=np.array([18, 10, 26, 20, 30.0]),
    )


def test_a_hand_made_tree_is_walked_by_hand():
    rows = np.array([[1.5, 9], [2, 0], [2, 1]], dtype=np.float32)
    assert by_hand().predict(rows).tolist() == [10, 20, 30]


def test_rows_get_the_leaf_that_a_walk_from_the_root_ends_in():
    trees = fit()
    features, _ = planted(seed=5)
    # values at a threshold go to the left
    features[:50] = trees.threshold[:50, None]

    def walk(row, node):
        while trees.left[node] != node:
            is_left = row[trees.feature[node]] <= trees.threshold[node]
            node = (trees.left if is_left else trees.right)[node]
        return trees.value[node]

    expected = [sum(walk(row, root) for root in trees.roots) for row in features[:300]]
    np.testing.assert_allclose(trees.predict(features[:300]), expected, rtol=1e-12)


def test_many_rows_get_what_few_rows_get_next_to_every_threshold():
    trees = fit()
    # what no float32 holds, and what is beyond all of them
    trees.threshold[trees.roots[:4]] = [1e300, -1e300, 1e-300, -1e-300]
    at = trees.threshold[trees.left != np.arange(len(trees.left))].clip(-1e38, 1e38)
    at = at.astype(np.float32)
    values = [np.nextafter(at, np.float32(side)) for side in (-np.inf, np.inf)]
    values = np.concatenate([at, *values, np.float32([-np.inf, 0, np.inf])])
    features = np.random.default_rng(0).choice(values, (5000, 3))
    few = [trees.predict(features[start : start + 100]) for start in range(0, 5000, 100)]
    np.testing.assert_array_equal(trees.predict(features), np.concatenate(few))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("feature", 99),
        ("left", -1),
        ("right", 10**6),
        ("left", 0),
        # a node with two parents
        ("left", 9),
        ("value", float("nan")),
        ("mean", float("inf")),
    ],
)
def test_damaged_trees_are_refused(column, value):
    members = fit().tables()
    nodes = members["ranker"]
    values = nodes.column(column).to_pylist()
    values[5] = value
    place = nodes.column_names.index(column)
    broken = nodes.set_column(place, column, pa.array(values, nodes.schema.field(column).type))
    with pytest.raises(SchemaError, match="ranker is damaged"):
        load_trees(broken, members["ranker_features"])


def counted(rows=6000, seed=0):
    """Counts that follow a first guess, which is three times too high where `other` is positive."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, 3)).astype(np.float32)
    rate = np.exp(features[:, 0]) * np.where(features[:, 2] > 0, 1 / 3, 1)
    return features, rng.poisson(rate).astype(np.float32), rate


def test_trees_that_start_from_a_guess_of_the_count_correct_it_and_keep_it_elsewhere():
    features, counts, _ = counted()
    trees = fit_trees(features, counts, NAMES, num_trees=80, start={"signal": 1.0}, of_counts=True)
    features, _, rate = counted(seed=1)

    error = trees.predict(features) - np.log(rate)
    error -= error.mean()

    # the guess alone is off by half of log 3 on average
    guess = features[:, 0] - np.log(rate)
    assert np.abs(error).mean() < np.abs(guess - guess.mean()).mean() / 3
    # beyond all that was seen the guess goes on, where trees alone would stay as they are
    far = np.array([[8, 0, -1], [9, 0, -1]], dtype=np.float32)
    assert np.diff(trees.predict(far))[0] == pytest.approx(1.0)


def test_a_guess_near_zero_is_raised_to_the_count_and_not_beyond():
    random = np.random.default_rng(0)
    features = random.random((6000, 2)).astype(np.float32)
    is_new = features[:, 0] < 0.01
    guess = np.where(is_new, np.log(0.001), np.log(5))
    counts = np.where(is_new, 60.0, random.poisson(5, 6000)).astype(np.float32)
    columns = np.column_stack([guess, features[:, 0]]).astype(np.float32)
    trees = fit_trees(
        columns, counts, ("guess", "kind"), num_trees=150, start={"guess": 1.0}, of_counts=True
    )
    predicted = np.exp(trees.predict(columns[is_new]))
    # products that sell at once: up from a thousandth, and never to a multiple
    assert np.all(predicted > 0.005)
    assert np.all(predicted < 2 * 60)


def test_the_start_is_stored_with_the_trees():
    features, counts, _ = counted(rows=2000)
    start = {"signal": 1.0, "other": 0.25}
    trees = fit_trees(features, counts, NAMES, num_trees=5, start=start, of_counts=True)
    tables = trees.tables()
    loaded = load_trees(stored(tables["ranker"]), stored(tables["ranker_features"]))
    assert loaded.start == start
    np.testing.assert_array_equal(loaded.predict(features), trees.predict(features))


def test_in_models_of_earlier_versions_the_start_is_one_feature_as_it_is():
    tables = fit().tables()
    features = pa.table({"feature": list(NAMES), "is_start": [name == "other" for name in NAMES]})
    assert load_trees(tables["ranker"], features).start == {"other": 1.0}


def test_a_damaged_start_is_refused():
    tables = fit().tables()
    features = pa.table({"feature": list(NAMES), "start": [0.0, float("nan"), 1.0]})
    with pytest.raises(SchemaError, match="ranker is damaged"):
        load_trees(tables["ranker"], features)


def test_a_hand_made_trees_contributions_are_the_steps_of_its_path():
    base, added = by_hand().contributions(np.array([[1.5, 9], [2, 0], [2, 1]], dtype=np.float32))
    assert base == 18
    assert added.tolist() == [[10 - 18, 0], [26 - 18, 20 - 26], [26 - 18, 30 - 26]]


@pytest.mark.parametrize("start", [{}, {"noise": 1.0}, {"noise": 1.0, "other": 0.4}])
def test_base_and_contributions_add_up_to_the_prediction(start):
    trees = fit(start=start)
    features, _ = planted(rows=300, seed=6)
    base, added = trees.contributions(features)
    np.testing.assert_allclose(base + added.sum(axis=1), trees.predict(features), atol=1e-9)
    expected = [slow_contributions(trees, row) for row in features]
    np.testing.assert_allclose(added, expected, atol=1e-9)


def slow_contributions(trees, row):
    """One row through one tree after the other."""
    added = [0.0] * len(row)
    for root in trees.roots:
        node = root
        while trees.left[node] != node:
            at = trees.feature[node]
            following = trees.left[node] if row[at] <= trees.threshold[node] else trees.right[node]
            added[at] += trees.mean[following] - trees.mean[node]
            node = following
    for name, weight in trees.start.items():
        added[NAMES.index(name)] += weight * row[NAMES.index(name)]
    return added


def test_the_signal_adds_most():
    trees = fit()
    features, _ = planted(rows=300, seed=7)
    _, added = trees.contributions(features)
    signal, noise, other = np.abs(added).mean(axis=0)
    assert signal > other > noise


def test_stored_trees_keep_their_contributions_and_those_of_earlier_versions_have_none():
    trees = fit()
    members = {name: stored(table) for name, table in trees.tables().items()}
    features, _ = planted(rows=50, seed=8)
    again = load_trees(members["ranker"], members["ranker_features"])
    assert (again.contributions(features)[1] == trees.contributions(features)[1]).all()
    old = load_trees(members["ranker"].drop_columns(["mean"]), members["ranker_features"])
    assert (old.predict(features) == trees.predict(features)).all()
    with pytest.raises(SchemaError, match="train it again"):
        old.contributions(features)


def test_the_first_trees_are_those_of_a_shorter_fit():
    features, labels = planted()
    long, short = (fit_trees(features, labels, NAMES, num_trees=n) for n in (20, 7))
    new, _ = planted(seed=1)
    np.testing.assert_array_equal(long.first(7).predict(new), short.predict(new))
    # also where many rows are walked at once
    assert len(new) > 2048
    np.testing.assert_array_equal(long.first(7).predict(new[:100]), short.predict(new[:100]))
    assert not np.allclose(long.predict(new), short.predict(new))
    base, added = long.first(7).contributions(new[:5])
    np.testing.assert_allclose(base + added.sum(axis=1), short.predict(new[:5]), atol=1e-9)
    read = load_trees(*(stored(table) for table in long.first(7).tables().values()))
    np.testing.assert_array_equal(read.predict(new), short.predict(new))
    assert long.first(20) is long.first(21) is long
