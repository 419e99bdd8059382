"""The same blocks by bare pyzmq, from one process to another; run by `emopipe bench transport`.

python -m benchmarks.transport.bare ENDPOINT PACED FAST SIZE …      receives, and prints figures by size, as JSON
"""

import json
import subprocess
import sys
import time

import zmq

from benchmarks.commands import ROOT, environment
from benchmarks.transport.arrivals import Arrivals

HEADER = bytes(182)  # with the time of sending as long as a header of ours
QUEUE = 16  # messages, as in replay


def send(endpoint: str, sizes: list[int], paced: int, pause: float, fast: int) -> dict[str, dict[str, float]]:
    """Send to a process that is started for it; its figures, by size."""
    command = [sys.executable, "-m", "benchmarks.transport.bare", endpoint, str(paced), str(fast), *map(str, sizes)]
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True) as receiver:
        with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
            socket.set_hwm(QUEUE)
            socket.bind(endpoint)  # so that nothing is sent before the receiver is there
            for size in sizes:
                data = bytes(size)
                for number in range(paced + fast):
                    if number < paced:
                        time.sleep(pause)
                    socket.send_multipart([time.monotonic_ns().to_bytes(8), HEADER, data], copy=False)
            said, _ = receiver.communicate()
    return dict(json.loads(said))


def main() -> None:
    endpoint, paced, fast, *sizes = sys.argv[1:]
    found = {}
    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        socket.set_hwm(QUEUE)
        socket.connect(endpoint)
        for size in sizes:
            arrivals = Arrivals(int(paced))
            for _ in range(int(paced) + int(fast)):
                sent, *_ = socket.recv_multipart(copy=False)
                arrivals.take(int.from_bytes(sent.bytes), time.monotonic_ns())
            found[size] = arrivals.figures()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
