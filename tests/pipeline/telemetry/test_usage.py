"""telemetry.usage: memory, descriptors and processor time are this process's own, as the system has them."""

import os

from emopipe.pipeline.telemetry.usage import Usage

MB = 1 << 20


def test_what_a_process_takes_is_seen() -> None:
    usage = Usage()
    before = usage.sample()
    ballast = bytearray(os.urandom(1 << 16) * 512)  # 32 MB, every page of it touched
    pipes = [os.pipe() for _ in range(3)]
    after = usage.sample()
    for ends in pipes:
        for end in ends:
            os.close(end)
    assert after.pid == os.getpid()
    assert after.memory - before.memory > 25 * MB, len(ballast)
    assert after.descriptors - before.descriptors == 6
    assert after.threads >= 1


def test_processor_time_counts_from_the_start() -> None:
    usage = Usage()
    whole = usage.sample().cpu
    usage.start()
    assert usage.sample().cpu < whole
