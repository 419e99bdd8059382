"""telemetry.usage: memory, descriptors and processor time are this process's own, as the system has them."""

import gc
import mmap
import os

from emopipe.pipeline.telemetry.usage import Usage

MB = 1 << 20


def test_what_a_process_takes_is_seen() -> None:
    usage = Usage()
    gc.collect()  # what other tests have left open would be closed meanwhile
    before = usage.sample()
    # The system's own pages, of which every one is touched: memory that was let go of would do for a bytearray. And
    # much more than other tests of this process may give back meanwhile.
    ballast = mmap.mmap(-1, 256 * MB)
    for page in range(0, len(ballast), mmap.PAGESIZE):
        ballast[page] = 1
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
