"""What a mining run read, dropped and found."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cprtools.mining.doubts import Doubts
from cprtools.tables import columns as c

RELATIONS = (c.CO_PURCHASE, c.CO_VIEW, c.PURCHASE_AFTER_VIEW)
OVERLAPS = (
    (c.CO_PURCHASE, c.CO_VIEW),
    (c.CO_PURCHASE, c.PURCHASE_AFTER_VIEW),
    (c.CO_VIEW, c.PURCHASE_AFTER_VIEW),
)


@dataclass
class MiningReport:
    """Counts of one run; `lines` is how a person reads them."""

    rows: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    """Rows not used, by reason."""
    other_events: dict[str, int] = field(default_factory=dict)
    """Rows by their event where that is neither view nor purchase, most frequent first."""
    doubts: Doubts = field(default_factory=Doubts)
    totals: dict[str, int] = field(default_factory=dict)
    """Products and, from events, customers, buyers, sessions and bots."""
    minimums: Mapping[str, int] = field(default_factory=dict)
    before: Mapping[str, int] = field(default_factory=dict)
    """Directed pairs of each relation with any count."""
    present: frozenset[str] = frozenset()
    """Relations that the source has at all."""
    after: Mapping[str, int] = field(default_factory=dict)
    """Directed pairs of each relation that reach its least count."""
    overlaps: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Directed pairs that are left in two relations."""
    pairs: int = 0
    complements: int = 0
    similar: int = 0

    @property
    def single_relation(self) -> str | None:
        """The relation that alone decides `similar`, where the source has only one of the two."""
        found = [name for name in (c.CO_VIEW, c.PURCHASE_AFTER_VIEW) if name in self.present]
        return found[0] if len(found) == 1 else None

    def lines(self) -> list[tuple[object, ...]]:
        """Rows of name and values for a report."""
        lines: list[tuple[object, ...]] = [("rows read", self.rows)]
        lines += [(f"rows skipped: {reason}", n) for reason, n in self.skipped.items()]
        lines += list(self.totals.items())
        for name in RELATIONS:
            kept, least = self.after[name], self.minimums[name]
            lines.append((f"{name} pairs", self.before[name], f"of count {least} or more:", kept))
        for (one, other), n in self.overlaps.items():
            smaller = min(self.after[one], self.after[other])
            share = f"{n / smaller:.1%} of the smaller" if smaller else "none to share"
            lines.append((f"{one} and {other}", n, share))
        lines += [("pairs written", self.pairs), ("complement pairs", self.complements)]
        return [*lines, ("similar pairs", self.similar, self.similar_rule())]

    def similar_rule(self) -> str:
        """How `similar` was decided, from the relations that the source has."""
        if self.single_relation:
            return f"({self.single_relation} without co_purchase: the source has no other)"
        if self.present & {c.CO_VIEW, c.PURCHASE_AFTER_VIEW}:
            return "(co_view and purchase_after_view without co_purchase)"
        return "(the source has no views: every co-purchase is a complement)"

    def warnings(self) -> list[str]:
        """What must not go unseen: other events, doubtful rows, an empty result and its reason."""
        found = []
        if self.other_events:
            shown = ", ".join(f"{name} {n:,}" for name, n in list(self.other_events.items())[:5])
            total = sum(self.other_events.values())
            found.append(f"{total:,} rows are neither view nor purchase and were skipped: {shown}")
        found += self.doubts.warnings()
        if self.pairs == 0:
            found.append(f"no pair is left; {self._why_empty()}")
        return found

    def _why_empty(self) -> str:
        if not any(self.before.values()):
            used = self.rows - sum(self.skipped.values())
            return f"{used:,} of {self.rows:,} rows were usable and no two products met in them"
        counts = ", ".join(
            f"{self.before[name]:,} {name} (least count {self.minimums[name]})"
            for name in RELATIONS
        )
        return f"before the least counts there were {counts}; lower --min-count"
