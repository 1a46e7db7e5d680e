"""Shell completion: the scripts for the shells, and the words that they ask for."""

import os
from pathlib import Path

from cprtools.errors import UsageError

_BASH = """\
_cprtools() {
    local IFS=$'\\n'
    COMPREPLY=()
    local found
    while read -r found; do
        [ -n "$found" ] && COMPREPLY+=("$(printf '%q' "$found")")
    done < <(cprtools --complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    [ ${#COMPREPLY[@]} -gt 0 ] || compopt -o default 2>/dev/null
}
complete -F _cprtools cprtools
"""
_ZSH = """\
#compdef cprtools
_cprtools() {
    local -a found
    found=("${(@f)$(cprtools --complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "$found" ]]; then compadd -a found; else _files; fi
}
compdef _cprtools cprtools
"""
_FISH = """\
function __cprtools
    set -l words (commandline -opc) (commandline -ct)
    cprtools --complete $words[2..-1] 2>/dev/null
end
complete -c cprtools -a '(__cprtools)'
"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
_CHOICES = {
    "--format": ("table", "json", "csv", "parquet"),
    "--partition-by": ("seller_id",),
}
# the folder that each value comes from where --model names none
_FROM_MODEL = {"--product": "cpr.model", "--category": "seller.model"}


def script(shell: str) -> str:
    """The script of a shell, to be read by it. Raises UsageError for a shell without one."""
    if shell not in SCRIPTS:
        raise UsageError(f"--show-completion must be one of {', '.join(SCRIPTS)}, got {shell!r}")
    return SCRIPTS[shell]


def complete(words: list[str], commands: list[str]) -> list[str]:
    """What the last of the words after `cprtools`, which may be empty, can become."""
    *before, start = words or [""]
    if not before:
        return [name for name in [*commands, "--help", "--version"] if name.startswith(start)]
    if before[0] not in commands:
        return []
    last = before[-1]
    if last in _CHOICES:
        return [choice for choice in _CHOICES[last] if choice.startswith(start)]
    if last in _FROM_MODEL and before[0] == "recommend":
        return _from_model(last, _place(before, _FROM_MODEL[last]), start)
    return _options(before[0], start) if start.startswith("-") else []


def _options(command: str, start: str) -> list[str]:
    from cprtools.cli.app import build

    found = (n for param in build(command).params for n in [*param.opts, *param.secondary_opts])
    return sorted(name for name in {*found, "--help", "-h"} if name.startswith(start))


def _place(before: list[str], usual: str) -> str:
    if "--model" in before[:-1]:
        return str(Path(before[before.index("--model") + 1]).expanduser())
    return os.environ.get("CPRTOOLS_MODEL") or usual


def _from_model(option: str, place: str, start: str) -> list[str]:
    from cprtools.answers.completing import category_names, product_ids
    from cprtools.tables.light import leave_pandas_out

    leave_pandas_out()
    names = (product_ids if option == "--product" else category_names)(place, start)
    return [name for name in names if name.isprintable()]
