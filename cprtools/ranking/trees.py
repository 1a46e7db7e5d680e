"""A gradient-boosted ranker: fitted by LightGBM, stored as plain arrays, evaluated by numpy.

LightGBM's own model text is never stored or parsed: a model folder from a stranger runs no code,
and answering needs no LightGBM.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cprtools.errors import SchemaError
from cprtools.ranking.scales import Scale

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

# rows that are worth a call of numpy for each test, and so few that all trees are walked at once
_BLOCK, _FEW = 16_384, 2048
_MOST_LEAVES = 64
_ROWS_FOR_THREADS = 300_000
# of one tree, in logs of a count, before the learning rate
_LARGEST_STEP = 1.0


@dataclass(frozen=True)
class Trees:
    """A forest as node arrays; node i goes to left[i] when x[feature[i]] <= threshold[i]."""

    names: tuple[str, ...]
    """Feature names, in column order."""
    roots: IntArray
    feature: IntArray
    threshold: npt.NDArray[np.float64]
    left: IntArray
    right: IntArray
    value: npt.NDArray[np.float64]
    """Leaf values in log-odds; 0 at inner nodes. A leaf is its own child."""
    start: Mapping[str, float] = field(default_factory=dict)
    """Features that are a first guess, and what each counts: to it the trees are added."""
    mean: npt.NDArray[np.float64] | None = None
    """What each node would answer if it were a leaf; None in models of earlier versions."""

    def first(self, number: int) -> "Trees":
        """The first trees alone, as if the fit had ended there."""
        if number >= len(self.roots):
            return self
        # the nodes of a tree lie together, its root first
        end = int(self.roots[number])
        return replace(
            self,
            roots=self.roots[:number],
            feature=self.feature[:end],
            threshold=self.threshold[:end],
            left=self.left[:end],
            right=self.right[:end],
            value=self.value[:end],
            mean=None if self.mean is None else self.mean[:end],
        )

    def moved(self, scales: Mapping[str, Scale]) -> "Trees":
        """The same trees for features at other scales, by name: their thresholds move."""
        threshold = self.threshold.copy()
        for name, scale in scales.items():
            nodes = np.flatnonzero(self.feature == self.names.index(name))
            nodes = nodes[np.argsort(threshold[nodes])]
            threshold[nodes] = scale.apply(threshold[nodes])
        return replace(self, threshold=threshold)

    def predict(self, features: FloatArray) -> npt.NDArray[np.float64]:
        """Sum of the trees, log-odds: (rows,) float64 of features (rows, len(names)) float32.

        Trees of counts give the log of the expected count.
        """
        if len(features) <= _FEW:
            return _with_guess(self._walk(features), features, self.names, self.start)
        result = np.zeros(len(features))
        for start in range(0, len(features), _BLOCK):
            block = np.ascontiguousarray(features[start : start + _BLOCK].T, dtype=np.float32)
            total = result[start : start + _BLOCK]
            for tree in self._plans:
                total += tree.predict(block)
        return _with_guess(result, features, self.names, self.start)

    def _walk(self, features: FloatArray) -> npt.NDArray[np.float64]:
        """All trees at once, a level at a time: for few rows, plans would take longer to make."""
        values = features.astype(np.float64)
        rows = np.arange(len(features))
        node = np.repeat(self.roots[:, None], len(features), axis=1)
        while True:
            is_left = values[rows, self.feature[node]] <= self.threshold[node]
            following = np.where(is_left, self.left[node], self.right[node])
            if np.array_equal(following, node):
                # tree by tree, as the sum over many rows is made
                total: npt.NDArray[np.float64] = np.add.reduce(self.value[node], axis=0)
                return total
            node = following

    def contributions(self, features: FloatArray) -> tuple[float, npt.NDArray[np.float64]]:
        """What the answer is before any test, and what each feature adds, (rows, names) float64.

        A test adds to its feature the answer of the node that it leads to less that of its own, so
        the first number and a row's entries add up to `predict`. Source: Saabas, Interpreting
        random forests, 2014. Raises SchemaError for trees of an earlier version.
        """
        if self.mean is None:
            raise SchemaError(
                "the model was written by a version that did not keep what --explain needs; "
                "train it again to use it"
            )
        values, rows = features.astype(np.float64), np.arange(len(features))
        added = np.zeros((len(features), len(self.names)))
        for root in self.roots:
            node = np.full(len(features), root)
            while (self.left[node] != node).any():
                is_left = values[rows, self.feature[node]] <= self.threshold[node]
                following = np.where(is_left, self.left[node], self.right[node])
                added[rows, self.feature[node]] += self.mean[following] - self.mean[node]
                node = following
        for name, weight in self.start.items():
            added[:, self.names.index(name)] += weight * values[:, self.names.index(name)]
        return float(self.mean[self.roots].sum()), added

    @cached_property
    def _plans(self) -> list["_Tree"]:
        return [_plan(self, int(root)) for root in self.roots]

    def importance(self) -> dict[str, int]:
        """How many splits use each feature."""
        inner = self.left != np.arange(len(self.left))
        counts = np.bincount(self.feature[inner], minlength=len(self.names))
        return dict(zip(self.names, counts.tolist(), strict=True))

    def tables(self) -> dict[str, pa.Table]:
        """Members `ranker` (one row per node) and `ranker_features` (names in order)."""
        is_root = np.zeros(len(self.left), dtype=bool)
        is_root[self.roots] = True
        columns = {
            "is_root": pa.array(is_root),
            "feature": pa.array(self.feature, pa.int32()),
            "threshold": pa.array(self.threshold),
            "left": pa.array(self.left, pa.int32()),
            "right": pa.array(self.right, pa.int32()),
            "value": pa.array(self.value),
        }
        if self.mean is not None:
            columns["mean"] = pa.array(self.mean)
        nodes = pa.table(columns)
        start = [self.start.get(name, 0.0) for name in self.names]
        features = pa.table({"feature": list(self.names), "start": pa.array(start, pa.float64())})
        return {"ranker": nodes, "ranker_features": features}


def load_trees(nodes: pa.Table, features: pa.Table) -> Trees:
    """The stored forest. Raises SchemaError where its arrays are no forest."""
    names = tuple(features.column("feature").to_pylist())
    ints = {n: nodes.column(n).to_numpy().astype(np.int64) for n in ("feature", "left", "right")}
    # in models of earlier versions the guess is one feature as it is
    column = "start" if "start" in features.column_names else "is_start"
    weights = features.column(column).to_numpy(zero_copy_only=False).astype(np.float64)
    start = {names[i]: float(weights[i]) for i in np.flatnonzero(weights)}
    n = nodes.num_rows
    value, threshold = nodes.column("value").to_numpy(), nodes.column("threshold").to_numpy()
    inside = all(isinstance(name, str) for name in names) and all(
        np.all((ints[name] >= 0) & (ints[name] < limit))
        for name, limit in (("feature", len(names)), ("left", n), ("right", n))
    )
    own = np.arange(n)
    # children come after their parent, so that every walk ends
    forward = np.all(ints["left"] >= own) and np.all(ints["right"] >= own)
    roots = np.flatnonzero(nodes.column("is_root").to_numpy(zero_copy_only=False))
    mean = nodes.column("mean").to_numpy() if "mean" in nodes.column_names else None
    finite = np.isfinite(value).all() and np.isfinite(weights).all()
    finite = finite and not np.isnan(threshold).any()
    finite = finite and (mean is None or np.isfinite(mean).all())
    leaves = _most_leaves(roots, ints["left"], ints["right"]) if inside and forward else None
    if not finite or leaves is None or leaves > _MOST_LEAVES:
        raise SchemaError("the model's ranker is damaged")
    children = ints["left"], ints["right"]
    return Trees(names, roots, ints["feature"], threshold, *children, value, start, mean)


@dataclass(frozen=True)
class _Tree:
    """A tree for many rows at once: no row walks, each test strikes out the leaves it excludes.

    Source: Lucchese et al., SIGIR 2015 (QuickScorer): leaves are numbered from the left; a failed
    test x <= threshold strikes out the leaves on its left, and the first leaf left is the row's.
    """

    tests: list[tuple[int, np.float32, np.unsignedinteger[Any]]]
    """Feature, threshold, and the bits of the leaves that a larger value strikes out. The largest
    float32 up to the threshold tells the same of a float32 value, in half the time."""
    values: npt.NDArray[np.float64]
    """Of the leaves."""
    kind: type[np.unsignedinteger[Any]]
    """The smallest integer with a bit for each leaf."""

    def predict(self, block: FloatArray) -> npt.NDArray[np.float64]:
        """Leaf values of columns (features, rows) float32: (rows,)."""
        struck = np.zeros(block.shape[1], dtype=self.kind)
        part, is_larger = np.empty_like(struck), np.empty(block.shape[1], dtype=bool)
        for feature, threshold, bits in self.tests:
            np.greater(block[feature], threshold, out=is_larger)
            np.multiply(is_larger, bits, out=part)
            np.bitwise_or(struck, part, out=struck)
        left = ~struck
        # all bits below the lowest that is set
        below = (left & (struck + self.kind(1))) - self.kind(1)
        found: npt.NDArray[np.float64] = self.values.take(np.bitwise_count(below))
        return found


def _plan(trees: Trees, root: int) -> _Tree:
    tests: list[tuple[int, float, int]] = []
    values: list[float] = []

    def visit(node: int) -> None:
        if trees.left[node] == node:
            values.append(float(trees.value[node]))
            return
        first = len(values)
        visit(int(trees.left[node]))
        bits = (1 << len(values)) - (1 << first)
        tests.append((int(trees.feature[node]), float(trees.threshold[node]), bits))
        visit(int(trees.right[node]))

    visit(root)
    kinds = (np.uint8, np.uint16, np.uint32, np.uint64)
    kind = next(k for k in kinds if np.iinfo(k).bits >= len(values))
    planned = [(f, _at_most(t), kind(b)) for f, t, b in tests]
    return _Tree(planned, np.array(values), kind)


def _at_most(number: float) -> np.float32:
    """The largest float32 up to a number."""
    with np.errstate(over="ignore"):
        nearest = np.float32(number)
    # as floats of Python: numpy would compare float32s
    is_below = float(nearest) <= number
    return nearest if is_below else np.nextafter(nearest, np.float32(-np.inf))


def _most_leaves(roots: IntArray, left: IntArray, right: IntArray) -> int | None:
    """Leaves of the largest tree; None where the nodes are no trees: one parent each, but roots."""
    inner = np.flatnonzero(left != np.arange(len(left)))
    parents = np.bincount(np.concatenate([left[inner], right[inner]]), minlength=len(left))
    parents[roots] += 1
    if (parents != 1).any():
        return None
    tree = np.full(len(left), -1, dtype=np.int64)
    tree[roots] = np.arange(len(roots))
    while (todo := inner[tree[left[inner]] != tree[inner]]).size:
        # a level of all trees at once
        tree[left[todo]] = tree[right[todo]] = tree[todo]
    leaves = left == np.arange(len(left))
    return int(np.bincount(tree[leaves]).max(initial=0))


def fit_trees(
    features: FloatArray,
    labels: npt.NDArray[np.float32],
    names: tuple[str, ...],
    *,
    num_trees: int,
    monotone: npt.NDArray[np.int64] | None = None,
    weights: FloatArray | None = None,
    num_leaves: int = 15,
    learning_rate: float = 0.06,
    min_leaf: int = 30,
    start: Mapping[str, float] | None = None,
    of_counts: bool = False,
    seed: int = 0,
) -> Trees:
    """Boosted trees on log loss (Ke et al., NeurIPS 2017).

    features (rows, len(names)) float32 without NaN; labels (rows,) 0 or 1; `monotone` +1 where more
    evidence may only raise the score. Trees correct `start`, where it is given: features whose sum,
    each times its number, is a first guess of the log-odds. With `of_counts` labels are counts, the
    loss is Poisson's, and the guess is one of the log of the count.
    """
    import lightgbm

    params: dict[str, Any] = {
        "objective": "poisson" if of_counts else "binary",
        "learning_rate": learning_rate,
        "num_leaves": num_leaves,
        "max_depth": 8,
        "min_data_in_leaf": min_leaf,
        "feature_fraction": 0.7,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "lambda_l2": 5.0,
        "deterministic": True,
        "force_row_wise": True,
        "seed": seed,
        "verbosity": -1,
        # on few rows threads wait for each other longer than they work
        "num_threads": 1 if len(labels) < _ROWS_FOR_THREADS else 0,
        "max_bin": 127,
    }
    if of_counts:
        # where the guess is near zero one leaf could overshoot by orders of magnitude
        params["max_delta_step"] = _LARGEST_STEP
    if monotone is not None:
        params["monotone_constraints"] = monotone.tolist()
        params["monotone_constraints_method"] = "basic"
    first = None
    if start:
        first = _shifted(_with_guess(np.zeros(len(labels)), features, names, start), labels)
    data = lightgbm.Dataset(
        features, label=labels, weight=weights, init_score=first, params={"verbosity": -1}
    )
    booster = lightgbm.train(params, data, num_boost_round=num_trees)
    return _flatten(booster.dump_model()["tree_info"], names, start or {})


def _with_guess(
    total: npt.NDArray[np.float64],
    features: FloatArray,
    names: tuple[str, ...],
    start: Mapping[str, float],
) -> npt.NDArray[np.float64]:
    """The first guess of `start`, added in place."""
    for name, weight in start.items():
        total += weight * features[:, names.index(name)].astype(np.float64)
    return total


def _shifted(
    guess: npt.NDArray[np.float64], labels: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """The guess, shifted so that the counts it foretells add up to those of the labels.

    Of log-odds nearly so: held-out pairs are few among the candidates.
    """
    shifted: npt.NDArray[np.float64] = guess + np.log(labels.sum() / np.exp(guess).sum())
    return shifted


def _flatten(
    trees: list[dict[str, Any]], names: tuple[str, ...], start: Mapping[str, float]
) -> Trees:
    rows: list[list[float]] = []
    roots = []

    def visit(node: dict[str, Any]) -> int:
        own = len(rows)
        if "leaf_value" in node:
            rows.append([0, 0.0, own, own, node["leaf_value"], node["leaf_value"]])
            return own
        split = node["split_feature"], node["threshold"]
        rows.append([*split, own, own, 0.0, node["internal_value"]])
        rows[own][2] = visit(node["left_child"])
        rows[own][3] = visit(node["right_child"])
        return own

    for tree in trees:
        roots.append(visit(tree["tree_structure"]))
    array = np.array(rows, dtype=np.float64).reshape(-1, 6)
    feature, left, right = (array[:, i].astype(np.int64) for i in (0, 2, 3))
    return Trees(
        names,
        np.array(roots, dtype=np.int64),
        feature,
        array[:, 1],
        left,
        right,
        array[:, 4],
        start,
        array[:, 5],
    )
