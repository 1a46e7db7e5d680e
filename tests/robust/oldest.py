"""The lower bounds of pyproject.toml as pip constraints, one a line: `numpy>=2.0` is `numpy==2.0`."""

import re
import sys
import tomllib
from pathlib import Path

_BOUND = re.compile(r"([A-Za-z0-9_.-]+)(?:\[[^]]*\])?[=>]=([0-9.]+)")


def constraints(text):
    project = tomllib.loads(text)["project"]
    wanted = [*project["dependencies"], *sum(project["optional-dependencies"].values(), [])]
    return [f"{m[1]}=={m[2]}" for m in map(_BOUND.match, wanted) if m]


if __name__ == "__main__":
    sys.stdout.write("\n".join(constraints(Path(sys.argv[1]).read_text())) + "\n")
