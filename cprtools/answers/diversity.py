"""Spread a ranked list over product types."""

from math import ceil

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


def spread(types: IntArray, k: int, num_types: int) -> IntArray:
    """Positions of the k chosen entries of a ranked list, best first.

    types: (n,) product type of each entry, best entry first, -1 unknown (counted as a type of its
    own). The first `num_types` choices carry different types and no type holds more than
    ceil(k / num_types), as far as the list allows: a list never comes up short while entries are
    left. `num_types` 0 keeps the ranking. Source: Hao et al., CIKM 2020, section 3.4 (items of the
    top complementary types), here on the joint ranking.
    """
    k = min(k, len(types))
    if num_types <= 0:
        return np.arange(k)
    limit = ceil(k / num_types)
    counts: dict[int, int] = {}
    chosen: list[int] = []
    passed: list[int] = []
    for position, kind in enumerate(types.tolist()):
        if len(chosen) == min(num_types, k):
            break
        if kind in counts:
            passed.append(position)
        else:
            counts[kind] = 1
            chosen.append(position)
    rest = iter([*passed, *range(max([*chosen, *passed], default=-1) + 1, len(types))])
    over: list[int] = []
    for position in rest:
        if len(chosen) == k:
            break
        kind = int(types[position])
        if counts.get(kind, 0) < limit:
            counts[kind] = counts.get(kind, 0) + 1
            chosen.append(position)
        else:
            over.append(position)
    return np.array([*chosen, *over[: k - len(chosen)]], dtype=np.int64)
