"""How well `smile`, `mouth` and `brow_raise` tell faces apart that people have called happy, surprised and so on.

    python -m benchmarks.studies.faces.expressions --data rafdb-train.zip

RAF-DB's labelled pictures (their training part; nothing of ours that is measured here was trained on it). A label is no
action unit: who is called surprised need not raise the brows, and who is called neutral may. So a figure says how well
a measure follows what people saw, not how well it follows the muscles.

Each figure is the probability that a picture of the one class has more of it than one of the other (area under the ROC
curve; 0.5 is chance), with its interval of 95 % (DeLong et al. 1988), and for other definitions how far theirs lies
above the first. Definitions were compared on pictures of even numbers (development); those of odd numbers were held
back. Pictures count as independent, though some people are in several.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emopipe.models.geometry.landmarker import FaceLandmarker, Mesh
from emopipe.models.geometry.measures import LEFT, LIPS, RIGHT, Measures, head_points, measure
from emopipe.models.labels import FACE
from emopipe.training.facial import class_folders

Values = NDArray[np.float64]
Definition = Callable[[Mesh, Measures], float]

SIDE_PX = 100  # of RAF-DB's aligned pictures
WHOLE = (0.0, 0.0, 1.0, 1.0)  # what our detector says of these pictures, in the median: each is a face
CORNERS = (61, 291)  # of the mouth
BROWS = (70, 63, 105, 66, 107, 300, 293, 334, 296, 336)
Z_95 = 1.959964


class Area(NamedTuple):
    """An area under a ROC curve, or a difference of two, and its standard error."""

    value: float
    error: float

    @property
    def half_width(self) -> float:
        """Of its interval of 95 %."""
        return Z_95 * self.error


class Comparison(NamedTuple):
    """A measure, the pairs of classes that it should tell apart (more, less), and how it may be defined.

    The first definition is the product's; of lowered brows it has none.
    """

    measure: str
    pairs: Sequence[tuple[str, str]]
    definitions: Mapping[str, Definition]


def shape(name: str) -> Definition:
    """A blendshape, or the mean of its left and right one."""

    def value(mesh: Mesh, measures: Measures) -> float:
        sides = [mesh.blendshapes[each] for each in (name, f"{name}Left", f"{name}Right") if each in mesh.blendshapes]
        return sum(sides) / len(sides)

    return value


def above(points: Sequence[int], others: Sequence[int]) -> Definition:
    """How far some points of the mesh lie above others on the head, in distances between the eyes' outer corners."""

    def value(mesh: Mesh, measures: Measures) -> float:
        head = head_points(mesh)
        across = np.linalg.norm(head[RIGHT.outer] - head[LEFT.outer])
        return float((head[list(points), 1].mean() - head[list(others), 1].mean()) / across)

    return value


INNER, OUTER, DOWN, FROWN = (shape(name) for name in ("browInnerUp", "browOuterUp", "browDown", "mouthFrown"))
COMPARISONS = (
    Comparison(
        "smile",
        [("happy", other) for other in ("neutral", "sad", "surprise", "disgust", "angry", "fear")],
        {
            "smile": lambda mesh, measures: measures.smile,
            "less mouthFrown": lambda mesh, measures: measures.smile - FROWN(mesh, measures),
            "corners over lips": above(CORNERS, LIPS),
        },
    ),
    Comparison(
        "mouth",
        [("surprise", "neutral"), ("fear", "neutral"), ("angry", "neutral"), ("happy", "neutral"), ("sad", "neutral")],
        {"mouth": lambda mesh, measures: measures.mouth, "jawOpen": shape("jawOpen")},
    ),
    Comparison(
        "brow_raise",
        [(more, less) for more in ("surprise", "fear") for less in ("neutral", "happy", "disgust", "angry")]
        + [("sad", "neutral")],
        {
            "brow_raise": lambda mesh, measures: measures.brow_raise,
            "larger of both": lambda *seen: max(INNER(*seen), OUTER(*seen)),
            "mean of both": lambda *seen: (INNER(*seen) + OUTER(*seen)) / 2,
            "browInnerUp": INNER,
            "browOuterUp": OUTER,
            "less browDown": lambda mesh, measures: measures.brow_raise - DOWN(mesh, measures),
            "brows over eyes": above(BROWS, (RIGHT.outer, RIGHT.inner, LEFT.outer, LEFT.inner)),
        },
    ),
    Comparison(
        "brows lowered",
        [("angry", "neutral"), ("sad", "neutral"), ("angry", "surprise"), ("angry", "fear")],
        {"browDown": DOWN, "less browInnerUp": lambda *seen: DOWN(*seen) - INNER(*seen)},
    ),
)


def placements(more: Values, less: Values) -> tuple[Values, Values]:
    """Of each value the part of the other class that it is right about, ties half (Sun & Xu 2014)."""
    both = _ranks(np.concatenate([more, less]))
    over = (both[: len(more)] - _ranks(more)) / len(less)
    under = 1 - (both[len(more) :] - _ranks(less)) / len(more)
    return over, under


def area(more: Values, less: Values) -> Area:
    """How often a value of `more` [N] exceeds one of `less` [M]."""
    return _area(*placements(more, less))


def gain(more: tuple[Values, Values], less: tuple[Values, Values]) -> Area:
    """The area of the first of two definitions, measured on the same pictures, less that of the second."""
    (over, under), (other_over, other_under) = (placements(more[each], less[each]) for each in (0, 1))
    return _area(over - other_over, under - other_under)


def _area(over: Values, under: Values) -> Area:
    variance = over.var(ddof=1) / len(over) + under.var(ddof=1) / len(under)
    return Area(float(over.mean()), float(np.sqrt(variance)))


def _ranks(values: Values) -> Values:
    """From 1; equal values share the mean of theirs."""
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Values = (np.cumsum(counts) - (counts - 1) / 2)[index]
    return ranks


def meshes(pictures: class_folders.Pictures, every: int) -> Iterator[tuple[str, int, Mesh | None]]:
    """Each picture's class, number and mesh."""
    landmarker = FaceLandmarker()
    rows = zip(pictures.images, pictures.targets, pictures.names, strict=True)
    for index, (image, target, name) in enumerate(rows):
        if index % every == 0:
            yield FACE[target], int(name.split("_")[1]), landmarker.mesh(image, WHOLE)
    landmarker.close()


def table(comparison: Comparison, values: Mapping[str, Values], labels: NDArray[np.str_]) -> Iterator[str]:
    """A line for each definition: of the first the areas, of others how far theirs lie above these."""
    yield f"{comparison.measure:<20}" + "".join(f"{f'{more}/{less}':>19}" for more, less in comparison.pairs)
    first, *others = comparison.definitions
    split = {name: {label: values[name][labels == label] for label in FACE} for name in comparison.definitions}
    areas = [area(split[first][more], split[first][less]) for more, less in comparison.pairs]
    yield f"  {first:<18}" + "".join(f"{f'{each.value:.3f} ± {each.half_width:.3f}':>19}" for each in areas)
    for name in others:
        gains = [
            gain((split[name][more], split[first][more]), (split[name][less], split[first][less]))
            for more, less in comparison.pairs
        ]
        yield f"  {name:<18}" + "".join(f"{f'{each.value:+.3f} ± {each.half_width:.3f}':>19}" for each in gains)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="RAF-DB, folder or zip")
    parser.add_argument("--every", type=int, default=1, help="take one picture of so many (%(default)s: all)")
    given = parser.parse_args()
    seen: list[tuple[str, int, Mesh, Measures]] = []
    counts: dict[str, list[int]] = {label: [0, 0] for label in FACE}
    for label, number, mesh in meshes(class_folders.load(given.data, "train", SIDE_PX), given.every):
        counts[label][1] += 1
        if mesh is not None and not (measures := measure(mesh)).uncertain:
            counts[label][0] += 1
            seen.append((label, number, mesh, measures))
    print("measured: " + ", ".join(f"{label} {found} of {total}" for label, (found, total) in counts.items()))
    labels, numbers = np.array([each[0] for each in seen]), np.array([each[1] for each in seen])
    for part, chosen in (("development", numbers % 2 == 0), ("held back", numbers % 2 == 1)):
        print(f"\n{part}: {chosen.sum()} pictures")
        for comparison in COMPARISONS:
            values = {
                name: np.array([definition(mesh, measures) for _, _, mesh, measures in seen])[chosen]
                for name, definition in comparison.definitions.items()
            }
            print("\n".join(table(comparison, values, labels[chosen])))


if __name__ == "__main__":
    main()
