"""Say what pictures, sounds and videos express, or a picture and a sound together.

Files and folders, several of each. One image and one sound belong together; of several, those whose names are the same
but for the ending. A file that cannot be used is named and left out, the others are done, and the exit code is 2.
"""

import argparse
import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from emopipe.arguments.graph import add_set_argument
from emopipe.arguments.outputs import writing
from emopipe.arguments.playing import play
from emopipe.graphs.ready import find_graph
from emopipe.models import checkpoint
from emopipe.models.calibration import PRIORS, Prior
from emopipe.models.loading import Backend
from emopipe.pipeline.errors import DataError, EmopipeError, MediaError
from emopipe.pipeline.graph.load import overridden, read_table
from emopipe.pipeline.graph.registry import GRAPH_KEYS
from emopipe.pipeline.text import count, listing, printable, readable

if TYPE_CHECKING:
    from emopipe.predictor.prediction import Prediction

HELP = "say what pictures, sounds and videos express"
FAILED = EmopipeError.exit_code

Pair = tuple[Path | None, Path | None]
"""An image and a sound, either of which may be missing."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    for kind, what in (("image", "pictures"), ("audio", "sounds"), ("video", "videos")):
        text = f"{what}, or folders of them"
        parser.add_argument(f"--{kind}", nargs="+", action="extend", default=[], type=Path, metavar="PATH", help=text)
    text = "one JSON object a line, to FILE or to standard output, instead of a table"
    parser.add_argument("--json", nargs="?", const="-", metavar="FILE", help=text)
    parser.add_argument("--whole", action="store_true", help="each image is a face already, as in FER2013")
    text = f"how common each label is: {', '.join(PRIORS)}, or shares as neutral=0.5,happy=0.2 (default: training)"
    parser.add_argument("--prior", type=prior, metavar="PRIOR", help=text)
    text = "share of wrong answers tolerated among those that are not uncertain (default: 0.3)"
    parser.add_argument("--risk", type=float, metavar="R", help=text)
    text = "weights instead of the shipped ones; a file says itself what it is for; may be repeated"
    parser.add_argument("--weights", action="append", default=[], type=Path, metavar="FILE", help=text)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), help="where to infer (default: auto)")
    text = "what computes the network for faces (default: onnxruntime on a CPU, torch on a GPU)"
    parser.add_argument("--backend", choices=get_args(Backend), help=text)
    text = "the graph to play videos through, whose stages' settings hold for pictures too (default: pipeline.toml)"
    parser.add_argument("--graph", type=Path, help=text)
    add_set_argument(parser, "stages.faces.max_faces=20")
    text = "of a video, one moment in so many seconds (default: all)"
    parser.add_argument("--every", type=float, default=0.0, metavar="S", help=text)


def main(args: argparse.Namespace) -> int:
    from emopipe.predictor.emotion_predictor import EmotionPredictor
    from emopipe.predictor.inputs import IMAGES, SOUNDS, VIDEOS

    images, sounds, films = expand(args.image, IMAGES), expand(args.audio, SOUNDS), expand(args.video, VIDEOS)
    for text in left_out([*args.image, *args.audio, *args.video], {*images, *sounds, *films}):
        print(f"emopipe: {text}", file=sys.stderr)
    if not (images or sounds or films):
        given = dict.fromkeys([*args.image, *args.audio, *args.video])
        empty = f" in {listing(map(str, given), 'or')}" if given else ""
        raise EmopipeError(
            f"nothing to predict{empty}: name files with --image, --audio or --video, or folders that hold some"
        )
    if not args.every >= 0:
        raise EmopipeError(f"--every {args.every:g}: expected seconds, at least 0")
    graph = find_graph(args.graph)
    table = overridden(read_table(graph), graph, args.overrides)
    weights = {checkpoint.read_card(path).task: path for path in args.weights}
    problems: list[str] = []
    done = 0
    with (
        EmotionPredictor(
            facial=weights.get("facial"),
            speech=weights.get("speech"),
            fusion=weights.get("fusion"),
            device=args.device,
            backend=args.backend,
            prior=args.prior,
            risk=args.risk,
            settings=settings_of(table),
        ) as predictor,
        writer(args.json) as write,
    ):
        for image, sound in pairs(images, sounds):
            with naming_errors(problems):
                prediction = predictor.predict_from_file(image, sound, whole=args.whole)
                write(prediction)
                done += 1
                note(prediction, problems)
        show_progress = partial(play, bar=True, verbose=False)
        if films := openable(films, problems):
            for prediction in predictor.predict_videos(films, graph, args.overrides, show_progress):
                decimate(prediction, args.every)
                write(prediction)
                done += 1
                note(prediction, problems)
    if problems:
        noun = "problem" if len(problems) == 1 else "problems"
        rest = "; all else is done" if done else ""
        print(f"emopipe: {len(problems)} {noun} with files{rest}", file=sys.stderr)
    return FAILED if problems else 0


def settings_of(table: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The settings of those stages of a graph that a predictor is made of, by the stages' names for graphs."""
    from emopipe.predictor.options import STAGES

    stages = table.get("stages")
    tables = [stage for stage in stages.values() if isinstance(stage, dict)] if isinstance(stages, dict) else []
    return {
        str(stage["use"]): {key: value for key, value in stage.items() if key not in GRAPH_KEYS}
        for stage in reversed(tables)  # of several the first counts
        if str(stage.get("use")) in STAGES
    }


def prior(text: str) -> Prior:
    """`neutral`, or `neutral=0.5,happy=0.2`."""
    if "=" not in text:
        return text
    try:
        return {label.strip(): float(share) for label, share in (part.split("=") for part in text.split(","))}
    except ValueError:
        problem = f"{text!r} is neither {', '.join(PRIORS)} nor shares as neutral=0.5,happy=0.2"
        raise argparse.ArgumentTypeError(problem) from None


def expand(paths: Sequence[Path], endings: Sequence[str]) -> list[Path]:
    """The files named, and those in the folders named that end so, in the order of their names."""
    files: list[Path] = []
    for path in paths:
        inside = path.rglob("*") if path.is_dir() else [path]
        files += sorted(file for file in inside if file == path or (file.is_file() and file.suffix.lower() in endings))
    return list(dict.fromkeys(files))


def left_out(paths: Sequence[Path], taken: Collection[Path]) -> list[str]:
    """What is said of each folder that holds files of which none of these options took any."""
    said = []
    for folder in dict.fromkeys(path for path in paths if path.is_dir()):
        rest = [file for file in folder.rglob("*") if file.is_file() and file not in taken and file.name[0] != "."]
        endings = Counter(file.suffix or "no ending" for file in rest)
        if rest:
            kinds = ", ".join(f"{number} {printable(ending)}" for ending, number in endings.most_common(5))
            said.append(
                f"{printable(str(folder))}: {count(len(rest), 'file')} left out by their names' endings: {kinds}"
            )
    return said


def pairs(images: Sequence[Path], sounds: Sequence[Path]) -> list[Pair]:
    """What is predicted together: one image and one sound, or those of the same name; the others alone."""
    if len(images) == len(sounds) == 1:
        return [(images[0], sounds[0])]
    by_name = {sound.stem: sound for sound in sounds}
    together: list[Pair] = [(image, by_name.pop(image.stem, None)) for image in images]
    taken = {sound for _, sound in together}
    return [*together, *((None, sound) for sound in sounds if sound not in taken)]


def openable(films: Sequence[Path], problems: list[str]) -> list[Path]:
    """The films that can be opened; what stands against the others goes to `problems`."""
    from emopipe.stages.media.recording import Recording

    good = []
    for film in films:
        with naming_errors(problems):
            Recording(film).close()
            good.append(film)
    return good


def decimate(prediction: "Prediction", every: float) -> None:
    """Keep of a film's moments the first in each `every` seconds."""
    due = 0.0
    kept = []
    for moment in prediction.moments:
        if moment["time"] >= due:
            kept.append(moment)
            due = moment["time"] + every
    prediction.moments = kept


@contextlib.contextmanager
def writer(json: str | None) -> "Iterator[Callable[[Prediction], Any]]":
    """What takes predictions: a file of JSON lines, standard output, or at the end a table."""
    from emopipe.tables.prediction import print_predictions

    if json is None:
        found: list[Prediction] = []
        yield found.append
        print_predictions(found)
    elif json == "-":
        yield lambda prediction: print(*json_lines(prediction), sep="\n", flush=True)
    else:
        with writing(Path(json), "--json") as put:
            yield lambda prediction: put("".join(f"{line}\n" for line in json_lines(prediction)))


def json_lines(prediction: "Prediction") -> list[str]:
    """One object for pictures and sounds, one a moment for a film; numbers rounded as the sinks do."""
    from emopipe.stages.sinks.records import rounded

    if prediction.video:
        records = [{"video": prediction.video, **moment} for moment in prediction.moments]
    else:
        records = [rounded(msgspec.to_builtins(prediction))]
    return [msgspec.json.encode(record).decode() for record in records]


@contextlib.contextmanager
def naming_errors(problems: list[str]) -> Iterator[None]:
    """Go on behind a file that cannot be used, once it has been named."""
    try:
        yield
    except (MediaError, DataError) as error:
        problems.append(str(error))
        print(f"emopipe: {readable(error)}", file=sys.stderr)


def note(prediction: "Prediction", problems: list[str]) -> None:
    """Name what could not be read of a sound or film."""
    for place in prediction.damage:
        problems.append(f"{prediction.audio or prediction.video}: {place}")
        print(f"emopipe: {readable(problems[-1])}", file=sys.stderr)
