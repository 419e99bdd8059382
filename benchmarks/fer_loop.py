"""A loop of `fer` over a recording; run by `emopipe bench peers` with the Python of an environment that has it.

python benchmarks/fer_loop.py CLIP SECONDS      prints frames, seconds and versions, as JSON
"""

import importlib.metadata
import json
import sys
import time


def main() -> None:
    clip, most = sys.argv[1], float(sys.argv[2])
    began = time.perf_counter()
    import cv2
    from fer import FER

    detector = FER()
    video = cv2.VideoCapture(clip)
    shown, picture = video.read()
    detector.detect_emotions(picture)  # warm-up; the network is built by its first call
    loaded = time.perf_counter()
    frames = faces = 0
    while shown and time.perf_counter() - loaded < most:
        faces += len(detector.detect_emotions(picture))
        frames += 1
        shown, picture = video.read()
    taken = time.perf_counter() - loaded
    version = importlib.metadata.version("fer")
    print(json.dumps({"frames": frames, "faces": faces, "seconds": taken, "load": loaded - began, "version": version}))


if __name__ == "__main__":
    main()
