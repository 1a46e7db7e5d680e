"""Kill every command at random moments, fill its disk, close its pipes, and look at what is left.

`python -m tests.robust.faults --moments 50` runs everything; the suite runs a small part of it.
"""

import argparse
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from tests.robust import market

SIGNALS = (signal.SIGKILL, signal.SIGTERM)
# a signal may come before Python has its handlers
ENDS = {signal.SIGKILL: (0, -9), signal.SIGTERM: (0, 143, -15)}
# modes mean nothing to root, unless it gives this right up
_RIGHTS = "-dac_override,-dac_read_search"
MERE_USER = (
    ("setpriv", f"--bounding-set={_RIGHTS}", f"--inh-caps={_RIGHTS}") if os.getuid() == 0 else ()
)


@dataclass(frozen=True)
class Case:
    """A command line without its seed, what it writes, and a file for its standard input."""

    words: str
    targets: tuple[str, ...]
    stdin: str | None = None
    state: str = ""
    """What one run leaves to the next one, beside its targets."""


CASES = {
    "mine-pairs": Case("mine-pairs events.parquet -o out", ("out",)),
    "mine-pairs, piped": Case("mine-pairs - -o out", ("out",), "events.parquet"),
    "mine-pairs --state": Case(
        "mine-pairs events.parquet --state state -o out", ("out",), None, "state"
    ),
    "embed-text": Case("embed-text products.parquet --method static --dim 8 -o out", ("out",)),
    "build-graph": Case(market.COMMANDS["graph"] + " -o out", ("out",)),
    "train-cpr": Case(market.COMMANDS["cpr.model"] + " -o out", ("out",)),
    "train-linkpred": Case(market.COMMANDS["seller.model"] + " -o out", ("out",)),
    "recommend": Case("recommend --model cpr.model --all -o out", ("out",)),
    "evaluate": Case(
        "evaluate recs.parquet --truth pairs.parquet --report page --bootstrap 20 -o out",
        ("out", "page"),
    ),
    "split": Case(
        "split listings.parquet --by seller_id --fraction 0.5 --test-out rest -o out",
        ("out", "rest"),
    ),
    "inspect": Case("inspect - --format json", (), "pairs.parquet"),
}


class Place:
    """A folder with the stored market, where one command runs again and again."""

    def __init__(self, folder, case):
        self.case, self.folder, self.temporary = case, folder / "work", folder / "tmp"
        shutil.copytree(Path(market.__file__).parent / "stored", self.folder)
        self.temporary.mkdir()
        self.inputs = self.names()
        self.kept, self.seconds = {}, 0.0
        for seed in (1, 0):
            begin = time.monotonic()
            done = self.run(seed)
            self.seconds = time.monotonic() - begin
            assert done.returncode == 0, done.stderr
            for target in case.targets:
                self.kept[target, seed] = content(self.folder / target)
                shutil.move(self.folder / target, folder / f"{target}.{seed}")
            if seed and case.state:
                shutil.copytree(self.folder / case.state, folder / f"{case.state}.1")

    def start(self, seed, before=(), **options):
        stdin = subprocess.DEVNULL
        if self.case.stdin:
            stdin = os.open(self.folder / self.case.stdin, os.O_RDONLY)
        # inspect draws nothing
        seeded = ["--seed", str(seed)] if self.case.targets else []
        process = subprocess.Popen(
            [*before, sys.executable, "-m", "cprtools", *self.case.words.split(), *seeded, "-q"],
            cwd=self.folder,
            stdin=stdin,
            stdout=options.pop("stdout", subprocess.DEVNULL),
            stderr=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(self.temporary), "OMP_NUM_THREADS": "1"},
            **options,
        )
        if self.case.stdin:
            os.close(stdin)
        return process

    def run(self, seed, **options):
        process = self.start(seed, **options)
        _, error = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, None, error.decode())

    def names(self):
        return sorted(path.name for path in self.folder.iterdir())

    def put_old(self):
        """What was made with seed 1 in every target, and the state that this run left."""
        for target in (*self.case.targets, *filter(None, [self.case.state])):
            place, old = self.folder / target, self.folder.parent / f"{target}.1"
            remove(place)
            shutil.copytree(old, place) if old.is_dir() else shutil.copy(old, place)

    def is_old_or_new(self, seeds=(0, 1)):
        return all(
            content(self.folder / target) in [self.kept[target, seed] for seed in seeds]
            for target in self.case.targets
        )

    def litter(self):
        known = {*self.inputs, *self.case.targets, self.case.state}
        extra = [name for name in self.names() if name not in known]
        # a cache of torch's own, one for each user
        extra += [p.name for p in self.temporary.iterdir() if "torchinductor_" not in p.name]
        if self.case.state:
            extra += [p.name for p in (self.folder / self.case.state).glob("*.part")]
        return extra


def content(path):
    """Every byte of a file, or of a folder's files by name."""
    if path.is_dir():
        return {file.name: file.read_bytes() for file in sorted(path.iterdir())}
    return path.read_bytes() if path.exists() else None


def remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def kill(place, how, moments, seed=0):
    """Defects found when the command is killed at that many moments, and how often it was hit.

    Every second moment lies where something is being written: from the first part on.
    """
    rng = random.Random(seed)
    found, hit = [], 0
    for number in range(moments):
        place.put_old()
        before = parts(place)
        process = place.start(0)
        if number % 2:
            while process.poll() is None and parts(place) <= before:
                time.sleep(0.0002)
            time.sleep(rng.random() * 0.02)
        else:
            time.sleep(rng.random() * place.seconds)
        process.send_signal(how)
        _, error = process.communicate(timeout=300)
        hit += process.returncode != 0
        if process.returncode not in ENDS[how] or b"Traceback" in error:
            found.append(f"moment {number}: ended with {process.returncode}: {error.decode()}")
        if not place.is_old_or_new():
            found.append(f"moment {number}: neither old nor new")
        if how == signal.SIGTERM and process.returncode == 143 and place.litter():
            found.append(f"moment {number}: left {place.litter()}")
    done = place.run(0)
    if not done.returncode and place.case.state:
        # that run found one that the killed one may have changed
        place.put_old()
        done = place.run(0)
    if done.returncode or not place.is_old_or_new([0]):
        found.append(f"the next run failed: {done.returncode} {done.stderr}")
    if place.litter():
        found.append(f"after the next run: {place.litter()}")
    return found, hit


def parts(place):
    """Names of what is being written, or was when its writer was killed."""
    folder = place.folder if place.case.targets else place.temporary
    return {path.name for path in folder.iterdir() if path.name.endswith(".part")}


def fill_disk(place, largest):
    """The target, or the temporary folder, cannot grow past that many bytes."""
    place.put_old()
    done = place.run(
        0, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    )
    return judge(place, done, (4,))


def close_pipe(place):
    """Whoever reads the output has gone before the first byte."""
    reading, writing = os.pipe()
    os.close(reading)
    words = place.case.words.replace(" -o out", " -o -")
    try:
        process = Place.start(_with(place, words), 0, stdout=writing)
    finally:
        os.close(writing)
    _, error = process.communicate(timeout=300)
    found = [] if (process.returncode, error) == (141, b"") else [f"{process.returncode} {error}"]
    return found + place.litter()


def _with(place, words):
    other = object.__new__(Place)
    vars(other).update(vars(place), case=replace(place.case, words=words))
    return other


def write_twice(place):
    """Two runs of different seeds write the same target at the same time."""
    place.put_old()
    both = [place.start(0), place.start(1)]
    ends = [(process.communicate(timeout=300)[1], process.returncode) for process in both]
    refused = place.case.state and any(b"another run is using this state" in e for e, _ in ends)
    found = [f"ended with {code}: {error}" for error, code in ends if code and not refused]
    # of two that add to one state, the second may tell of both
    if not place.case.state and not place.is_old_or_new():
        found.append("a mixture")
    return found + place.litter()


def forbid(place, what):
    """What is named cannot be written (or read): modes count for the command, even as root's."""
    place.put_old()
    path = place.folder / what
    mode = path.stat().st_mode
    path.chmod(0o000 if what != "." else 0o555)
    try:
        done = place.run(0, before=MERE_USER)
    finally:
        path.chmod(mode)
    return judge(place, done, (4,))


def judge(place, done, codes):
    """Defects of a run that had to fail: its code, its one line, the old content, litter."""
    found = []
    lines = done.stderr.splitlines()
    if done.returncode not in codes:
        found.append(f"ended with {done.returncode}")
    if len(lines) != 1 or not lines[0].startswith("cprtools: error: ") or "a bug" in lines[0]:
        found.append(f"said {done.stderr!r}")
    if place.case.targets and not place.is_old_or_new([1]):
        found.append("the old target is not whole")
    return found + place.litter()


def faults_of(place):
    """Name and defects of each further fault of a command."""
    yield "two runs, one target", write_twice(place)
    if place.case.targets:
        yield "disk full", fill_disk(place, 200)
        yield "folder not writable", forbid(place, ".")
    source = next((w for w in place.case.words.split() if w in place.inputs), None)
    if source:
        yield "input not readable", forbid(place, source)
    yield "closed pipe", close_pipe(place)


def main():
    """Print a table of what was done and every defect; the exit code is 1 where there is one."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--moments", type=int, default=50)
    parser.add_argument("--case", choices=list(CASES), nargs="+", default=list(CASES))
    chosen = parser.parse_args()
    bad = 0
    for name in chosen.case:
        case = CASES[name]
        with tempfile.TemporaryDirectory() as folder:
            Path(folder).chmod(0o755)
            place = Place(Path(folder), case)
            for how in SIGNALS:
                found, hit = kill(place, how, chosen.moments)
                bad += tell(name, f"{how.name} {hit} of {chosen.moments} hit", found)
            for what, found in faults_of(place):
                bad += tell(name, what, found)
    return int(bad > 0)


def tell(name, what, found):
    sys.stdout.write(f"{name:20} {what:28} {found or 'ok'}\n")
    sys.stdout.flush()
    return len(found)


if __name__ == "__main__":
    sys.exit(main())
