"""Draw what a command prints on a terminal, as an SVG that loads nothing from elsewhere.

python examples/terminal_picture.py FOLDER OUT.svg recommend --seller S1 --category Photography

The command runs in FOLDER on a terminal of its own; what it prints there is the picture.
"""

import argparse
import html
import io
import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

WIDTH = 120
CELL = 20 * 0.61  # of a character, as rich draws it
# rich's own form asks a server for its font; here any font of even width will do
FORMAT = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font: {char_height}px monospace; line-height: {line_height}px }}
.{unique_id}-title {{ font: bold 18px sans-serif }}
{styles}
</style>
<clipPath id="{unique_id}-clip-terminal">
<rect width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
# a line, or a part of one in its own style; each is cut off by a path of its own, but all fit
_TEXT = re.compile(
    r'<text class="(?P<style>[^"]*)" x="(?P<x>[^"]*)" y="(?P<y>[^"]*)" textLength="[^"]*" '
    r'clip-path="[^"]*">(?P<line>[^<]*)</text>'
)


def print_on_terminal(words: list[str], folder: Path) -> str:
    """What `cprtools WORDS` prints where its output is a terminal, colours and all."""
    ours, its = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
    environment.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "cprtools", *words]
    # its progress is no part of the answer
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=its, stderr=subprocess.PIPE
    ) as process:
        os.close(its)
        printed = _read(ours)
        said = process.stderr.read().decode() if process.stderr else ""
    if process.returncode:
        raise SystemExit(said.strip())
    return printed.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    """All that comes from it; Linux ends with an error once nobody has the other side open."""
    blocks = []
    try:
        while block := os.read(terminal, 1 << 16):
            blocks.append(block)
    except OSError:
        pass
    finally:
        os.close(terminal)
    return b"".join(blocks)


def draw(words: list[str], printed: str) -> str:
    """The SVG of the command and what it printed."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), highlight=False)
    console.print(Text(f"$ {shlex.join(['cprtools', *words])}", style="bold"))
    console.print(Text.from_ansi(printed.rstrip()))
    return _TEXT.sub(_place_words, console.export_svg(title="cprtools", code_format=FORMAT))


def _place_words(found: re.Match[str]) -> str:
    """Words that stand together as one text in its place: columns need no blanks, and no font."""
    line = html.unescape(found["line"]).replace("\xa0", " ")
    placed = []
    for words in re.finditer(r"\S+(?: \S+)*", line):
        start = float(found["x"]) + CELL * cell_len(line[: words.start()])
        width = CELL * cell_len(words[0])
        placed.append(
            f'<text class="{found["style"]}" x="{start:.1f}" y="{found["y"]}" '
            f'textLength="{width:.1f}">{html.escape(words[0], quote=False)}</text>'
        )
    return "\n".join(placed)


def main() -> None:
    """Run the command and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND ...")
    options = parser.parse_args()
    picture = draw(options.words, print_on_terminal(options.words, options.folder))
    lines = (line.rstrip() for line in picture.splitlines())
    options.out.write_text("\n".join(filter(None, lines)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
