"""No file may stop a reader: each is accepted, or refused in one line, in bounded time and memory.

`make fuzz` does the same for minutes a reader, in processes of their own.
"""

import signal

import pytest
from fuzz_readers import READERS
from fuzz_trials import MAX_WAIT_S, make_input, read_input

SEED = 20240601
NEEDS = {
    "dataset": "zarr",
    "checkpoint": "torch",
    "network": "openvino",
    "network weights": "torch",
}


@pytest.fixture
def alarm():
    """A reader that waits for ever is interrupted, and fails its test."""

    def interrupt(*_):
        raise TimeoutError(f"over {MAX_WAIT_S} s")

    before = signal.signal(signal.SIGALRM, interrupt)
    yield lambda: signal.setitimer(signal.ITIMER_REAL, MAX_WAIT_S)
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", READERS)
def test_changed_files_are_accepted_or_refused_in_one_line(name, tmp_path, alarm):
    for module in filter(None, [NEEDS.get(name)]):
        pytest.importorskip(module)
    reader, valid = READERS[name], tmp_path / "valid"
    valid.mkdir()
    reader.make(valid)
    reader.read(valid)
    refused = 0
    for number in range(reader.tries):
        change = make_input(name, reader, valid, SEED, number, tmp_path / "changed")
        alarm()
        outcome = read_input(reader, tmp_path / "changed")
        assert not outcome.failed, f"input {number} ({change}): {outcome.kind}, {outcome.message}"
        refused += outcome.kind == "refused"
    assert refused >= 0.2 * reader.tries
