"""Everything a user sees besides the data: progress, reports and warnings, all on stderr."""

import contextlib
import os
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from cprtools.errors import four_digits, printable

if TYPE_CHECKING:
    from cprtools.tables import Footer


@dataclass
class _Run:
    """What this process was asked to do."""

    command: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    outputs: Sequence[str] = ()
    writes_folders: bool = False
    is_checked: bool = False
    quiet: bool = False
    threads: int | None = None


_run = _Run()
T = TypeVar("T")

_OUTPUTS = ("output", "test_out", "report")
_WRITE_FOLDERS = ("build-graph", "train-cpr", "train-linkpred")
# these name places or the look of the run, and decide no row; inputs are in the footer by digest
_NOT_RECORDED = frozenset(
    [
        "context",
        "output",
        "test_out",
        "quiet",
        "threads",
        "config",
        "version",
        "seed",
        "report",
        "format",
        "memory_limit",
        "checkpoint",
        "resume",
        # a footer that named who was taken out would not have forgotten them
        "forget",
        "engine",
        "cache",
        "master",
        "spark_conf",
    ]
)


def begin(command: str, params: Mapping[str, Any]) -> None:
    """Remember the command and its options for the footers of what it writes."""
    _run.command, _run.is_checked = command, False
    _run.seed = int(params.get("seed", 0) or 0)
    _run.outputs = [params[key] for key in _OUTPUTS if params.get(key) not in (None, "-")]
    _run.writes_folders = command in _WRITE_FOLDERS or bool(params.get("partition_by"))
    _run.params = {
        key: _portable(value)
        for key, value in params.items()
        if key not in _NOT_RECORDED and value is not None
    }


def _portable(value: Any) -> Any:
    if isinstance(value, str) and os.path.isabs(value):
        from cprtools.tables import label_of

        return label_of(value)
    if isinstance(value, list | tuple):
        return [_portable(item) for item in value]
    return value


def check_inputs(*inputs: Any, may_grow: Any = None) -> None:
    """Look at the tables and folders of this run, some of them None, before hours are spent.

    may_grow: the one to which the output may be added. Raises UsageError where the run would write
    over one of them or into another, and as `check_mapping` does.
    """
    from cprtools.tables import Source, check_mapping, refuse_growing, refuse_overwriting

    refuse_overwriting(_run.outputs, inputs)
    if not _run.is_checked:
        grown = [each for each in inputs if each is not may_grow]
        refuse_growing(_run.outputs, grown, are_folders=_run.writes_folders)
        for warning in check_mapping([each for each in inputs if isinstance(each, Source)]):
            warn(warning)
    _run.is_checked = True


def footer(*inputs: Any, without: Collection[str] = (), **facts: Any) -> "Footer":
    """The footer of this run's output, made from these sources and folders.

    without: options that decide no row of it; facts: what its options do not say. Raises as
    `check_inputs` does.
    """
    from cprtools.tables import Footer

    check_inputs(*inputs)
    sources = [source for source in inputs if source is not None]
    params = {key: value for key, value in _run.params.items() if key not in without}
    return Footer(_run.command, {**params, **facts}, _run.seed, sources)


def set_quiet(value: bool) -> None:
    """Switch reports and progress off."""
    _run.quiet = value


def set_threads(value: int) -> None:
    """Remember --threads for libraries that take it as an argument."""
    _run.threads = value


def threads() -> int:
    """Threads to use: --threads, else all processors this process may use."""
    return _run.threads or len(os.sched_getaffinity(0))


def report(title: str, rows: Iterable[Sequence[object]]) -> None:
    """A short report on stderr: a title and aligned name-value lines."""
    if _run.quiet:
        return
    lines = [(str(row[0]), "  ".join(_number(value) for value in row[1:])) for row in rows]
    width = max((len(name) for name, _ in lines), default=0)
    text = [printable(title), *(printable(f"  {name:<{width}}  {value}") for name, value in lines)]
    _tell("".join(f"{line}\n" for line in text))


def note(message: str) -> None:
    """One line on stderr that is no warning."""
    if not _run.quiet:
        _tell(f"cprtools: {printable(message)}\n")


def warn(message: str) -> None:
    """One line on stderr that the user should see even in a quiet run."""
    _tell(f"cprtools: warning: {printable(message)}\n")


def _tell(text: str) -> None:
    # hours of work are not given up because the log that tells of them is full, or closed
    with contextlib.suppress(OSError, AttributeError):
        sys.stderr.write(text)


def _number(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else four_digits(value)


def progress(steps: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """The steps one by one, with a line on a terminal's stderr: done, rate and time left."""
    if _run.quiet or sys.stderr is None or not sys.stderr.isatty():
        yield from steps
        return
    start = shown = time.monotonic()
    done = 0
    try:
        for done, step in enumerate(steps, 1):
            yield step
            now = time.monotonic()
            if now - shown > 0.2:
                shown = now
                line = _progress_line(label, done, total, now - start)
                _tell(f"\r{line}\x1b[K")
    finally:
        # steps that are left early, too, end with a whole line
        line = _progress_line(label, done, total, time.monotonic() - start)
        _tell(f"\r{line}\x1b[K\n")


def _progress_line(label: str, done: int, total: int | None, seconds: float) -> str:
    rate = done / max(seconds, 1e-9)
    if not total:
        return f"{label}: {done:,} ({rate:,.1f}/s)"
    left = (total - done) / max(rate, 1e-9)
    return f"{label}: {done:,}/{total:,} ({rate:,.1f}/s, {left:,.0f} s left)"
