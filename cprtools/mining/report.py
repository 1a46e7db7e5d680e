"""What a mining run read, dropped and found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cprtools.errors import percent
from cprtools.mining.doubts import Doubts
from cprtools.tables import columns as c

RELATIONS = (c.CO_PURCHASE, c.CO_VIEW, c.PURCHASE_AFTER_VIEW)
OVERLAPS = (
    (c.CO_PURCHASE, c.CO_VIEW),
    (c.CO_PURCHASE, c.PURCHASE_AFTER_VIEW),
    (c.CO_VIEW, c.PURCHASE_AFTER_VIEW),
)
# a mistaken --columns event=... may bring a kind of its own in every row
_OTHER_EVENTS_SHOWN = 20


@dataclass(frozen=True)
class Crossing:
    """Of the directed pairs whose two products have a type: how many there are, and cross types."""

    typed: int = 0
    crossing: int = 0

    @property
    def share(self) -> float | None:
        """The part that crosses types, or None where no pair is typed."""
        return self.crossing / self.typed if self.typed else None

    def as_dict(self) -> dict[str, Any]:
        """Counts and share, as JSON holds them."""
        return {"typed": self.typed, "crossing": self.crossing, "share": self.share}


@dataclass(frozen=True)
class CatalogueReport:
    """The log beside a products table; each crossing is (before, after) cleaning."""

    products: int
    unseen: int
    """Products of the catalogue that no usable row names."""
    foreign: int
    """Products of the log that the catalogue lacks."""
    complements: tuple[Crossing, Crossing]
    similar: tuple[Crossing, Crossing]


@dataclass
class MiningReport:
    """Counts of one run; `lines` is how a person reads them, `as_dict` how a program does.

    Before cleaning, complements are all pairs with a co_purchase, and similar pairs those with the
    view relations that the source has; both after the least counts.
    """

    rows: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    """Rows not used, by reason."""
    added: int | None = None
    """Distinct events that the state did not have; None where there was none, or no log."""
    other_events: dict[str, int] = field(default_factory=dict)
    """Rows by their event where that is neither view nor purchase, most frequent first."""
    doubts: Doubts = field(default_factory=Doubts)
    totals: dict[str, int] = field(default_factory=dict)
    """Products and, from events, customers, buyers, sessions and bots."""
    minimums: Mapping[str, int] = field(default_factory=dict)
    present: frozenset[str] = frozenset()
    """Relations that the source has at all, however rarely."""
    after: Mapping[str, int] = field(default_factory=dict)
    """Directed pairs of each relation that reach its least count."""
    overlaps: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Directed pairs that are left in two relations."""
    pairs: int = 0
    complements: int = 0
    similar: int = 0
    paired: int = 0
    """Products in a pair, on either side."""
    flagged: int = 0
    """Products in a complement or similar pair, on either side."""
    catalogue: CatalogueReport | None = None

    @property
    def single_relation(self) -> str | None:
        """The relation that alone decides `similar`, where the source has only one of the two."""
        found = [name for name in (c.CO_VIEW, c.PURCHASE_AFTER_VIEW) if name in self.present]
        return found[0] if len(found) == 1 else None

    @property
    def similar_before(self) -> int:
        """Pairs with the view relations that `similar` asks for, whatever their co_purchase."""
        if self.single_relation is not None:
            return self.after[self.single_relation]
        return self.overlaps[c.CO_VIEW, c.PURCHASE_AFTER_VIEW]

    def lines(self) -> list[tuple[object, ...]]:
        """Rows of name and values for a report."""
        lines: list[tuple[object, ...]] = [("rows read", self.rows)]
        lines += [(f"rows skipped: {reason}", n) for reason, n in self.skipped.items()]
        if self.added is not None:
            lines.append(("events new to the state", self.added))
        lines += list(self.totals.items())
        products = self.totals["products"]
        lines.append(("products in no pair", products - self.paired))
        lines.append(("products with no complement or similar", products - self.flagged))
        for name in RELATIONS:
            least = f"of count {self.minimums[name]} or more"
            said = least if name in self.present else "(it does not occur here)"
            lines.append((f"{name} pairs", self.after[name], said))
        for (one, other), n in self.overlaps.items():
            share = self._overlap_share(one, other)
            said = "(none to share)" if share is None else f"({percent(share)} of the smaller)"
            lines.append((f"{one} and {other}", n, said))
        lines.append(("pairs", self.pairs))
        for kind, after, before in (
            ("complement pairs", self.complements, self.after[c.CO_PURCHASE]),
            ("similar pairs", self.similar, self.similar_before),
        ):
            lines.append((kind, after, f"of {before:,} before cleaning"))
        lines.append(("similar is", self.similar_rule()))
        return lines + self._catalogue_lines()

    def _overlap_share(self, one: str, other: str) -> float | None:
        smaller = min(self.after[one], self.after[other])
        return self.overlaps[one, other] / smaller if smaller else None

    def _catalogue_lines(self) -> list[tuple[object, ...]]:
        if self.catalogue is None:
            return []
        lines: list[tuple[object, ...]] = [
            ("catalogue products", self.catalogue.products),
            ("catalogue products without a row here", self.catalogue.unseen),
            ("products outside the catalogue", self.catalogue.foreign),
        ]
        for name, crossings, before in (
            ("complement", self.catalogue.complements, self.after[c.CO_PURCHASE]),
            ("similar", self.catalogue.similar, self.similar_before),
        ):
            told = [
                "none" if x.share is None else f"{percent(x.share)} of {x.typed:,}"
                for x in crossings
            ]
            said = f"{told[0]} before, {told[1]} after cleaning"
            if before and not crossings[0].typed:
                said = "unknown: no such pair has types of both products"
            lines.append((f"{name} pairs across product types", said))
        return lines

    def similar_rule(self) -> str:
        """How `similar` was decided, from the relations that the source has."""
        if self.single_relation:
            return f"{self.single_relation} without co_purchase: the source has no other"
        if self.present & {c.CO_VIEW, c.PURCHASE_AFTER_VIEW}:
            return "co_view and purchase_after_view without co_purchase"
        return "nothing: no pair was viewed, and every co-purchase is a complement"

    def warnings(self) -> list[str]:
        """What must not go unseen: other events, doubtful rows, an empty result and its reason."""
        found = []
        if self.other_events:
            shown = ", ".join(f"{name} {n:,}" for name, n in list(self.other_events.items())[:5])
            total = sum(self.other_events.values())
            found.append(
                f"{total:,} rows are neither view nor purchase and were skipped: {shown}"
                + self._other_names()
            )
        if self.added == 0:
            found.append("the state had each of these events already; was this log added before?")
        found += self.doubts.warnings()
        if self.pairs == 0:
            found.append(f"no pair is left; {self._why_empty()}")
        return found

    def _other_names(self) -> str:
        """What to do where the skipped rows may be views or purchases under another name."""
        seen = self.present & {c.CO_VIEW, c.PURCHASE_AFTER_VIEW}
        lacking = [] if seen else ["view"]
        if not self.totals.get("customers with a purchase"):
            lacking.append("purchase")
        if not lacking:
            return ""
        names = " or ".join(f"'{name}'" for name in lacking)
        return f"; those that mean a {' or a '.join(lacking)} must be called {names}"

    def _why_empty(self) -> str:
        if not self.present:
            used = self.rows - sum(self.skipped.values())
            return f"{used:,} of {self.rows:,} rows were usable and no two products met in them"
        found = ", ".join(
            f"{name} (least count {self.minimums[name]})"
            for name in RELATIONS
            if name in self.present
        )
        return f"there are pairs of {found}, all below their least counts; lower --min-count"

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON can hold it, keys in a fixed order; shares are null of nothing."""
        products = self.totals["products"]
        return {
            "rows": {
                "read": self.rows,
                "skipped": self.skipped,
                "new_to_the_state": self.added,
                "other_events": dict(list(self.other_events.items())[:_OTHER_EVENTS_SHOWN]),
            },
            "doubts": self.doubts.as_dict(),
            "totals": {name.replace(" ", "_"): n for name, n in self.totals.items()},
            "relations": {
                name: {
                    "occurs": name in self.present,
                    "least_count": self.minimums[name],
                    "pairs": self.after[name],
                }
                for name in RELATIONS
            },
            "overlaps": [
                {
                    "relations": [one, other],
                    "pairs": n,
                    "share_of_smaller": self._overlap_share(one, other),
                }
                for (one, other), n in self.overlaps.items()
            ],
            "pairs": self.pairs,
            "complements": {"before": self.after[c.CO_PURCHASE], "after": self.complements},
            "similar": {
                "before": self.similar_before,
                "after": self.similar,
                "rule": self.similar_rule(),
            },
            "products_in_no_pair": products - self.paired,
            "products_with_no_complement_or_similar": products - self.flagged,
            "catalogue": self._catalogue_dict(),
        }

    def _catalogue_dict(self) -> dict[str, Any] | None:
        found = self.catalogue
        if found is None:
            return None
        return {
            "products": found.products,
            "without_a_row_here": found.unseen,
            "outside_it": found.foreign,
            "across_product_types": {
                name: {"before": before.as_dict(), "after": after.as_dict()}
                for name, (before, after) in (
                    ("complements", found.complements),
                    ("similar", found.similar),
                )
            },
        }
