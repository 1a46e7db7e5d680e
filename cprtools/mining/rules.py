"""What counts as a pair: windows, thresholds, exceptions; and how they are spelled by users."""

import re
from dataclasses import dataclass
from datetime import timedelta

from cprtools.errors import UsageError, quote

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LONGEST = timedelta(days=36500)
_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)\s*([smhdw]?)", re.ASCII)
_SIZE = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)\s*([KMGT]i?B)", re.ASCII | re.IGNORECASE)
FROM_EVENTS = 2
FROM_RELATIONS = 1


@dataclass(frozen=True)
class Rules:
    """The definition's parameters (DESIGN.md 3).

    Counts below a minimum become 0. A minimum left out is `min_count`; left out as well, it is 2
    from events and 1 from relations.
    """

    window: timedelta = timedelta(days=7)
    view_window: timedelta = timedelta(days=1)
    min_count: int | None = None
    min_co_purchase: int | None = None
    min_co_view: int | None = None
    min_purchase_after_view: int | None = None
    count_buyers: bool = False
    """Count co_view and purchase_after_view for the customers who bought the products, too."""
    max_session: int = 500
    """Sessions with more distinct products are bots."""

    def minimums(self, default: int) -> tuple[int, int, int]:
        """The least count of co_purchase, co_view and purchase_after_view."""
        common = default if self.min_count is None else self.min_count
        given = (self.min_co_purchase, self.min_co_view, self.min_purchase_after_view)
        co_purchase, co_view, after_view = (common if one is None else one for one in given)
        return co_purchase, co_view, after_view


def micros(duration: timedelta) -> int:
    """Whole microseconds."""
    return duration // timedelta(microseconds=1)


def parse_duration(text: str, option: str) -> timedelta:
    """`30m`, `12h`, `7d`, `2w`, or plain seconds. Raises UsageError that names the option."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{option} must be a duration such as 30m, 12h or 7d, got {quote(text)}")
    seconds = float(found[1]) * _UNITS[found[2]]
    if seconds > _LONGEST.total_seconds():
        raise UsageError(f"{option} must be at most {_LONGEST.days}d, got {quote(text)}")
    return timedelta(seconds=seconds)


def spell_duration(duration: timedelta) -> str:
    """`7d`, `1d 2h`, `1.5s`, `0s`: as `parse_duration` reads each part; not below zero."""
    left, rest = divmod(duration, timedelta(seconds=1))
    parts = []
    for unit in ("d", "h", "m"):
        whole, left = divmod(left, _UNITS[unit])
        parts += [f"{whole}{unit}"] if whole else []
    seconds = f"{left}.{rest.microseconds:06}".rstrip("0").rstrip(".") if rest else f"{left}"
    return " ".join([*parts, f"{seconds}s"] if seconds != "0" or not parts else parts)


def parse_size(text: str, option: str) -> str:
    """An amount of memory such as `2GB` or `500MB`. Raises UsageError that names the option."""
    found = _SIZE.fullmatch(text.strip())
    if found is None or float(found[1]) == 0:
        raise UsageError(f"{option} must be a size such as 500MB or 2GB, got {quote(text)}")
    return found[1] + found[2]


def size_bytes(size: str) -> int:
    """The bytes of an amount of memory as `parse_size` returns it."""
    found = _SIZE.fullmatch(size)
    if found is None:
        raise ValueError(f"no size: {size}")
    unit = found[2].upper()
    base = 1024 if "I" in unit else 1000
    return int(float(found[1]) * base ** ("KMGT".index(unit[0]) + 1))
