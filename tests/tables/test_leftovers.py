import multiprocessing
import os
import signal
import stat

import pytest

from cprtools.tables import leftovers


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def hold(target, ready, folder=False):
    with leftovers.claimed(target, folder=folder):
        ready.set()
        signal.pause()


def start(target, **options):
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=hold, args=(target, ready), kwargs=options)
    process.start()
    assert ready.wait(30)
    return process


def kill(process):
    process.kill()
    process.join(30)


@pytest.mark.parametrize("folder", [False, True])
def test_what_a_killed_run_left_goes_with_the_next_run_and_what_a_living_one_writes_stays(
    tmp_path, folder
):
    target = tmp_path / "t.parquet"
    dead, alive = start(target, folder=folder), start(target, folder=folder)
    kill(dead)
    assert len(names(tmp_path)) == 2

    with leftovers.claimed(target, folder=folder) as part:
        assert names(tmp_path) == sorted([part.name, f"t.parquet.{alive.pid}.part"])
    assert names(tmp_path) == [f"t.parquet.{alive.pid}.part"]
    kill(alive)
    leftovers.clear(tmp_path, r"t\.parquet")
    assert names(tmp_path) == []


def test_a_signal_while_a_part_is_removed_leaves_nothing(tmp_path, monkeypatch):
    whole = leftovers.shutil.rmtree

    def interrupted(*arguments, **options):
        monkeypatch.setattr(leftovers.shutil, "rmtree", whole)
        raise SystemExit(143)

    with pytest.raises(SystemExit), leftovers.claimed(tmp_path / "t", folder=True) as part:
        (part / "inside").touch()
        monkeypatch.setattr(leftovers.shutil, "rmtree", interrupted)
    assert names(tmp_path) == []


def test_only_parts_of_the_same_target_are_removed(tmp_path):
    kept = [
        "t.parquet",
        "t.parquet.part",
        "u.parquet.1.part",
        "t.parquet.x.part",
        "t.parquet.1.partial",
    ]
    for name in [*kept, "t.parquet.1.part"]:
        (tmp_path / name).touch()
    (tmp_path / "t.parquet.2.part").symlink_to(tmp_path / "t.parquet")

    with leftovers.claimed(tmp_path / "t.parquet"):
        pass
    assert names(tmp_path) == sorted([*kept, "t.parquet.2.part"])


def test_a_process_of_the_same_id_elsewhere_is_not_written_over(tmp_path):
    with leftovers.claimed(tmp_path / "t") as mine, leftovers.claimed(tmp_path / "t") as theirs:
        assert (mine.name, theirs.name) == (f"t.{os.getpid()}.part", f"t.{os.getpid() + 1}.part")
        assert mine.exists()
    assert names(tmp_path) == []


def test_a_part_that_was_cleared_before_it_was_locked_is_made_again(tmp_path, monkeypatch):
    lock, calls = leftovers.fcntl.flock, []

    def late(handle, how):
        calls.append(how)
        if len(calls) == 1:
            (next(tmp_path.iterdir())).unlink()
        lock(handle, how)

    monkeypatch.setattr(leftovers.fcntl, "flock", late)
    with leftovers.claimed(tmp_path / "t") as part:
        assert part.exists()
        assert len(calls) == 2


def test_without_locks_nothing_is_cleared_and_everything_is_written(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no locks here")

    monkeypatch.setattr(leftovers.fcntl, "flock", refuse)
    (tmp_path / "t.1.part").touch()
    with leftovers.claimed(tmp_path / "t") as part:
        assert part.exists()
    assert names(tmp_path) == ["t.1.part"]


def test_a_temporary_folder_is_for_its_user_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(leftovers.tempfile, "tempdir", str(tmp_path))
    with leftovers.temporary_folder() as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "spilled").touch()
    assert names(tmp_path) == []


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("step", ["open", "fstat"])
def test_a_signal_while_the_part_is_made_leaves_nothing(tmp_path, monkeypatch, folder, step):
    whole = getattr(os, step)

    def interrupted(*arguments):
        monkeypatch.setattr(leftovers.os, step, whole)
        whole(*arguments)
        raise SystemExit(143)

    monkeypatch.setattr(leftovers.os, step, interrupted)
    with pytest.raises(SystemExit), leftovers.claimed(tmp_path / "t", folder=folder):
        pass
    assert names(tmp_path) == []
