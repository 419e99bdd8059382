"""Native code's chatter is dropped, and nothing else that goes to standard error meanwhile."""

import os

import pytest

from emopipe.models.facial.native_log import without_chatter


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
