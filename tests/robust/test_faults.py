"""A small part of `make faults`: commands that are quick to start, a few moments each."""

import pytest

from tests.robust import faults


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return faults.Place(tmp_path_factory.mktemp("split"), faults.CASES["split"])


@pytest.mark.parametrize("how", faults.SIGNALS)
def test_a_killed_command_leaves_old_or_new_and_the_next_run_no_litter(place, how):
    found, hit = faults.kill(place, how, moments=4)
    assert found == []
    assert hit


def test_a_full_disk_a_forbidden_folder_or_input_and_a_closed_pipe_leave_the_old_target(place):
    found = dict(faults.faults_of(place))
    assert len(found) == 5
    assert not any(found.values()), found


@pytest.mark.parametrize("target", ["out", "rest"])
def test_the_search_for_defects_finds_a_half_written_target_and_litter(place, target):
    place.put_old()
    assert place.is_old_or_new()
    path = place.folder / target
    path.write_bytes(path.read_bytes()[:-1])
    (place.folder / "out.1.part").touch()
    assert not place.is_old_or_new()
    assert place.litter() == ["out.1.part"]
    (place.folder / "out.1.part").unlink()
