"""The page as a whole: what is said first, and the order of the sections."""

from collections.abc import Sequence
from html import escape
from string import Template

from cprtools import __version__
from cprtools.evaluation.report import behind, measures
from cprtools.evaluation.report.gathering import Details, Provenance
from cprtools.evaluation.report.page import PAGE
from cprtools.evaluation.report.parts import anchor, bullets, section
from cprtools.evaluation.results import Comparison, Evaluation, by_merit
from cprtools.evaluation.verdicts import verdicts

_TITLES = {"complements": "Complements of products", "sellers": "Products for sellers"}


def html_report(
    evaluations: Sequence[Evaluation],
    comparisons: Sequence[Comparison],
    inputs: Sequence[Provenance],
    details: Details | None = None,
) -> str:
    """The page. The first evaluation is the one asked for, the others what it is held against."""
    first = evaluations[0]
    # the order, and with it each method's colour, is the same in all of them
    ordered = by_merit(evaluations)
    details = details or Details()
    curves = by_merit(details.curves)
    found = [
        ("Leaderboard", measures.leaderboard(ordered), measures.LEADERBOARD),
        ("Differences", measures.differences(comparisons), measures.DIFFERENCES),
        ("Over the cut-off", measures.over_k(curves), measures.OVER_K),
        ("Warm and new", measures.warm_and_new(ordered), measures.WARM),
        ("Segments", measures.segments(ordered), ""),
        ("Accuracy and diversity", measures.diversity(ordered), measures.DIVERSITY),
        ("Coverage of the catalogue", measures.coverage(curves), measures.COVERAGE),
        ("Calibration", behind.calibration(first, curves or ordered), ""),
        ("Type transitions", behind.transitions(details.transitions), ""),
        ("Examples", behind.examples(details.examples, first.method), behind.EXAMPLES),
        ("Notes", measures.notes(ordered), ""),
        ("Inputs", behind.inputs(inputs), behind.INPUTS),
    ]
    titles = [title for title, body, _ in found if body]
    links = "".join(f'<li><a href="#{anchor(t)}">{escape(t)}</a></li>' for t in titles)
    facts = f"{len(first.queries):,} {measures.asked(first)} with held-out data"
    if len(first.replicates):
        facts += f"; 95% intervals by bootstrap over them, {len(first.replicates):,} resamples"
    return Template(PAGE).substitute(
        title=escape(f"{_TITLES[first.kind]}: {first.method}"),
        facts=escape(facts),
        verdict=_verdict(evaluations, comparisons),
        links=links,
        body="".join(section(title, body, said) for title, body, said in found),
        version=__version__,
    )


def _verdict(evaluations: Sequence[Evaluation], comparisons: Sequence[Comparison]) -> str:
    """What a manager should read: the trained against the simple, else the first differences."""
    said = [verdict.text for verdict in verdicts(evaluations) if verdict.is_last]
    said = said or [c.sentences[-1] for c in comparisons if c.sentences]
    return f'<div class="verdict" role="note">{bullets(said)}</div>' if said else ""
