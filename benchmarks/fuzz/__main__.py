"""`python -m benchmarks.fuzz KIND`: exit code 1 if anything happened that must not."""

import argparse
import sys
import time

from benchmarks.figures import machine, table
from benchmarks.fuzz import KINDS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"{', '.join(KINDS)} (default: all)")
    parser.add_argument("--cases", type=int, default=1000, help="how many of each kind")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if unknown := set(given.kinds) - set(KINDS):
        parser.error(f"no kind {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
    rows, wrong = [], []
    for name in given.kinds or KINDS:
        kind = KINDS[name]
        began = time.monotonic()
        found = kind.fuzz(given.seed, [*kind.KEPT, *range(given.cases)])
        rows.append(
            {
                "kind": name,
                "cases": found.tried,
                "refused": found.refused,
                "wrong": len(found.wrong),
                "memory, MB more": found.growth_mb,
                "seconds": time.monotonic() - began,
            }
        )
        wrong += [f"{name}, seed {given.seed}: {text}" for text in found.wrong]
    print(f"{machine()}\n\n{table(rows)}")
    print("\n".join(wrong), file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
