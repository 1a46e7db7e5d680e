"""Errors that a user can fix, each with the exit code it ends the program with.

Library code raises these for bad input and ValueError for a caller's bug; only `cli.main` prints.
"""

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


def list_names(names: list[str], limit: int = 12) -> str:
    """Names joined for a message, the first `limit` of them, in the order given."""
    shown = [name if name.isprintable() else quote(name) for name in names[:limit]]
    return ", ".join(shown) + (f" and {len(names) - limit} more" if len(names) > limit else "")
