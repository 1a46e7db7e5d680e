"""The command line: picks the subcommand's file by name, runs it, turns errors into exit codes."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

from cprtools import __version__, errors

# one line each, in the order of a day's work; the subcommand's file has the same name with _
COMMANDS = {
    "mine-pairs": "Count which products are viewed and bought together.",
    "embed-text": "Turn titles into vectors.",
    "build-graph": "Join listings, pairs, products and page views into one graph.",
    "train-cpr": "Learn which products complete a product.",
    "train-linkpred": "Learn which products suit a seller.",
    "recommend": "Answer: complements of a product, products for a seller.",
    "evaluate": "Measure recommendations on held-out data.",
    "split": "Divide a table into training and test rows.",
    "inspect": "Show what a file or folder holds and what it was made from.",
}


def main(args: list[str] | None = None) -> NoReturn:
    """Run one subcommand and leave the process with a documented exit code."""
    words = sys.argv[1:] if args is None else args
    signal.signal(signal.SIGTERM, _terminate)
    signal.signal(signal.SIGINT, _interrupt)
    try:
        code = _run(words)
    finally:
        # one that was put off comes too late: nothing is left to be cut off
        signal.setitimer(signal.ITIMER_REAL, 0)
    sys.exit(code)


def _run(words: list[str]) -> int:
    for word in words:
        # bytes that are no text come from the shell as lone surrogates, which no library takes
        if any("\ud800" <= letter <= "\udfff" for letter in word):
            _complain(
                f"{errors.quote(word)} is not UTF-8; rename the file, or run in a UTF-8 locale"
            )
            return errors.UsageError.exit_code
    if not words or words[0] in ("-h", "--help"):
        return _say(overview()) or (errors.OK if words else errors.UsageError.exit_code)
    if words[0] in ("-V", "--version"):
        return _say(f"cprtools {__version__}\n")
    name = words[0]
    if name in ("--show-completion", "--complete"):
        return _guard(lambda: _completion(name, words[1:]))
    if name not in COMMANDS:
        _complain(f"no command {errors.quote(name)}; there are {', '.join(COMMANDS)}")
        return errors.UsageError.exit_code
    return _guard(lambda: _command(name, words[1:]))


def _completion(name: str, words: list[str]) -> int:
    from cprtools.cli.completion import complete, script

    if name == "--show-completion":
        return _say(script(words[0] if words else ""))
    return _say("".join(f"{word}\n" for word in complete(words, list(COMMANDS))))


def _command(name: str, words: list[str]) -> int:
    from cprtools.cli.app import build

    result = build(name)(args=words, prog_name=f"cprtools {name}", standalone_mode=False)
    return result if isinstance(result, int) else errors.OK


def _guard(run: Callable[[], int]) -> int:
    import typer

    try:
        code = run()
        if code == errors.INTERRUPTED:
            # Typer takes an interrupt for an answer of its own, without a word
            _complain("interrupted")
        return code
    except errors.CprError as error:
        return _report(str(error), error.exit_code)
    except typer.Exit as error:
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return _report("interrupted", errors.INTERRUPTED)
    except BrokenPipeError:
        return _nobody_reads()
    except SystemExit as error:
        # Typer ends with 1 when the reader of a help text has gone
        if isinstance(error.__context__, BrokenPipeError):
            return _nobody_reads()
        raise
    except typer.TyperException as error:
        return _report(_usage_text(error), errors.UsageError.exit_code)
    except OSError as error:
        if error.errno is None:
            return _bug(error)
        where = f"{error.filename}: " if error.filename else ""
        _silence_stdout()
        return _report(f"{where}{errors.reason(error)}", errors.DataError.exit_code)
    except MemoryError:
        return _report("out of memory", errors.BUG)
    except Exception as error:  # noqa: BLE001 - the last line of defence: one line, not a traceback
        return _bug(error)


def _bug(error: Exception) -> int:
    # DuckDB swallows what a signal's handler raises and says "Query interrupted" instead
    if _signalled == [errors.TERMINATED]:
        return errors.TERMINATED
    if _signalled:
        return _report("interrupted", errors.INTERRUPTED)
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return _report(f"a bug in cprtools: {text[:300]}; CPRTOOLS_DEBUG=1 shows where", errors.BUG)


def _say(text: str) -> int:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        return _nobody_reads()
    except (OSError, AttributeError):
        _silence_stdout()
        return _report("standard output: cannot be written", errors.DataError.exit_code)
    return errors.OK


def _nobody_reads() -> int:
    _silence_stdout()
    return errors.CLOSED_PIPE


def _silence_stdout() -> None:
    # what is left in the buffer is flushed at exit: give it somewhere harmless to go
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report(message: str, code: int) -> int:
    if os.environ.get("CPRTOOLS_DEBUG") == "1":
        import traceback

        traceback.print_exc()
    _complain(message)
    return code


def _usage_text(error: Any) -> str:
    format_message = getattr(error, "format_message", None)
    text = format_message() if format_message else str(error)
    return " ".join(text.split()).rstrip(".")


def _complain(message: str) -> None:
    # a user's file may hold anything: a message never carries control characters to the terminal
    with contextlib.suppress(OSError, AttributeError):
        sys.stderr.write(f"cprtools: error: {errors.printable(message)}\n")


_signalled: list[int] = []
# seconds until a signal that came in the middle of an import is looked at again
_IMPORT_PAUSE = 0.02


def _interrupt(signum: int, frame: FrameType | None) -> None:
    _signalled[:] = [errors.INTERRUPTED]
    if not _comes_again(frame, _interrupt):
        raise KeyboardInterrupt


def _terminate(signum: int, frame: FrameType | None) -> None:
    # an exception, so that `finally` removes what is half-written
    _signalled[:] = [errors.TERMINATED]
    if not _comes_again(frame, _terminate):
        raise SystemExit(errors.TERMINATED)


def _comes_again(frame: FrameType | None, handler: Callable[..., None]) -> bool:
    """Put a signal off while a module is imported: a C library cut off there aborts the process."""
    while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    if frame is not None:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, _IMPORT_PAUSE)
    return frame is not None


def overview() -> str:
    """The text of `cprtools --help`."""
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:<{width}}  {text}" for name, text in COMMANDS.items())
    return f"""Usage: cprtools COMMAND [OPTIONS] ...

Complementary-product and seller-product recommendations from Parquet files.

Commands:
{listed}

Example:
  cprtools mine-pairs events.parquet -o pairs.parquet
  cprtools train-cpr pairs.parquet --products products.parquet -o cpr.model/
  cprtools recommend --model cpr.model/ --product P1

cprtools COMMAND --help explains a command; cprtools --version prints the version.
Completion: eval "$(cprtools --show-completion bash)", or zsh, or fish.
"""
