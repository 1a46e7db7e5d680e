"""Errors that a user can fix, each with the exit code it ends the program with.

Library code raises these for bad input and ValueError for a caller's bug; only `cli.main` prints.
"""

import os

OK = 0
BUG = 1
PARTLY_ANSWERED = 6
INTERRUPTED = 130
CLOSED_PIPE = 141
TERMINATED = 143


class CprError(Exception):
    """A mistake the user can fix; its text is one line: source, what is wrong, what to do."""

    exit_code = BUG


class UsageError(CprError):
    """Options that contradict each other or are out of range."""

    exit_code = 2


class SchemaError(CprError):
    """A table or model that reads well but does not hold what was asked of it."""

    exit_code = 3


class DataError(CprError):
    """A file that is missing, damaged, unreadable or unwritable."""

    exit_code = 4


class MissingExtraError(CprError):
    """An optional package that is not installed."""

    exit_code = 5


class PartialAnswerError(CprError):
    """Some of the ids asked for are unknown; the others were answered and written."""

    exit_code = PARTLY_ANSWERED


def quote(value: object) -> str:
    """A value from a user's file as it may be shown: escaped, so a terminal never obeys it."""
    text = str(value)
    if len(text) > 60:
        text = text[:57] + "..."
    return repr(text)


def printable(text: str) -> str:
    """Text in which nothing commands a terminal: what cannot be seen is escaped, newlines too."""
    return "".join(ch if ch.isprintable() else repr(ch)[1:-1] for ch in text)


def reason(error: OSError) -> str:
    """What the system says of an error, without the path it repeats."""
    if error.errno is None:
        return "cannot be written"
    return os.strerror(error.errno).lower()


def percent(share: float, digits: int = 1) -> str:
    """A share in percent; what is more than nothing and less than all never reads as 0% or 100%."""
    text = f"{share:.{digits}%}"
    least = 10**-digits
    if share > 0 and float(text[:-1]) == 0:
        return f"<{least:.{digits}f}%"
    if share < 1 and float(text[:-1]) == 100:
        return f">{100 - least:.{digits}f}%"
    return text


def four_digits(value: float) -> str:
    """A number with four digits that count, or all before the point: 50,000, never 5e+04."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def show_name(name: str) -> str:
    """A name as it may stand in a line of text: as it is where every character can be seen."""
    return name if name and name.isprintable() else quote(name)


def list_names(names: list[str], limit: int = 12) -> str:
    """Names joined for a message, the first `limit` of them, in the order given."""
    shown = [show_name(name) for name in names[:limit]]
    return ", ".join(shown) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def nearest_names(wanted: str, names: list[str]) -> str:
    """`; did you mean a, b?` for an unknown name, or the first names there are."""
    import difflib

    close = difflib.get_close_matches(wanted, names, n=3, cutoff=0.6)
    if not close:
        lowered = {name.lower(): name for name in names}
        matches = difflib.get_close_matches(wanted.lower(), list(lowered), n=3, cutoff=0.5)
        close = [lowered[name] for name in matches]
    if close:
        return f"; did you mean {list_names(close)}?"
    return f"; there are {list_names(sorted(names)[:5])}, ..." if names else ""
