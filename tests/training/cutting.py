"""Training that is broken off, for tests of going on with it."""

from cprtools.tables import Footer
from cprtools.training.checkpoint import Checkpoints

FOOTER = Footer(command="train", params={}, seed=0, inputs=[])


class CutError(Exception):
    """The power went out."""


def cut_after(number, label):
    """A progress that lets so many steps of that label end and then breaks off."""

    def watch(steps, shown, total):
        for done, step in enumerate(steps):
            if shown == label and done == number:
                raise CutError
            yield step

    return watch


def keep(place, **options):
    """Checkpoints that are written whenever they can be."""
    return Checkpoints(str(place), FOOTER, every_seconds=0, **options)
