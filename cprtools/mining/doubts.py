"""What a log holds that is seldom meant: told, and read as it is."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

# no shop's log is older; epoch numbers in another unit than their size tells land before it
EARLIEST = datetime(1990, 1, 1)
# a clock that is a zone ahead is no mistake
_LEEWAY = timedelta(days=1)
# a busy shopper of ten years stays below it
HEAVY = 100_000
# nor does one shopper make a twentieth of a log; a log of a few hundred events says nothing
HEAVY_SHARE, FEW = 0.05, 1_000


def latest() -> datetime:
    """The time after which a row is dated in the future, in UTC without zone."""
    return datetime.now(UTC).replace(tzinfo=None) + _LEEWAY


@dataclass
class Doubts:
    """Usable rows and customers that deserve a look."""

    early: int = 0
    """Rows before EARLIEST."""
    late: int = 0
    """Rows more than a day in the future."""
    heavy: int = 0
    """Customers of more than HEAVY events."""
    heaviest: int = 0
    """The most events of one customer."""
    events: int = 0
    """Events of all customers."""

    def warnings(self) -> list[str]:
        """One line for each kind that there is."""
        found = []
        for n, when in (
            (self.early, f"before {EARLIEST.year}"),
            (self.late, "more than a day in the future"),
        ):
            if n:
                found.append(
                    f"{n:,} {'row is' if n == 1 else 'rows are'} dated {when} and read as "
                    "they are; is the unit or the format of the times right?"
                )
        if not self.heavy and self.heaviest > max(FEW, HEAVY_SHARE * self.events):
            found.append(
                f"one customer has {self.heaviest:,} of {self.events:,} events: if it stands for "
                "all guests, leave its customer_id empty and each session counts as a customer"
            )
        if self.heavy:
            one = "one customer has" if self.heavy == 1 else f"{self.heavy:,} customers have"
            most = "" if self.heavy == 1 else f", the largest {self.heaviest:,}"
            events = f"{self.heaviest:,}" if self.heavy == 1 else f"more than {HEAVY:,}"
            found.append(
                f"{one} {events} events{most}: a bot or a shared account counts as one customer "
                "in every pair it makes; leave it out if it is no shopper"
            )
        return found

    def as_dict(self) -> dict[str, int]:
        """The counts, as JSON holds them."""
        return {
            f"rows_dated_before_{EARLIEST.year}": self.early,
            "rows_dated_in_the_future": self.late,
            f"customers_of_over_{HEAVY}_events": self.heavy,
            "most_events_of_one_customer": self.heaviest,
        }
