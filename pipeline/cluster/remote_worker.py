"""A worker on another host than the supervisor's: waits for a run there, takes part in it, and waits for the next.

Each run has a process of its own (`python -m emopipe.pipeline.cluster.remote_worker …`): whatever becomes of it, the
next one finds everything as it was.
"""

import asyncio
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from emopipe.pipeline.access.addresses import own_address_towards, split_tcp
from emopipe.pipeline.access.folder import run_folder, with_temporary_files
from emopipe.pipeline.access.keys import KeyPair
from emopipe.pipeline.cluster.handshakes import Handshakes
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.runtime.channel import Endpoint
from emopipe.pipeline.runtime.remote_host import RemoteHost
from emopipe.pipeline.runtime.worker import Worker

RESTART_PAUSE_S = 0.5  # from the end of a run's process to the next one


def serve(address: str, server_key: str, pair: KeyPair, bind: str, *, once: bool) -> None:
    """Take part in the runs at `address`, one after the other.

    Args:
        server_key: the public key of whoever runs the graph there.
        bind: this host's address as the others reach it; if empty, that by which `address` is reached.
        once: return after a run that has come to its end; one that was lost, or whose process died, may begin anew.

    Raises:
        EmopipeError: there is no way to `address`; it does not know our key, or has another than `server_key`.
    """
    try:
        bind = bind or own_address_towards(*split_tcp(address))
    except (OSError, ValueError) as error:
        raise EmopipeError(f"--connect: {address} cannot be reached: {error}") from None
    print(f"waiting for a run at {address}", file=sys.stderr, flush=True)
    with run_folder() as folder:
        command = [sys.executable, "-P", "-m", __name__, address, str(folder), bind]
        while True:
            environment = with_temporary_files(folder)
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, text=True, start_new_session=True
            )
            assert process.stdin is not None
            try:
                process.stdin.write(f"{pair.public} {pair.secret} {server_key}\n")
                process.stdin.flush()
                code = process.wait()
            finally:
                process.kill()
                process.communicate()
            if code == EmopipeError.exit_code:  # it has said why
                raise EmopipeError(f"--connect: there is no run at {address} that this worker can take part in")
            if once and code == 0:
                return
            time.sleep(RESTART_PAUSE_S)


def _exit_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


def main() -> None:
    address, folder, bind = sys.argv[1:]
    public, secret, server = sys.stdin.readline().split()
    threading.Thread(target=_exit_with_parent, daemon=True).start()

    async def work() -> None:
        own = RemoteHost(KeyPair(public, secret), Path(folder), bind, Handshakes(address).happened)
        await Worker(Endpoint(address, public, server), "remote", own).run()

    asyncio.run(work())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
