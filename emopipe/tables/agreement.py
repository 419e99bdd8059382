"""How far results and annotators agree, as tables on the terminal."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from emopipe.lab.agreement import Agreement
from emopipe.models.labels import FACE
from emopipe.pipeline.text import count, printable
from emopipe.stages.sinks.findings import percent

_WIDTH = 100  # columns, where nobody's terminal says how many there are


def print_agreements(made: Sequence[Agreement], stream: str) -> None:
    """Print each comparison: the figures, the confusion, the thresholds."""
    console = Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)
    table = Table("tier", "results", title=Text(printable(stream), "bold"), title_justify="left")
    for column in ("annotated", "compared", "agreement", "kappa", "certain", "… agreement"):
        table.add_column(column, justify="right")
    for each in made:
        table.add_row(
            Text(printable(each.tier)),
            each.who,
            f"{each.annotated_s:.1f} s",
            f"{each.compared_s:.1f} s",
            _share(each.agreement),
            "–" if each.kappa is None else f"{each.kappa:.2f}",
            _share(each.certain),
            _share(each.certain_agreement),
        )
    console.print(table)
    for each in made:
        title = printable(each.tier) + (f" / {each.who}" if each.who != each.tier else "")
        if each.confusion:
            console.print(confusion(each, title))
        for line in threshold_lines(each):
            console.print(Text(f"{title}: {line}"), soft_wrap=True)


def confusion(made: Agreement, title: str) -> Table:
    """Seconds by the annotated label and what the results say."""
    found = {label for row in made.confusion.values() for label in row}
    said = sorted(found, key=lambda label: (FACE.index(label) if label in FACE else len(FACE), label))
    table = Table(title=Text(f"{title}: seconds", "bold"), title_justify="left")
    table.add_column("annotated ↓, results →")
    for label in said:
        table.add_column(label, justify="right")
    for label, row in made.confusion.items():
        table.add_row(label, *(f"{row[each]:.1f}" if each in row else "" for each in said))
    return table


def threshold_lines(made: Agreement) -> list[str]:
    """What keeps each risk, one sentence each."""
    lines = []
    for each in made.thresholds:
        said = f"at most {percent(each.risk)} wrong: "
        if each.threshold is None or each.coverage is None:
            said += "no threshold can promise that"
        else:
            said += f"a confidence of {each.threshold:.3f}, which {percent(each.coverage)} of answers reach"
            if each.setting is not None:
                said += f"; --set stages.fusion.risk={each.setting:g}"
            else:
                said += "; no setting of the shipped weights is as strict"
        lines.append(f"{said} ({count(made.examples, 'example')}, one a second)")
    return lines


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"
