"""Annotations as a file of ELAN (EAF 2.8), with the recording linked and the labels to choose from."""

import mimetypes
import os
import re
from pathlib import Path
from typing import Annotated, Any, ClassVar
from urllib.parse import quote

import emopipe
from emopipe.pipeline.port import Port, about
from emopipe.stages.lab.annotations import MARKERS, AnnotationFiles, AnnotationSettings, milliseconds
from emopipe.stages.lab.tiers import UNCERTAIN, StreamTiers, annotation_value

LINGUISTIC_TYPE = "emotion"
MARKER_TYPE = "marker"
MARKER_MS = 100  # that an annotation of what took no time lasts, as ELAN has none that does not; less before the next
VOCABULARY = "emotions"
LANGUAGE = ("eng", "http://cdb.iso.org/lg/CDB-00138502-001", "English (eng)")
DATE = "1970-01-01T00:00:00+00:00"  # ELAN sets it when it saves; the same results are the same bytes


class Eaf(AnnotationFiles):
    """Writes one file for ELAN a stream: a tier for each face, fused and by itself, and one for the voice.

    ELAN opens the recording with it, and offers the labels where an annotation is corrected. Times are in ms, as ELAN
    has them; what is shorter is left out. Markers have a tier for each sender, where each begins when it happened and
    lasts 100 ms, or until the next. The file is written when the stream has ended; until then an old one stays.
    """

    name = "eaf"
    inputs: ClassVar[dict[str, Port]] = {**AnnotationFiles.inputs, "markers": MARKERS}

    class Settings(AnnotationSettings, kw_only=True):
        suffixes = (".eaf",)
        library = "pympi"

        media: Annotated[
            str | list[str], about("recordings that are played here (file-capture's `uri`): ELAN opens them")
        ] = []  # noqa: RUF012

        @property
        def recordings(self) -> list[str]:
            """The recordings that are linked."""
            return [self.media] if isinstance(self.media, str) else self.media

    settings: Settings

    def write(self, path: Path, stream: str, tiers: StreamTiers) -> None:
        from emopipe.stages.media.container import stream_names

        files = self.settings.recordings
        recording = dict(zip(stream_names(files), files, strict=True)).get(stream)
        path.write_bytes(eaf(tiers, Path(recording) if recording is not None else None, path.parent))


def eaf(tiers: StreamTiers, recording: Path | None, folder: Path) -> bytes:
    """The file's content; `recording` is linked, relative to `folder` too."""
    from pympi import Elan

    document: Any = Elan.Eaf(author=f"emopipe {emopipe.__version__}")
    document.adocument["DATE"] = DATE
    document.header = {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"}
    document.remove_tier("default")
    document.remove_linguistic_type("default-lt")
    if recording is not None:
        document.add_linked_file(
            recording.resolve().as_uri(),
            relpath=quote(f"./{os.path.relpath(recording.resolve(), folder.resolve())}", errors="surrogateescape"),
            mimetype=mimetypes.guess_type(recording.name)[0] or "unknown",
        )
    language, definition, name = LANGUAGE
    document.add_language(language, definition, name)
    document.add_controlled_vocabulary(VOCABULARY)
    document.add_cv_description(VOCABULARY, language, f"{', '.join(tiers.labels())}; with a question mark: uncertain")
    for label in tiers.labels():
        name = f"cve_{re.sub(r'[^A-Za-z0-9_.-]', lambda each: f'_{ord(each[0])}', label)}"
        for entry, value in ((name, label), (f"{name}_uncertain", f"{label}{UNCERTAIN}")):
            document.add_cv_entry(VOCABULARY, entry, [(value, language, None)])
    attributes = {
        "LINGUISTIC_TYPE_ID": LINGUISTIC_TYPE,
        "TIME_ALIGNABLE": "true",
        "GRAPHIC_REFERENCES": "false",
        "CONTROLLED_VOCABULARY_REF": VOCABULARY,
    }
    document.add_linguistic_type(LINGUISTIC_TYPE, param_dict=attributes)
    for tier in tiers.tiers():
        document.add_tier(tier.name, ling=LINGUISTIC_TYPE, part=tier.participant, ann="emopipe")
        for segment in tier.segments:
            start, end = milliseconds(segment.start), milliseconds(segment.end)
            if start < end:
                document.add_annotation(tier.name, start, end, annotation_value(segment))
    points = tiers.point_tiers(milliseconds)
    if points:
        kept = {key: value for key, value in attributes.items() if key != "CONTROLLED_VOCABULARY_REF"}
        document.add_linguistic_type(MARKER_TYPE, param_dict=kept | {"LINGUISTIC_TYPE_ID": MARKER_TYPE})
    for each in points:
        document.add_tier(each.name, ling=MARKER_TYPE, ann="emopipe")
        starts = [start for start, _ in each.points]
        ends = [*starts[1:], starts[-1] + MARKER_MS]
        for (start, value), following in zip(each.points, ends, strict=True):
            document.add_annotation(each.name, start, min(start + MARKER_MS, following), value)
    document.properties = [("lastUsedAnnotationId", document.maxaid)]
    text: str = Elan.to_string(document)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()
