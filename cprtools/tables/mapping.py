"""The user's names of columns, `--columns OUR=YOURS`: whether a command's tables have them."""

import difflib
from collections.abc import Collection, Mapping, Sequence

from cprtools.errors import SchemaError, UsageError, list_names, quote
from cprtools.tables import schemas
from cprtools.tables.formats import JSON, format_of
from cprtools.tables.schemas import TableSpec
from cprtools.tables.source import Source

_OURS = frozenset(
    field.name
    for spec in vars(schemas).values()
    if isinstance(spec, TableSpec)
    for field in spec.fields
)


def check_mapping(sources: Sequence[Source]) -> list[str]:
    """Refuse a name that is none of ours, or none of the tables': a typo, that loses a column.

    Names for tables of other commands are fine, since one mapping may serve them all. Returns
    warnings: names that no table has while one has our own. Raises UsageError, SchemaError.
    """
    mapping = {ours: name for source in sources for ours, name in source.mapping.items()}
    if not mapping or any(source.spec is schemas.ANY for source in sources):
        return []
    warnings = []
    # a log may have thousands of files: looked at once
    tables = [_Columns(source) for source in sources]
    for ours, theirs in mapping.items():
        asked = [table for table in tables if table.source.spec.field(ours) is not None]
        if not asked:
            _refuse_unknown(ours, theirs)
        if not asked or any(table.have(theirs) for table in asked):
            continue
        if not any(table.have(ours) for table in asked):
            found = list_names(asked[0].source.schema(every_line=True).names)
            raise SchemaError(f"{_no_input(ours, theirs)}; found {found}")
        warnings.append(_read_as_it_is(ours, theirs))
    return warnings


def names_in_any(
    mapping: Mapping[str, str], asked: Sequence[str], found: Collection[str]
) -> tuple[list[str], list[str]]:
    """What the columns `asked` for are called in a table of any kind, and warnings.

    found: the table's own names. A mapping to a name that it lacks is passed over where it has
    ours. Raises UsageError for a mapping of a name that is neither asked for nor one of ours.
    """
    names, warnings = [], []
    for ours in sorted(mapping.keys() - {*asked}):
        _refuse_unknown(ours, mapping[ours])
    for ours in asked:
        theirs = mapping.get(ours, ours)
        if theirs not in found and ours in found:
            warnings.append(_read_as_it_is(ours, theirs))
            theirs = ours
        names.append(theirs)
    return names, warnings


def _refuse_unknown(ours: str, theirs: str) -> None:
    if ours not in _OURS:
        near = difflib.get_close_matches(ours, sorted(_OURS), n=1)
        hint = f"; the nearest is {near[0]}" if near else ""
        what = f"--columns {ours}={theirs}"
        raise UsageError(f"{what}: no table of ours has a column {quote(ours)}{hint}")


def _read_as_it_is(ours: str, theirs: str) -> str:
    return f"{_no_input(ours, theirs)}; {ours} is read as it is"


def _no_input(ours: str, theirs: str) -> str:
    return f"--columns {ours}={theirs}: no input has a column {quote(theirs)}"


class _Columns:
    """The names that a source has, those of its folders among them."""

    def __init__(self, source: Source):
        self.source = source
        folders = (key for path in source.paths for key in source.keys(path))
        self._names = frozenset([*source.schema().names, *folders])
        self._has_lines = any(format_of(path) == JSON for path in source.paths)

    def have(self, name: str) -> bool:
        """Whether any row may have a value of that name."""
        if name in self._names:
            return True
        # lines further down may have more than the first ones
        return self._has_lines and name in self.source.schema(every_line=True).names
