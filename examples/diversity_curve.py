"""Accuracy against diversity: what a list loses by holding more product types (`--types T`).

Usage: python examples/diversity_curve.py p-companion.model --truth truth/ --train train.parquet
       --products products.parquet --plot curve.png [--types 0,1,2,3,4,5] [--queries-fraction 0.1]

Prints one Markdown row for each T. `kept` is the share of the hits of T=0 that are left. `oracle
kept` is what the rule itself leaves: the heaviest held-out pairs that any list could hold while its
first T products carry T different types and no type holds more than ceil(10 / T) of 10, as a share
of what a list without the rule could hold. No model, however good, keeps more of a perfect list.
"""

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from math import ceil
from pathlib import Path

import duckdb
import matplotlib
import pyarrow.parquet as pq

matplotlib.use("Agg")
from matplotlib import pyplot

LENGTH = 10
ACCURACY = [("Hit", 1), ("Hit", 3), ("Hit", 10)]
SHOWN = [*ACCURACY, ("TypesPerList", 10), ("Coverage", 10), ("Novelty", 10)]
DEPTHS = (3, 10)
Pairs = list[tuple[str, float]]
Values = dict[tuple[str, int], float]


def main() -> None:
    """Answer and measure once for each T, print the table, draw the curve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="complement model folder")
    parser.add_argument("--truth", required=True, help="held-out pairs: a file, folder or pattern")
    parser.add_argument("--train", required=True, help="training pairs")
    parser.add_argument("--products", required=True)
    parser.add_argument("--plot", required=True, help="where the PNG goes")
    parser.add_argument("--types", default="0,1,2,3,4,5")
    parser.add_argument("--queries-fraction", type=float, help="answer so many of the queries only")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    numbers = sorted({0, *(int(number) for number in args.types.split(","))})
    with tempfile.TemporaryDirectory() as folder:
        if args.queries_fraction is not None:
            args.truth = draw_queries(args.truth, args.queries_fraction, args.seed, folder)
        held_out = read_held_out(args)
        measured = {number: measure(args, number, folder) for number in numbers}
    possible = {number: most_possible(held_out, number) for number in numbers}
    heads = ["T", *(f"{name}@{k}" for name, k in SHOWN)]
    heads += [f"{what}@{k}" for what in ("kept", "oracle kept") for k in DEPTHS]
    rows = [row(number, measured, possible) for number in numbers]
    lines = [heads, ["---"] * len(heads), *rows]
    sys.stdout.write("".join("| " + " | ".join(line) + " |\n" for line in lines))
    draw(measured, args.plot)


def draw_queries(truth: str, fraction: float, seed: int, folder: str) -> str:
    """The held-out pairs of a seeded share of the queries, as a file in the folder."""
    chosen = f"{folder}/truth.parquet"
    words = ["--cold", "query_id", "--fraction", str(fraction), "--seed", str(seed)]
    cprtools("split", truth, *words, "-o", f"{folder}/unused.parquet", "--test-out", chosen)
    return chosen


def measure(args: argparse.Namespace, number: int, folder: str) -> Values:
    """Values of `evaluate` by metric and k, for lists of that many types."""
    recs, metrics = f"{folder}/recs.parquet", f"{folder}/metrics.parquet"
    asked = ["--queries", args.truth, "--exclude", args.train, "-k", str(LENGTH)]
    cprtools("recommend", "--model", args.model, *asked, "--types", str(number), "-o", recs)
    known = ["--train", args.train, "--products", args.products]
    cprtools("evaluate", recs, "--truth", args.truth, *known, "--bootstrap", "0", "-o", metrics)
    entries = pq.read_table(metrics).to_pylist()
    return {(e["metric"], e["k"]): e["value"] for e in entries if e["segment"] == "all"}


def cprtools(*words: str) -> None:
    """Run a command. Raises CalledProcessError if it fails."""
    subprocess.run([sys.executable, "-m", "cprtools", *words, "--quiet"], check=True)


def read_held_out(args: argparse.Namespace) -> list[Pairs]:
    """Each query's held-out pairs that count as truth, as candidate type and weight."""
    place = Path(args.truth)
    database = duckdb.connect()
    database.read_parquet(str(place / "*.parquet" if place.is_dir() else place)).create("truth")
    database.read_parquet(args.train).create("train")
    database.read_parquet(f"{args.model}/products.parquet").create("products")
    columns = [name for name, *_ in database.execute("DESCRIBE truth").fetchall()]
    weight = "max(co_purchase)" if "co_purchase" in columns else "1"
    complement = "bool_or(complement)" if "complement" in columns else "true"
    rows = database.execute(f"""
        SELECT query_id, coalesce(any_value(product_type), ''), {weight} AS weight
        FROM truth
        JOIN products ON candidate_id = products.product_id
        WHERE query_id IN (SELECT product_id FROM products)
          AND (query_id, candidate_id) NOT IN (
            SELECT (query_id, candidate_id) FROM train WHERE complement OR "similar"
            UNION ALL SELECT (candidate_id, query_id) FROM train WHERE "similar")
        GROUP BY query_id, candidate_id
        HAVING {complement} AND weight > 0
        ORDER BY query_id, weight DESC, candidate_id""").fetchall()
    by_query: dict[str, Pairs] = {}
    for query, kind, value in rows:
        by_query.setdefault(query, []).append((kind, float(value)))
    return list(by_query.values())


def most_possible(held_out: Sequence[Pairs], number: int) -> dict[int, float]:
    """By depth: the weight that lists of that many types can hold at most, over all queries."""
    return {k: sum(best_weight(pairs, k, number) for pairs in held_out) for k in DEPTHS}


def best_weight(pairs: Pairs, depth: int, number: int, length: int = LENGTH) -> float:
    """The heaviest pairs that the first `depth` places of a list of `length` can hold.

    pairs: candidate type and weight. Exact: the lead places hold the heaviest of different types
    (a product of a type that has no held-out pair, where those run out); the other places hold the
    heaviest of all that is left, the best of each type up to its limit.
    """
    falling = sorted(pairs, key=lambda pair: -pair[1])
    if not number:
        return sum(weight for _, weight in falling[:depth])
    firsts, others = [], []
    seen: Counter[str] = Counter()
    for kind, weight in falling:
        if not seen[kind]:
            firsts.append(weight)
        elif seen[kind] < ceil(length / number):
            others.append(weight)
        seen[kind] += 1
    lead = min(number, depth)
    rest = sorted(firsts[lead:] + others, reverse=True)
    return sum(firsts[:lead]) + sum(rest[: depth - lead])


def row(
    number: int, measured: dict[int, Values], possible: dict[int, dict[int, float]]
) -> list[str]:
    """One line of the table."""
    cells = [f"{measured[number][key]:.3f}" for key in SHOWN]
    parts = [(measured[number]["Hit", k], measured[0]["Hit", k]) for k in DEPTHS]
    parts += [(possible[number][k], possible[0][k]) for k in DEPTHS]
    # of no hits there is no share to keep
    kept = [f"{part / whole:.1%}" if whole else "-" for part, whole in parts]
    return [str(number), *cells, *kept]


def draw(measured: dict[int, Values], target: str) -> None:
    """Hit@10 and Hit@3 against the types in a list, each point named by its T."""
    figure, panel = pyplot.subplots(figsize=(6, 4), layout="constrained")
    for k in sorted(DEPTHS, reverse=True):
        # T=0 and T=1 mean the same: one point, and one label with both
        labels: dict[tuple[float, float], list[str]] = {}
        for number, values in measured.items():
            point = values["TypesPerList", LENGTH], values["Hit", k]
            labels.setdefault(point, []).append(str(number))
        panel.plot(*zip(*labels, strict=True), marker="o", label=f"Hit@{k}")
        for point, numbers in labels.items():
            text = f"T={', '.join(numbers)}"
            panel.annotate(text, point, xytext=(0, 7), textcoords="offset points", ha="center")
    highest = max(values["Hit", k] for values in measured.values() for k in DEPTHS)
    panel.set(xlabel=f"product types in a list of {LENGTH}", ylabel="Hit")
    panel.set_ylim(0, 1.15 * highest)
    panel.margins(x=0.1)
    panel.grid(visible=True, alpha=0.3)
    panel.legend(loc="lower right")
    figure.savefig(target, dpi=120, metadata={"Software": None})


if __name__ == "__main__":
    main()
