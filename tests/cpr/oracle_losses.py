"""Slow losses that follow the formulas term by term."""

import math


def squared_distance(left, right):
    return sum((a - b) ** 2 for a, b in zip(left, right, strict=True))


def hinge(distances, labels, margin, slack):
    total = 0.0
    for distance, label in zip(distances, labels, strict=True):
        if label == 1:
            # a true pair should be closer than margin - slack
            total += max(0.0, slack - (margin - distance))
        else:
            # a sampled pair should be further than margin + slack
            total += max(0.0, slack + (margin - distance))
    return total / len(distances)


def sampled_softmax(logits, positives, known, log_rates):
    """positives: (row, column, weight); known: set of (row, column)."""
    own = {(row, column) for row, column, _ in positives}
    total = weight_sum = 0.0
    for row, column, weight in positives:
        partition = 0.0
        for other, logit in enumerate(logits[row]):
            if (row, other) in known:
                continue
            stands_for = 1.0 if (row, other) in own else 1 / math.exp(log_rates[other])
            partition += stands_for * math.exp(logit)
        total -= weight * (logits[row][column] - math.log(partition))
        weight_sum += weight
    return total / weight_sum


def attention(item, neighbours):
    """Weights of the neighbours, no padding among them."""
    scores = [
        sum(a * b for a, b in zip(item, other, strict=True)) / math.sqrt(len(item))
        for other in neighbours
    ]
    powers = [math.exp(score) for score in scores]
    return [power / sum(powers) for power in powers]
