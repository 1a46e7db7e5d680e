"""Are affinities what they claim? Calibration, precision and answers at the threshold, and a plot.

Usage: python examples/reliability.py RECS --truth TRUTH --train TRAIN [--high-demand LIST]
           --plot PLOT.png [--threshold 0.5]

RECS: `recommend --all --category all --threshold 0 -k 100`. An affinity is a probability at equal
prior: held-out listings together weigh as much as the other candidates together. `precision at
equal prior` weighs the candidates at the threshold or above like that; `raw precision` counts
them, and is low since few listings are held out of many that might suit. `sellers with 10 answers`
is over all sellers of TRAIN, whether they have held-out listings or not.
"""

import argparse
import sys

import matplotlib
import pyarrow as pa
import pyarrow.compute as pc

matplotlib.use("Agg")
from matplotlib import pyplot
from one_line import run

from cprtools import tables
from cprtools.evaluation import Evaluation, evaluate_sellers
from cprtools.tables import columns as c

ANSWERS = 10


def read(name: str, schema: tables.TableSpec) -> pa.Table:
    """The table of that name."""
    return tables.read(tables.open_table(name, schema))


def keys(table: pa.Table) -> pa.Array:
    """Seller and product as one word, to look pairs up by."""
    return pc.binary_join_element_wise(
        table.column(c.SELLER_ID), table.column(c.PRODUCT_ID), "\n"
    ).combine_chunks()


def precisions(recs: pa.Table, truth: pa.Table, threshold: float) -> tuple[float, float]:
    """Precision at the threshold: at equal prior, and raw. Sellers without truth are left out."""
    known = pc.is_in(recs.column(c.SELLER_ID), pc.unique(truth.column(c.SELLER_ID)))
    judged = recs.filter(known)
    is_true = pc.is_in(keys(judged), keys(truth)).to_numpy(zero_copy_only=False)
    shown = judged.column(c.AFFINITY).to_numpy() >= threshold
    right, wrong = (shown & is_true).sum(), (shown & ~is_true).sum()
    of_true, of_false = right / is_true.sum(), wrong / (~is_true).sum()
    return of_true / (of_true + of_false), right / (right + wrong)


def answered(recs: pa.Table, train: pa.Table, threshold: float) -> float:
    """Share of the sellers with ANSWERS candidates at the threshold or above."""
    shown = recs.filter(pc.greater_equal(recs.column(c.AFFINITY), threshold))
    counts = pc.value_counts(shown.column(c.SELLER_ID)).field("counts").to_numpy()
    sellers: int = pc.count_distinct(train.column(c.SELLER_ID)).as_py()
    return float((counts >= ANSWERS).sum()) / sellers


def draw(found: Evaluation, title: str, path: str) -> None:
    """Observed share against mean affinity, a dot for each bin of equal mass."""
    bins = found.calibration
    if bins is None:
        sys.exit("nothing to draw: all candidates are true, or none is")
    figure, axes = pyplot.subplots(figsize=(4.5, 4.5))
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axes.plot(bins.column("affinity"), bins.column("observed"), marker="o")
    axes.set(xlabel="affinity", ylabel="listed, at equal prior", title=title, xlim=(0, 1))
    axes.set_ylim(0, 1)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Read, measure, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recs")
    parser.add_argument("--truth", required=True)
    parser.add_argument("--train", required=True)
    parser.add_argument("--high-demand")
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--plot", required=True)
    options = parser.parse_args()
    recs = read(options.recs, tables.SELLER_RECOMMENDATIONS)
    truth, train = (read(name, tables.LISTINGS) for name in (options.truth, options.train))
    demand = read(options.high_demand, tables.HIGH_DEMAND) if options.high_demand else None
    found = evaluate_sellers(recs, truth, train=train, high_demand=demand)
    values = {(row[c.METRIC], row[c.SEGMENT]): row for row in found.metrics.to_pylist()}
    error, resolution = (
        f"{row[c.VALUE]:.3f} [{row[c.CI_LOW]:.3f}, {row[c.CI_HIGH]:.3f}]"
        for row in (values[name, "all"] for name in ("CalibrationError", "CalibrationResolution"))
    )
    at_equal, raw = precisions(recs, truth, options.threshold)
    lines = {
        "calibration error, 10 bins of equal mass": error,
        "calibration resolution, of the same bins": resolution,
        f"precision at equal prior, affinity >= {options.threshold}": f"{at_equal:.3f}",
        f"raw precision, affinity >= {options.threshold}": f"{raw:.3f}",
        f"sellers with {ANSWERS} answers": f"{answered(recs, train, options.threshold):.1%}",
    }
    sys.stdout.write("|  |  |\n| --- | --- |\n")
    sys.stdout.write("".join(f"| {name} | {value} |\n" for name, value in lines.items()))
    draw(found, "reliability", options.plot)


if __name__ == "__main__":
    run(main)
