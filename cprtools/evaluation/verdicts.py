"""In plain words: does what was trained beat what anybody can count?"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cprtools.evaluation.results import ALL, Evaluation, compare, in_words
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
        low = row[c.CI_LOW]
        beats = low is not None and low > 0
        verb = "beats" if beats else "does NOT beat"
        if low is None:
            # without an interval nobody knows, and chance is not ruled out
            verb = "is ahead of" if row[c.VALUE] > 0 else "is NOT ahead of"
        value, interval = in_words(row)
        text = (
            f"{one.method}, a trained method, {verb} {best.method}, the best simple one here, "
            f"on {key[0]}@{key[1]}: difference {value}, {interval}"
        )
        yield Verdict(text, beats, key == one.headline[-1])


def _headline(one: Evaluation) -> dict[tuple[str, int], float]:
    return {(r.metric, r.k): r.value for r in one.results if r.segment == ALL}
