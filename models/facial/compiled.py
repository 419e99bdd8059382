"""A network for faces in ONNX Runtime: on one CPU core faster than torch, which lays out weights at each call."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from emopipe.models.facial.crops import SIZE, prepare
from emopipe.models.facial.float_graph import FACES, ROWS

TILE_SIZES = (4, 2, 1)

Faces = NDArray[np.float32]
Rows = NDArray[np.float32]


class CompiledNetwork:
    """A graph (`emopipe.models.facial.graphs`) on one thread of the CPU: a face has the same bits in any batch.

    Threads of its own would be lost in the child of a fork, which then waits for them for ever.
    """

    def __init__(self, model: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        # Also the warm-up: the first calls of each shape choose and prepare their kernels.
        self._tile = exact_tile_size(self._run)

    def __call__(self, crops: NDArray[np.uint8]) -> Rows:
        """Grey crops [N, 48, 48], at least one → rows [N, labels + 1]: logits, then the distance."""
        starts = range(0, len(crops), self._tile)
        return np.concatenate([self._run(prepare(crops[start : start + self._tile])) for start in starts])

    def _run(self, faces: Faces) -> Rows:
        rows: Rows = self._session.run([ROWS], {FACES: faces})[0]
        return rows


def exact_tile_size(judge: Callable[[Faces], Rows], sizes: tuple[int, ...] = TILE_SIZES) -> int:
    """The largest tile in which each face's row is bit-identical to that of the face alone.

    Which kernel computes a layer, and so in which order it sums, may depend on the batch size: measured on
    AVX2, convolutions change at 16 faces. That is a property of the machine and of shapes, not of the values, so
    it is tried out once, with noise, for every size up to the tile.
    """
    noise = np.random.default_rng(0).integers(0, 256, (max(sizes), SIZE, SIZE), dtype=np.uint8)
    faces = prepare(noise)
    alone = np.concatenate([judge(face[None]) for face in faces])
    same = [np.array_equal(judge(faces[:size]), alone[:size]) for size in range(1, max(sizes) + 1)]
    return next(tile for tile in sizes if all(same[:tile]))
