"""Native code's chatter is dropped, and nothing else that goes to standard error meanwhile."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from emopipe.models.face_detection.native_log import without_chatter


def test_information_and_warnings_are_dropped_and_all_else_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    with without_chatter():
        os.write(2, b"INFO: [cpu_registry.cc:75] XNNPACK CPU accelerator registered.\n")
        os.write(2, b"WARNING: Logging before InitGoogle() is written to STDERR\n")
        os.write(2, b"W0000 00:00:1795709561.461735   22807 runner.cc:1418] Input tensor memory is not aligned.\n")
        os.write(2, b"E0000 00:00:1795709561.461735   22807 runner.cc:9] it is broken\n")
        os.write(2, b"a warning of ours\n")
    os.write(2, b"INFO: after\n")
    assert capfd.readouterr().err == (
        "E0000 00:00:1795709561.461735   22807 runner.cc:9] it is broken\na warning of ours\nINFO: after\n"
    )


def test_an_error_meanwhile_is_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    def refuse() -> None:
        os.write(2, b"INFO: a word\nlast words\n")
        raise RuntimeError("refused")

    with pytest.raises(RuntimeError, match="refused"), without_chatter():
        refuse()
    assert capfd.readouterr().err == "last words\n"


def test_threads_do_not_take_standard_error_from_each_other(capfd: pytest.CaptureFixture[str]) -> None:
    def chatter(number: int) -> None:
        with without_chatter():
            os.write(2, b"INFO: a word\n%d\n" % number)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(chatter, range(100)))
    os.write(2, b"after\n")
    said = capfd.readouterr().err.splitlines()
    assert sorted(said[:-1], key=int) == [str(number) for number in range(100)]
    assert said[-1] == "after"


def test_a_fork_meanwhile_leaves_the_child_its_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    with without_chatter():
        child = os.fork()
        if child == 0:
            os.write(2, b"the child\n")
            os._exit(0)
        os.waitpid(child, 0)
    assert capfd.readouterr().err == "the child\n"


def test_a_process_may_have_no_standard_error() -> None:
    kept = os.dup(2)
    os.close(2)
    try:
        with without_chatter():
            passed = True
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    assert passed


def test_one_may_lie_within_another(capfd: pytest.CaptureFixture[str]) -> None:
    """The garbage collector may close one detector while another is made."""
    with without_chatter():
        os.write(2, b"INFO: a word\nouter\n")
        with without_chatter():
            os.write(2, b"INFO: a word\ninner\n")
        os.write(2, b"INFO: a word\nouter again\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "outer\ninner\nouter again\nafter\n"
