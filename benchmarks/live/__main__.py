"""`python -m benchmarks.live`."""

import sys

from benchmarks.live.benchmark import main

if __name__ == "__main__":
    sys.exit(main())
