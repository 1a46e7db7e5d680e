"""Slow loops that follow the formulas word by word."""

import math


def item_knn(weights, neighbours, shrinkage):
    """Scores of all queries: sum over the row's items of weight times kept cosine."""
    rows, n = len(weights), len(weights[0])
    norm = [math.sqrt(sum(weights[r][i] ** 2 for r in range(rows))) for i in range(n)]
    kept = []
    for i in range(n):
        similar = []
        for j in range(n):
            dot = sum(weights[r][i] * weights[r][j] for r in range(rows))
            if i != j and dot > 0:
                similar.append((-dot / (norm[i] * norm[j] + shrinkage), j))
        kept.append({j: -value for value, j in sorted(similar)[:neighbours]})
    return [
        [sum(weights[r][i] * kept[c].get(i, 0) for i in range(n)) for c in range(n)]
        for r in range(rows)
    ]


def type_counts(weights, types):
    """Scores of all queries: rows of the same type added up; without a type, all rows."""
    n = len(types)
    return [
        [
            sum(weights[r][c] for r in range(n) if types[q] == -1 or types[r] == types[q])
            for c in range(n)
        ]
        for q in range(n)
    ]


def type_popularity(weights, types, num_types, smoothing):
    """P(type | type) and P(type | type) P(item | type) of all queries."""
    n = len(types)
    own = [num_types if t == -1 else t for t in types]
    classes = range(num_types + 1)
    used = len(set(own))
    bought = [sum(weights[r][c] for r in range(n)) for c in range(n)]
    total = {t: sum(bought[c] for c in range(n) if own[c] == t) for t in classes}
    share = {
        t: (total[t] + smoothing * (t in own) / used) / (sum(bought) + smoothing) for t in classes
    }
    type_scores, scores = [], []
    for q in range(n):
        counts = {
            t: sum(
                weights[r][c]
                for r in range(n)
                for c in range(n)
                if types[q] != -1 and own[r] == own[q] and own[c] == t
            )
            for t in classes
        }
        follows = {
            t: (counts[t] + smoothing * share[t]) / (sum(counts.values()) + smoothing)
            for t in classes
        }
        within = [
            (bought[c] + smoothing / own.count(own[c])) / (total[own[c]] + smoothing)
            for c in range(n)
        ]
        type_scores.append([follows[t] for t in range(num_types)])
        scores.append([follows[own[c]] * within[c] for c in range(n)])
    return type_scores, scores


def text_knn(weights, vectors, nearest):
    """Scores of all sellers: the highest cosines to listed products with a vector, added up."""
    n = len(vectors)

    def cosine(a, b):
        return sum(x * y for x, y in zip(vectors[a], vectors[b], strict=True))

    scores = []
    for row in weights:
        listed = [i for i in range(n) if row[i] > 0 and any(vectors[i])]
        scores.append(
            [sum(sorted((cosine(i, c) for i in listed), reverse=True)[:nearest]) for c in range(n)]
        )
    return scores
