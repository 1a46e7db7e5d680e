"""The user's names of columns, `--columns OUR=YOURS`: whether a command's tables have them."""

import difflib
from collections.abc import Sequence

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
    if any(source.spec is schemas.ANY for source in sources):
        return []
    warnings = []
    for ours, theirs in {k: v for source in sources for k, v in source.mapping.items()}.items():
        what = f"--columns {ours}={theirs}"
        asked = [source for source in sources if source.spec.field(ours) is not None]
        if not asked and ours not in _OURS:
            near = difflib.get_close_matches(ours, sorted(_OURS), n=1)
            hint = f"; the nearest is {near[0]}" if near else ""
            raise UsageError(f"{what}: no table of ours has a column {quote(ours)}{hint}")
        if not asked or any(_has(source, theirs) for source in asked):
            continue
        if not any(_has(source, ours) for source in asked):
            found = list_names(asked[0].schema(every_line=True).names)
            raise SchemaError(f"{what}: no input has a column {quote(theirs)}; found {found}")
        warnings.append(f"{what}: no input has a column {quote(theirs)}; {ours} is read as it is")
    return warnings


def _has(source: Source, name: str) -> bool:
    if name in source.schema().names or any(name in source.keys(path) for path in source.paths):
        return True
    has_lines = any(format_of(path) == JSON for path in source.paths)
    return has_lines and name in source.schema(every_line=True).names
