"""The lower bounds of pyproject.toml as pip constraints: of `numpy>=2.0`, `numpy==2.0`."""

import re
import sys
import tomllib
from pathlib import Path

_BOUND = re.compile(r"([A-Za-z0-9_.-]+)(?:\[[^]]*\])?[=>]=([0-9.]+)")


def constraints(text):
    project = tomllib.loads(text)["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    wanted = [requirement for group in groups for requirement in group]
    return [f"{m[1]}=={m[2]}" for m in map(_BOUND.match, wanted) if m]


if __name__ == "__main__":
    sys.stdout.write("\n".join(constraints(Path(sys.argv[1]).read_text())) + "\n")
