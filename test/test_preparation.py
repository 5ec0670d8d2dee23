"""Stages run in order, failures are named, and what was compiled is remembered per sources."""

from __future__ import annotations

import pytest

from tacdiff_ros import kernel_cache, preparation
from tacdiff_ros.errors import InputError
from tacdiff_ros.preparation import Preparation, Stage, is_warm


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("TACDIFF_CACHE_DIR", str(tmp_path / "cache"))


def test_stages_run_in_their_order_and_are_remembered():
    done = []
    stages = [Stage(name, lambda name=name: done.append(name), 1.0) for name in ("a", "b")]
    assert not is_warm("job")
    job = Preparation("job", stages, lambda: done.append("finished"))
    job.wait()
    assert done == ["a", "b", "finished"]
    assert job.is_ready and job.describe() == "ready" and job.seconds_left == 0.0
    job.require_ready()
    assert is_warm("job")


def test_other_sources_are_cold(monkeypatch):
    Preparation("job", [Stage("a", lambda: None, 1.0)]).wait()
    monkeypatch.setattr(preparation, "fingerprint", lambda: "of other sources")
    assert not is_warm("job")


@pytest.mark.parametrize("error", [RuntimeError("no card"), SystemExit(3)])
def test_whatever_a_stage_raises_is_named_and_nobody_waits_for_ever(error):
    def fail():
        raise error

    job = Preparation("job", [Stage("images", fail, 1.0)])
    with pytest.raises(InputError, match="preparing 'images' failed"):
        job.wait()
    assert not job.is_ready and not is_warm("job")
    with pytest.raises(InputError, match="cannot work"):
        job.require_ready()


def test_a_folder_that_cannot_be_written_is_replaced_by_one_of_the_user(monkeypatch, tmp_path):
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("TACDIFF_CACHE_DIR", str(file / "below"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(file / "xdg"))
    monkeypatch.setenv("HOME", str(file))
    folder = kernel_cache.cache_folder()
    assert folder.is_dir() and file not in folder.parents
    assert folder.stat().st_mode & 0o022 == 0


def test_a_second_checkout_finds_the_machine_code_of_the_first(tmp_path):
    """By content: the same file elsewhere has the same folder, another content has not."""
    from tacdiff_ros import numba_locator

    def folder(name: str, text: str) -> str:
        path = tmp_path / name / "kernel.py"
        path.parent.mkdir()
        path.write_text(text)
        namespace: dict = {}
        exec(compile(text, str(path), "exec"), namespace)  # noqa: S102
        return numba_locator.ContentLocator(namespace["f"], str(path)).get_cache_path()

    text = "def f(x):\n    return x + 1\n"
    assert folder("first", text) == folder("second", text)
    assert folder("third", text + "# changed\n") != folder("first again", text)


def test_a_kernel_is_compiled_again_when_a_file_that_it_imports_changes(tmp_path):
    from tacdiff_ros import numba_locator

    kernel, imported = tmp_path / "kernel.py", tmp_path / "compiled_math.py"
    kernel.write_text("from tacdiff_ros.optics.fast.compiled_math import power\n")
    imported.write_text("POWER = 1\n")
    before = numba_locator.source_digest(kernel)
    (tmp_path / "other.py").write_text("OTHER = 1\n")
    assert numba_locator.source_digest(kernel) == before
    imported.write_text("POWER = 2\n")
    assert numba_locator.source_digest(kernel) != before
