"""The watchdog warns, kills, forgives a sleep of the machine, and counts in its own ticks."""

import os
import signal
import subprocess
import sys
import time

import pytest

from emopipe.pipeline.supervision.settings import Supervision
from emopipe.pipeline.supervision.watchdog import MIB, Alarm, Watchdog, is_stopped, resident_memory

SETTINGS = Supervision(warn_after=2, kill_after=4, max_memory=100)


def watchdog(*, patient: bool = False) -> Watchdog:
    dog = Watchdog(SETTINGS, interval=1.0, patient=patient)
    dog.loading = False
    return dog


def ticks(dog: Watchdog, count: int, *, stopped: bool = False, heard: bool = False) -> list[Alarm]:
    alarms = []
    for _ in range(count):
        if heard:
            dog.heard()
        if (alarm := dog.tick(stopped=stopped, memory=None)) is not None:
            alarms.append(alarm)
    return alarms


def test_who_is_silent_is_warned_about_once_and_then_killed() -> None:
    dog = watchdog()
    assert ticks(dog, 5) == [Alarm("warn", "no sign of life for 2 s"), Alarm("kill", "no sign of life for 4 s")]


def test_a_sign_of_life_begins_anew() -> None:
    dog = watchdog()
    assert len(ticks(dog, 4)) == 1
    dog.heard()
    assert ticks(dog, 4) == [Alarm("warn", "no sign of life for 2 s")]


def test_who_lives_is_left_alone() -> None:
    assert ticks(watchdog(), 100, heard=True) == []


def test_loading_may_keep_an_event_loop_busy_but_not_be_stopped() -> None:
    dog = watchdog()
    dog.loading = True
    assert ticks(dog, 100) == []
    dog.heard()
    assert [alarm.text for alarm in ticks(dog, 5, stopped=True)] == [
        "stopped by a signal for 2 s",
        "stopped by a signal for 4 s",
    ]


def test_who_may_be_held_up_is_killed_only_where_it_is_stopped() -> None:
    dog = watchdog(patient=True)
    dog.busy = {"console": 100.0}
    assert ticks(dog, 100) == []
    dog.heard()
    assert [alarm.action for alarm in ticks(dog, 5, stopped=True)] == ["warn", "kill"]


def test_who_is_busy_with_one_message_for_too_long_is_named() -> None:
    dog = watchdog()
    dog.busy = {"faces": 2.5}
    assert ticks(dog, 3, heard=True) == [Alarm("warn", "busy with one message for 2.5 s", "faces")]
    dog.busy = {"faces": 4.0}
    assert ticks(dog, 1, heard=True) == [Alarm("kill", "busy with one message for 4 s", "faces")]


def test_too_much_memory() -> None:
    dog = watchdog()
    assert dog.tick(stopped=False, memory=100 * MIB) is None
    taken = "takes 101 MiB of memory, more than max_memory, 100 MiB"
    assert dog.tick(stopped=False, memory=101 * MIB) == Alarm("kill", taken)


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs /proc")  # noqa: PTH110
def test_what_the_system_says_of_a_process() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert not is_stopped(process.pid)
        process.send_signal(signal.SIGSTOP)
        deadline = time.monotonic() + 10
        while not is_stopped(process.pid):
            assert time.monotonic() < deadline
        process.kill()
    assert not is_stopped(process.pid)
    assert resident_memory(process.pid) is None
    assert (resident_memory(os.getpid()) or 0) > 10 * MIB
