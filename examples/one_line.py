"""An error of data or usage as one line and an exit code, as the commands have it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from cprtools.errors import OK, CprError


def run(main: Callable[[], None]) -> NoReturn:
    """Call a script's main and end the process with its exit code."""
    try:
        main()
    except CprError as error:
        sys.stderr.write(f"{Path(sys.argv[0]).name}: error: {error}\n")
        sys.exit(error.exit_code)
    sys.exit(OK)
