"""One job of an archive: a process with warm models that replays recordings one after the other.

Started as `python -m emopipe.archive.job FOLDER`, the folder being for what is under way. On standard input come lines
of JSON: the order, then names of recordings, each when the one before is over. On standard output go lines of JSON,
`[kind, content]`: `ready` once, `beat` while it gets on, `entry` for each recording, `stop` where no other one can be
played either.
"""

import json
import os
import queue
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec

from emopipe.archive.replay import Order, Stopped, replay
from emopipe.models.warm import keeping_models

MODULE = "emopipe.archive.job"


def main() -> None:
    """Follow the orders until standard input ends, however that comes."""
    with os.fdopen(os.dup(1), "w", encoding="ascii") as answers:
        os.dup2(2, 1)  # what a stage prints is no answer

        def say(kind: str, content: Any = None) -> None:
            answers.write(json.dumps([kind, content]) + "\n")
            answers.flush()

        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=_read, args=[lines], daemon=True).start()
        order = msgspec.convert(json.loads(lines.get()), Order)
        say("ready")
        with keeping_models():
            while True:
                recording = json.loads(lines.get())
                try:
                    entry = replay(order, recording, Path(sys.argv[1]), beat=lambda: say("beat"))
                except Stopped as error:
                    say("stop", str(error))
                else:
                    say("entry", msgspec.to_builtins(entry))
                    if entry.word == "error":
                        os._exit(0)  # nobody knows in what state it is; another process goes on


def _read(lines: "queue.SimpleQueue[str]") -> None:
    """Take lines, and end the process with the last, at once: whoever gave the orders has done, or has died."""
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
