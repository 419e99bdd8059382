"""What `emopipe certify` has measured, as a table on the terminal."""

import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from emopipe.certificate.figures import Certificate, Interval

ROWS = {
    "time stamp of light − light": "light_stamp",
    "time stamp of sound − sound": "sound_stamp",
    "  difference": "stamp_difference",
    "light → result": "light_result",
    "sound → result": "sound_result",
    "  difference ": "result_difference",
}


def print_certificate(made: Certificate, title: str) -> None:
    """Print its figures, in ms."""
    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False)
    table = Table(title=Text(title, "bold"), title_justify="left")
    table.add_column("ms")
    for column in ("mean", "95 % of the mean", "sd", "least", "greatest", "of"):
        table.add_column(column, justify="right")
    for name, figure in ROWS.items():
        found: Interval | None = getattr(made, figure)
        cells = ["–"] * 5 + [f"? of {made.trials}"] if found is None else _cells(found, made.trials)
        table.add_row(Text(name), *cells)
    console.print(table)


def _cells(found: Interval, trials: int) -> list[str]:
    spread = f"{found.low:.1f} to {found.high:.1f}"
    numbers = [f"{found.sd:.1f}", f"{found.least:.1f}", f"{found.greatest:.1f}"]
    return [f"{found.mean:.1f}", spread, *numbers, f"{found.count} of {trials}"]
