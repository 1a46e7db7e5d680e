"""One subcommand as a Typer app, with the options that every command has."""

import importlib
import inspect
import os
from collections.abc import Callable
from typing import Annotated, Any

import typer
import typer.main

from cprtools import __version__
from cprtools.cli import console
from cprtools.cli.options import Seed
from cprtools.cli.parsing import read_plainly

# OpenBLAS's threads look for work at full speed for so many cycles, as a power of two, before they
# sleep: a third of a millisecond. By itself it takes 26, 20 ms, a good part of a single answer
_TIMEOUT = "20"

_HELP = ["--help", "-h"]


def build(name: str) -> Any:
    """The runnable command of that name: a single-command app, which starts faster than a group."""
    module = importlib.import_module(f"cprtools.cli.{name.replace('-', '_')}")
    function = getattr(module, name.replace("-", "_"))
    app = typer.Typer(
        add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, name=name
    )
    app.command(name=name, context_settings={"help_option_names": _HELP})(
        _with_common_options(function, name)
    )
    command = typer.main.get_command(app)
    read_plainly(command)
    return command


def _with_common_options(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    signature = inspect.signature(function)
    own = list(signature.parameters.values())
    common = [p for p in _common_parameters() if p.name not in signature.parameters]

    def run(**values: Any) -> Any:
        context = values.pop("context")
        named = {p.name: option_name(p) for p in context.command.params}
        console.begin(name, {named[key]: value for key, value in context.params.items()})
        return function(**{p.name: values[p.name] for p in own})

    first = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in [*own, *common]]
    run.__signature__ = signature.replace(parameters=[first, *keyword])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in [first, *keyword]}
    run.__doc__ = function.__doc__
    return run


def option_name(parameter: Any) -> str:
    """An option as it is typed, without dashes in front and with _ within; or an argument's name.

    Not always the parameter's: `all` and `with` are Python's own words.
    """
    long = [name[2:] for name in parameter.opts if name.startswith("--")]
    return long[0].replace("-", "_") if long else str(parameter.name)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"cprtools {__version__}")
        raise typer.Exit


def _be_quiet(value: bool) -> bool:
    console.set_quiet(value)
    return value


def _limit_threads(value: int | None) -> int | None:
    # before numpy, torch or duckdb are imported: they read it once
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", _TIMEOUT)
    if value is not None:
        for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ[variable] = str(value)
        console.set_threads(value)
    return value


def _load_config(context: typer.Context, value: str | None) -> str | None:
    if value is None:
        return None
    import tomllib

    try:
        with open(value, "rb") as file:
            given = tomllib.load(file)
    except OSError:
        raise typer.BadParameter(f"{value}: no such file, or not readable") from None
    except tomllib.TOMLDecodeError as error:
        raise typer.BadParameter(f"{value}: {error}") from None
    known = {option_name(p): p for p in context.command.params if p.name != "config"}
    settings = {}
    for key, item in given.items():
        parameter = known.get(key.replace("-", "_"))
        if parameter is None:
            allowed = ", ".join(sorted(name.replace("_", "-") for name in known))
            raise typer.BadParameter(f"{value}: no option {key!r}; there are {allowed}")
        # of an option that may be repeated, too, one value is enough
        is_alone = getattr(parameter, "multiple", False) and not isinstance(item, list)
        settings[parameter.name] = [item] if is_alone else item
    context.default_map = {**settings, **(context.default_map or {})}
    return value


Threads = Annotated[
    int | None,
    typer.Option(
        min=1, callback=_limit_threads, is_eager=True, help="Threads to use, default all."
    ),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", callback=_be_quiet, help="No progress, no reports on stderr."),
]
Config = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        callback=_load_config,
        is_eager=True,
        help="TOML file with keys named as the options; options typed go first.",
    ),
]
Version = Annotated[
    bool,
    typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
]


def _common_parameters() -> list[inspect.Parameter]:
    options: list[tuple[str, Any, Any]] = [
        ("seed", Seed, 0),
        ("threads", Threads, None),
        ("quiet", Quiet, False),
        ("config", Config, None),
        ("version", Version, False),
    ]
    kind = inspect.Parameter.KEYWORD_ONLY
    return [inspect.Parameter(n, kind, default=d, annotation=a) for n, a, d in options]
