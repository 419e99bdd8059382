"""What Linux says of a process."""

import os
import subprocess
import sys

import pytest

from benchmarks.procfs import sample, workers

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def test_a_process_is_sampled() -> None:
    found = sample(os.getpid())
    assert found is not None
    assert found.memory > 1
    assert found.cpu > 0
    assert found.threads >= 1
    assert found.files >= 3


def test_of_a_process_that_is_gone_there_is_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    assert sample(gone.pid) is None


def test_no_worker_was_started() -> None:
    assert workers() == {}
