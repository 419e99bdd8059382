"""A face's mesh, drawn as a grey mask: all that it shows comes from the mesh's points."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from emopipe.models.geometry.measures import LEFT, RIGHT

Pixels = NDArray[np.uint8]
Points = NDArray[np.float64]

TO_LIGHT = np.array([-0.35, -0.45, -0.82])  # in axes to the right, down and away from the camera
SHADE, LIT = 70, 200  # greys of the skin that faces away from the light and towards it
BROW_GREY, LIP_GREY, MOUTH_GREY, WHITE_GREY, IRIS_GREY, LID_GREY = 60, 105, 20, 235, 50, 40
PLACE_BITS = 4  # of a pixel's parts in the places that OpenCV draws at

OUTER_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
INNER_LIPS = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
BROWS = ((70, 63, 105, 66, 107, 55, 65, 52, 53, 46), (300, 293, 334, 296, 336, 285, 295, 282, 283, 276))
RIGHT_LIDS = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
LEFT_LIDS = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)


@cache
def triangles() -> NDArray[np.int64]:
    """The points of the mesh's triangles [852, 3]; eyes and mouth are holes in them."""
    from mediapipe.tasks.python.vision import FaceLandmarksConnections

    edges = [edge.start for edge in FaceLandmarksConnections.FACE_LANDMARKS_TESSELATION]  # three to a triangle
    return np.array(edges).reshape(-1, 3)


def draw_mask(image: Pixels, points: Points) -> None:
    """Draw a mesh's points [478, 3] (in pixels of the image: right, down, away) into uint8 [H, W] or [H, W, 3]."""
    import cv2

    places = np.round(points[:, :2] * (1 << PLACE_BITS)).astype(np.int32)
    corners = triangles()
    order = np.argsort(-points[corners, 2].mean(axis=1), kind="stable")  # the nearest last
    shapes = places[corners[order]]
    for shape, grey in zip(shapes, _greys(points[corners[order]]), strict=True):
        cv2.fillConvexPoly(image, shape, _colour(grey), cv2.LINE_8, PLACE_BITS)
    across = float(np.linalg.norm(points[RIGHT.outer, :2] - points[LEFT.outer, :2]))

    def fill(grey: int, *outlines: Sequence[int]) -> None:
        shapes = [places[list(outline)] for outline in outlines]
        cv2.fillPoly(image, shapes, _colour(grey), cv2.LINE_AA, PLACE_BITS)

    for brow in BROWS:
        fill(BROW_GREY, brow)
    fill(LIP_GREY, OUTER_LIPS, INNER_LIPS)
    fill(MOUTH_GREY, INNER_LIPS)
    for lids, eye in ((RIGHT_LIDS, RIGHT), (LEFT_LIDS, LEFT)):
        fill(WHITE_GREY, lids)
        opening = np.zeros(image.shape[:2], np.uint8)
        cv2.fillPoly(opening, [places[list(lids)]], 255, cv2.LINE_8, PLACE_BITS)
        with_iris = image.copy()
        radius = np.linalg.norm(points[eye.rim[0], :2] - points[eye.rim[2], :2]) / 2
        middle = int(places[eye.iris, 0]), int(places[eye.iris, 1])
        size = round(float(radius) * (1 << PLACE_BITS))
        cv2.circle(with_iris, middle, size, _colour(IRIS_GREY), -1, cv2.LINE_AA, PLACE_BITS)
        image[opening > 0] = with_iris[opening > 0]
        width = max(1, round(across / 80))
        cv2.polylines(image, [places[list(lids)]], True, _colour(LID_GREY), width, cv2.LINE_AA, PLACE_BITS)


def _greys(shapes: Points) -> list[int]:
    """The grey of each triangle [n, 3, 3], by how it lies to the light."""
    across = np.cross(shapes[:, 1] - shapes[:, 0], shapes[:, 2] - shapes[:, 0])
    across *= np.where(across[:, 2:] > 0, -1.0, 1.0)  # towards the camera
    lit = across @ TO_LIGHT / np.maximum(np.linalg.norm(across, axis=1) * np.linalg.norm(TO_LIGHT), 1e-9)
    greys: list[int] = np.round(SHADE + (LIT - SHADE) * np.clip(lit, 0.0, 1.0)).astype(int).tolist()
    return greys


def _colour(grey: int) -> tuple[int, int, int]:
    return grey, grey, grey
