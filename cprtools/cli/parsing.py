"""How options are read: plain values without the library that checks the others, some only once."""

from collections.abc import Callable
from typing import Any, get_args

import typer

from cprtools.errors import UsageError

Read = Callable[[Any, Any], Any]

# where the last of several would be answered alone, and in silence
_ONCE = {
    "--product": "many products are a table: --queries",
    "--seller": "many sellers are a table: --queries",
}


def read_plainly(command: Any) -> None:
    """Let plain values of a Typer command's options pass as they are.

    Typer asks pydantic about every value, absent ones too, and loading pydantic takes longer than
    an answer. What is not plain, or wrong, still goes to Typer, and gets its message.
    """
    # --help is made when it is asked for, and kept
    for option in command.get_params(typer.Context(command, **command.context_settings)):
        descriptor = getattr(option, "type_descriptor", None)
        if descriptor is None:
            continue
        kinds = [kind for kind in get_args(descriptor.annotation) if kind is not type(None)]
        if option.multiple or option.nargs != 1:
            option.process_value = _several(option, kinds)
            continue
        kind = kinds[0] if len(kinds) == 1 else descriptor.annotation
        if kind in (str, int, float, bool):
            info = descriptor.parameter_info
            option.process_value = _reader(option, kind, info.min, info.max)
        if option.opts[0] in _ONCE:
            _read_once(option)


def _read_once(option: Any) -> None:
    """Let the option raise UsageError where it is given again."""
    read: Read = option.process_value

    def add_to_parser(parser: Any, context: Any) -> None:
        parser.add_option(obj=option, opts=option.opts, dest=option.name, action="append")

    def process_value(context: Any, values: Any) -> Any:
        if not isinstance(values, list):
            return read(context, values)
        if len(values) > 1:
            often = "twice" if len(values) == 2 else f"{len(values)} times"
            name = option.opts[0]
            raise UsageError(f"{name} is given {often}; {_ONCE[name]}")
        return read(context, values[0])

    option.add_to_parser, option.process_value = add_to_parser, process_value


def _several(option: Any, kinds: list[Any]) -> Read:
    full: Read = option.process_value
    is_tuple = option.nargs > 1

    def process_value(context: Any, value: Any) -> Any:
        if option.callback or (option.required and not value):
            return full(context, value)
        if not value:
            return None if is_tuple else ()
        if set(kinds) != {str} or not all(isinstance(one, str) for one in value):
            return full(context, value)
        return tuple(value) if is_tuple else list(value)

    return process_value


def _reader(option: Any, kind: type, least: float | None, most: float | None) -> Read:
    full: Read = option.process_value

    def process_value(context: Any, value: Any) -> Any:
        plain = _plain(value, kind)
        if plain is None and (value is not None or option.required):
            return full(context, value)
        if kind in (int, float) and plain is not None:
            above = least is None or plain >= least
            if not (above and (most is None or plain <= most)):
                return full(context, value)
        return option.callback(context, option, plain) if option.callback else plain

    return process_value


def _plain(value: Any, kind: type) -> Any:
    if type(value) is kind:
        return value
    if kind is int and isinstance(value, str) and value.isascii() and value.isdecimal():
        return int(value)
    if kind is float and isinstance(value, str) and value.replace(".", "", 1).isdecimal():
        return float(value) if value.isascii() else None
    return float(value) if kind is float and type(value) is int else None
