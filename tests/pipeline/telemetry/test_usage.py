"""telemetry.usage: memory, descriptors and processor time are this process's own, as the system has them."""

import gc
import os

from emopipe.pipeline.telemetry.usage import Usage

MB = 1 << 20


def test_what_a_process_takes_is_seen() -> None:
    usage = Usage()
    gc.collect()  # what other tests have left open would be closed meanwhile
    before = usage.sample()
    # Every page of it is touched, and it is much more than the other tests of this process may give back meanwhile.
    ballast = bytearray(b"\1") * (256 * MB)
    pipes = [os.pipe() for _ in range(3)]
    after = usage.sample()
    for ends in pipes:
        for end in ends:
            os.close(end)
    assert after.pid == os.getpid()
    assert after.memory - before.memory > 200 * MB, len(ballast)
    assert after.descriptors - before.descriptors == 6
    assert after.threads >= 1


def test_processor_time_counts_from_the_start() -> None:
    usage = Usage()
    whole = usage.sample().cpu
    usage.start()
    assert usage.sample().cpu < whole
