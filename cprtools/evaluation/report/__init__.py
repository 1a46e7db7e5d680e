"""One self-contained HTML page about an evaluation: no script, and nothing loaded."""

from cprtools.evaluation.report.gathering import Details, Provenance, gather, provenance
from cprtools.evaluation.report.whole import html_report

__all__ = ["Details", "Provenance", "gather", "html_report", "provenance"]
