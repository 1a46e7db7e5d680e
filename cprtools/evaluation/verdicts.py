"""In plain words: does what was trained beat what anybody can count?"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cprtools.evaluation.results import ALL, Evaluation, compare
from cprtools.tables import columns as c

SIMPLE = (
    "popularity", "type-popularity", "type-counts", "co-purchase", "reverse", "item-knn",
    "text-knn",
)  # fmt: skip
"""Methods that count, or look up what is nearest, and learn no parameter."""
TRAINED = (
    "p-companion", "triplet", "gnn", "mf", "bpr", "ease", "lightgcn", "blend", "item2vec",
    "sceptre",
)  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """One trained method against the best simple one, on one headline metric."""

    text: str
    beats: bool
    is_last: bool
    """Whether the metric is the last of the headline, at the largest k."""


def verdicts(evaluations: Sequence[Evaluation]) -> list[Verdict]:
    """A sentence for each trained method against the best simple one on each headline metric.

    Methods are known by their names. No sentence without a method of either sort.
    """
    simple = [one for one in evaluations if _plain(one.method) in SIMPLE]
    trained = [one for one in evaluations if _plain(one.method) in TRAINED]
    return [verdict for one in trained for verdict in _against(one, simple)]


def _plain(method: str) -> str:
    return method.split(" (")[0]


def _against(one: Evaluation, simple: Sequence[Evaluation]) -> Iterable[Verdict]:
    values = {id(each): _headline(each) for each in (one, *simple)}
    for key in one.headline:
        rivals = [each for each in simple if key in values[id(each)]]
        if not rivals or key not in values[id(one)]:
            continue
        best = max(rivals, key=lambda each: values[id(each)][key])
        metrics = compare(one, best).metrics.to_pylist()
        row = next(r for r in metrics if (r[c.METRIC], r[c.K]) == key and r[c.SEGMENT] == ALL)
        low, high = row[c.CI_LOW], row[c.CI_HIGH]
        beats = row[c.VALUE] > 0 and (low is None or low > 0)
        verb = "beats" if beats else "does NOT beat"
        bounds = "no interval" if low is None else f"[{low:.3f}, {high:.3f}]"
        text = (
            f"{one.method}, a trained method, {verb} {best.method}, the best simple one here, "
            f"on {key[0]}@{key[1]}: difference {row[c.VALUE]:.3f}, {bounds}"
        )
        yield Verdict(text, beats, key == one.headline[-1])


def _headline(one: Evaluation) -> dict[tuple[str, int], float]:
    return {(r.metric, r.k): r.value for r in one.results if r.segment == ALL}
