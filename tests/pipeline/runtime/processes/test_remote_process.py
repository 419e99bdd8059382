"""runtime.processes.remote_process: what is believed of a process on another host, and when it is lost."""

import asyncio
from pathlib import Path

import pytest
import zmq

from emopipe.pipeline.access.keys import KeyPair, write_pair
from emopipe.pipeline.errors import EmopipeError, StageFailed
from emopipe.pipeline.graph.spec import Remote, RemoteProcess
from emopipe.pipeline.runtime import control
from emopipe.pipeline.runtime.processes.remote_process import (
    LOST,
    ControlChannels,
    RemoteWorkerProcess,
    link_address,
    need_own,
)
from emopipe.pipeline.runtime.remote_host import RemoteHost

VISION = RemoteProcess(KeyPair.new().public, "vision.key", 60.0)
HELLO = control.Hello("key", "clock")


def test_a_process_that_comes_again_has_lost_what_it_did() -> None:
    async def drive() -> None:
        process = RemoteWorkerProcess("vision", ["faces", "facial"], VISION, "tcp://10.0.0.1:5570")
        process.heard(HELLO)
        assert not process.exited.done()
        process.heard(HELLO)
        assert await process.exited == LOST
        assert await process.exit_report(LOST) == "the connection to it was lost"

    asyncio.run(drive())


def test_a_process_that_says_goodbye_has_ended() -> None:
    async def drive() -> None:
        process = RemoteWorkerProcess("vision", ["faces"], VISION, "tcp://10.0.0.1:5570")
        process.heard(HELLO)
        process.heard(control.Closed())
        process.kill()  # too late
        assert await process.exited == 0

    asyncio.run(drive())


def test_a_process_may_speak_of_its_own_stages_alone() -> None:
    need_own("vision", ["faces"], ["faces", "facial"])
    with pytest.raises(StageFailed, match="process vision speaks of results, which is not its own"):
        need_own("vision", ["faces", "results"], ["faces", "facial"])


def test_journals_of_different_runs_lie_apart_and_those_of_one_run_together(tmp_path: Path) -> None:
    own = RemoteHost(KeyPair.new(), tmp_path, "10.0.0.2", print)
    one = own.state("/tmp/emopipe-run-a/state")
    assert one.is_dir()
    assert own.state("/tmp/emopipe-run-a/state") == one
    assert own.state("/tmp/emopipe-run-b/state") != one


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [("tcp://10.0.0.1:5570", "tcp://10.0.0.1:*"), ("tcp://[fd00::1]:5570", "tcp://[fd00::1]:*"), ("", "")],
)
def test_links_are_bound_where_the_run_is_found(endpoint: str, address: str) -> None:
    assert link_address(Remote(endpoint)) == address


def test_an_address_in_use_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    desk = write_pair(tmp_path, "desk")

    async def drive() -> None:
        with zmq.Context() as context:
            arguments = (context, tmp_path, ["here"])
            taken = zmq.Context()
            other = taken.socket(zmq.ROUTER)
            port = other.bind_to_random_port("tcp://127.0.0.1")
            remote = Remote(f"tcp://127.0.0.1:{port}", str(desk.secret_file), {"vision": VISION})
            with pytest.raises(EmopipeError, match=rf"^pipeline\.control\.endpoint: 127\.0\.0\.1:{port} is in use"):
                ControlChannels(*arguments, remote, lambda name, parts: None, window=4)
            other.close()
            taken.term()

    asyncio.run(asyncio.wait_for(drive(), 30))
