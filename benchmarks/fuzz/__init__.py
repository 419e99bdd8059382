"""Whatever comes in from outside, mutated: nothing of it may crash, hang, fill memory, or change what is right.

    python -m benchmarks.fuzz messages --cases 10000
    python -m benchmarks.fuzz graphs --cases 1000 --seed 7
    python -m benchmarks.fuzz.media --help     # media and offers need more than a count: each has a command of its own
    python -m benchmarks.fuzz.offers --help

A kind is one module here with `fuzz(seed, cases)`, listed in `KINDS`; `benchmarks.fuzz.cases` holds what kinds share.
A case is known by the seed and its number, and comes out the same each time; numbers that once found something are
kept in the module (`KEPT`) and tried first.
"""

from benchmarks.fuzz import graphs, messages
from benchmarks.fuzz.cases import Kind

KINDS: dict[str, Kind] = {"graphs": graphs, "messages": messages}
