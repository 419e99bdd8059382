"""A report as one page of HTML: no scripts, nothing fetched from anywhere, and all that came from outside escaped."""

import base64
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from emopipe.models.labels import FACE
from emopipe.pipeline.clock import SECOND
from emopipe.stages import palette
from emopipe.stages.report.svg import Names, patterns, share_bar, shares, time_line, time_text
from emopipe.stages.report.thumbnails import Thumbnail, Thumbnails
from emopipe.stages.sinks.findings import percent, verdict
from emopipe.stages.sinks.segments import Segment, Timeline
from emopipe.stages.sinks.summary import FaceSummary, StreamSummary

MAX_ROWS = 60  # of a stream's table
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
STYLE = Path(__file__).with_name("report.css")


class StreamSection(NamedTuple):
    """One stream: its summary, and the pictures of its faces by part and id."""

    summary: StreamSummary
    thumbnails: dict[tuple[int, int], Thumbnails]


class RunInfo(NamedTuple):
    """What stands around the sections.

    Attributes:
        title: of the page.
        when: the time of recording, in words; empty for a replay, whose reports are always the same.
        measured: how right the models are, one sentence each.
        losses: what happened to the data on its way: (stage, what, how many); none where nobody has said.
        notes: further lines, in the user's own words.
        omitted: streams that have no section, since there were too many.
    """

    title: str
    when: str
    measured: Sequence[str]
    losses: Sequence[tuple[str, str, str]] | None
    notes: Sequence[str]
    omitted: int


def page(sections: Sequence[StreamSection], run: RunInfo) -> str:
    """The whole page."""
    labels = palette.names([*FACE, *(label for section in sections for label in section.summary.labels())])
    used = dict.fromkeys(labels.values())
    colours = "".join(f".{each}{{fill:var(--{each})}}svg .on-{each}{{fill:var(--on-{each})}}" for each in used)
    body = "".join(
        [
            patterns(labels),
            "".join(_header(sections, run, labels)),
            "<main>",
            *("".join(_section(section, f"s{number}", labels)) for number, section in enumerate(sections)),
            "</main>",
            "".join(_footer(run)),
        ]
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(run.title)}</title>'
        f"<style>:root{{{palette.css()}}}\n{STYLE.read_text(encoding='utf-8')}{colours}</style></head>"
        f"<body>{body}</body></html>\n"
    )


def _header(sections: Sequence[StreamSection], run: RunInfo, names: Names) -> Iterator[str]:
    summaries = [section.summary for section in sections]
    faces = sum(len(summary.faces) + summary.brief_faces for summary in summaries)
    length = time_text(sum(summary.end for summary in summaries))
    said = [_counted(len(summaries), "stream"), f"{length} in all", _counted(faces, "face")]
    yield f'<header><h1>{escape(run.title)}</h1><p class="soft">{" · ".join(said)}'
    yield f" · {escape(run.when)}</p>" if run.when else "</p>"
    yield (
        '<div class="lead"><p><strong>Expressed is not felt.</strong> This page says what faces and a voice showed to '
        "a model that is often wrong. It says nothing of what anybody felt, meant or is like.</p>"
        '<ul class="legend" aria-label="Colours">'
    )
    for label, name in names.items():
        yield f"<li>{_swatch(name)}{escape(label)}</li>"
    yield f"<li>{_swatch('neutral', True)}hatched: uncertain</li></ul></div></header>"


def _section(section: StreamSection, ident: str, names: Names) -> Iterator[str]:
    summary, thumbnails = section
    yield f'<section aria-labelledby="{ident}"><h2 id="{ident}">{escape(summary.stream)}</h2>'
    yield f'<p class="soft">{_totals(summary)}</p>'
    sentences = summary.sentences()
    if not sentences:
        yield "<p>No face and no voice was found here.</p></section>"
        return
    yield '<ul class="verdicts">'
    yield from (f"<li>{escape(sentence)}</li>" for sentence in sentences)
    yield "</ul>"
    shown = summary.longer_faces()
    if shown:
        yield '<ul class="cards">'
        for face in shown:
            yield from _card(face, thumbnails.get((face.part, face.id)), summary, names)
        yield "</ul>"
    if brief := len(summary.faces) - len(shown):
        yield f'<p class="soft">In view for less than half a second: {_counted(brief, "more face")}.</p>'
    if summary.brief_faces:
        counted = _counted(summary.brief_faces, "more face")
        yield f'<p class="soft">In view for a short time, and only counted: {counted}.</p>'
    yield f"<h3>Time line</h3>{time_line(summary, ident, names)}"
    yield from _table(summary, names)
    yield "</section>"


def _totals(summary: StreamSummary) -> str:
    parts = [f"{time_text(summary.end)} long"]
    if summary.frames:
        parts.append(f"{summary.with_face:,} of {_counted(summary.frames, 'picture')} show a face")
    if summary.voice.segments:
        parts.append(f"{summary.voice.total / SECOND:.1f} s of speech")
    if summary.forced:
        parts.append(f"{_counted(summary.forced, 'result')} sent before all was known")
    if summary.jumps:
        parts.append(f"time began anew {_counted(summary.jumps, 'time')}")
    return " · ".join(parts)


def _card(face: FaceSummary, thumbnails: Thumbnails | None, summary: StreamSummary, names: Names) -> Iterator[str]:
    yield f"<li><h3>{escape(face.name.capitalize())}</h3>"
    best = thumbnails.best() if thumbnails is not None else []
    if best:
        yield '<div class="faces">'
        yield from (_figure(face, each, names) for each in sorted(best, key=lambda each: each.at))
        yield "</div>"
    yield from _shares(face.timeline, names)
    here = f"In view from {time_text(face.first)} to {time_text(face.last)}"
    yield f'<p class="soft">{here}, {face.timeline.total / SECOND:.1f} s of {time_text(summary.end)}.</p>'
    if face.geometry.frames:
        yield f'<p class="soft">{face.geometry.sentence()}</p>'
    yield "</li>"


def _figure(face: FaceSummary, each: Thumbnail, names: Names) -> str:
    said = escape(verdict(each.emotion, each.confidence, each.uncertain))
    data = base64.b64encode(each.jpeg).decode()
    return (
        f'<figure><img alt="{escape(face.name)} at {time_text(each.at)}: {said}" width="144" height="144" '
        f'style="border-color: var(--{names[each.emotion]})" src="data:image/jpeg;base64,{data}">'
        f"<figcaption>{said}<br>{time_text(each.at)}</figcaption></figure>"
    )


def _shares(timeline: Timeline, names: Names) -> Iterator[str]:
    """What part of the time each emotion has, the uncertain part of it hatched."""
    yield '<dl class="shares">'
    for label, certain, uncertain in shares(timeline):
        share = certain + uncertain
        doubt = (
            "" if not uncertain else ", uncertain" if not certain else f", {percent(uncertain / share)} of it uncertain"
        )
        bar = share_bar(names[label], certain, uncertain)
        yield f"<div><dt>{escape(label)}</dt><dd>{bar}{percent(share)}{doubt}</dd></div>"
    yield "</dl>"


def _table(summary: StreamSummary, names: Names) -> Iterator[str]:
    """The segments of all faces and the voice; the same that the time line shows."""
    rows = list(summary.segments())
    kept = sorted(rows, key=lambda row: (-row[1].length, row[1].start))[:MAX_ROWS]
    kept.sort(key=lambda row: (row[1].start, row[0]))
    about = "Who expressed what, and when"
    if len(kept) < len(rows):
        about += f": the {len(kept)} longest of {len(rows):,} segments"
    yield f'<h3>The same as a table</h3><div class="scroll" tabindex="0" role="group" aria-label="{about}"><table>'
    yield f'<caption>{about}.</caption><thead><tr><th scope="col" class="n">from</th><th scope="col" class="n">to</th>'
    yield '<th scope="col">who</th><th scope="col">expresses</th><th scope="col" class="n">confidence</th></tr></thead>'
    yield "<tbody>"
    yield from (_table_row(who, each, names) for who, each in kept)
    yield "</tbody></table></div>"


def _table_row(who: str, each: Segment, names: Names) -> str:
    doubt = ", <em>uncertain</em>" if each.uncertain else ""
    return (
        f'<tr><td class="n">{time_text(each.start)}</td><td class="n">{time_text(each.end)}</td><td>{escape(who)}</td>'
        f"<td>{_swatch(names[each.emotion], each.uncertain)}{escape(each.emotion)}{doubt}</td>"
        f'<td class="n">{percent(each.confidence)}</td></tr>'
    )


def _footer(run: RunInfo) -> Iterator[str]:
    yield "<footer><h2>How far to trust this</h2>"
    yield (
        "<p>A confidence is meant to be a frequency: of answers given with 70 %, about 70 % should be right, on people "
        "like those the models were measured on. <em>Uncertain</em> (hatched) says that it lies below the limit for "
        "the share of wrong answers that this graph tolerates: take it as “don’t know”.</p>"
    )
    if run.measured:
        yield "<p>Measured, on data that the models had not seen:</p><ul>"
        yield from (f"<li>{escape(each)}</li>" for each in run.measured)
        yield (
            "</ul><p>These are posed or acted emotions. On spontaneous ones, other ages, cultures, cameras and "
            "languages expect less, and more for some people than for others.</p>"
        )
    yield (
        "<p>Inferring emotions at work or in education is prohibited in the European Union (AI Act, Article 5(1)(f)), "
        "and people who are analysed must be told (Article 50(3)).</p>"
    )
    if run.losses is not None or run.notes or run.omitted:
        yield "<h3>How this was made</h3>"
    if run.losses:
        yield "<table><caption>What was left out, repaired or late on the way.</caption><thead><tr>"
        yield '<th scope="col">where</th><th scope="col">what</th><th scope="col" class="n">how many</th></tr></thead>'
        yield "<tbody>"
        for where, what, count in run.losses:
            yield f'<tr><td>{escape(where)}</td><td>{escape(what)}</td><td class="n">{escape(count)}</td></tr>'
        yield "</tbody></table>"
    elif run.losses is not None:
        yield "<p>Nothing was dropped, damaged or late on the way.</p>"
    if run.omitted:
        yield f"<p>{_counted(run.omitted, 'more stream')} had no room in this report.</p>"
    yield from (f"<p>{escape(note)}</p>" for note in run.notes)
    yield "</footer>"


def _swatch(name: str, uncertain: bool = False) -> str:
    fill = f'fill="url(#unsure-{name})"' if uncertain else f'class="{name}"'
    return f'<svg class="dot" viewBox="0 0 12 12" aria-hidden="true"><rect width="12" height="12" rx="3" {fill}/></svg>'


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
