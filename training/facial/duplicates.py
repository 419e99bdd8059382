"""Test images that also stand in FER2013's Training split: 280 of PublicTest and 288 of PrivateTest.

Whoever evaluates a test split often has no Training images at hand. So the package carries a list of theirs: the
first 8 bytes of the SHA-256 of each image's 48×48 pixels, sorted. It was made by

    python -m emopipe.training.facial.duplicates fer2013.zip

Equal means equal in every pixel. The list is of the JPEG files of the common download; an edition that was compressed
anew, or never, may have other pixels, and then only Training images of the same edition can tell.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emopipe.training.facial import fer2013

LIST_PATH = Path(__file__).with_name("fer2013-training.sha256")
KEY_BYTES = 8

Keys = NDArray[np.uint64]


def keys(images: NDArray[np.uint8]) -> Keys:
    """Images [N, 48, 48] → [N]. Of 36,000 images, two different ones share a key with a chance of 4 in 10¹¹."""
    digests = b"".join(hashlib.sha256(image.tobytes()).digest()[:KEY_BYTES] for image in images)
    return np.frombuffer(digests, ">u8").astype(np.uint64)


def listed() -> Keys:
    """The keys of the Training images that the package carries."""
    return np.frombuffer(LIST_PATH.read_bytes(), ">u8").astype(np.uint64)


def duplicates(split: fer2013.Split, data: fer2013.Fer2013) -> NDArray[np.bool_]:
    """A mask [N] of a split's images that are in Training: in the one at hand, or in the list."""
    known = listed()
    if "Training" in data.splits:
        known = np.concatenate([known, keys(data.splits["Training"].images)])
    return np.isin(keys(split.images), known)


def main() -> None:
    """Write the list."""
    parser = argparse.ArgumentParser(description="List the images of FER2013's Training split.")
    parser.add_argument("data", type=Path, help="FER2013, as a folder, zip or csv")
    parser.add_argument("--out", type=Path, default=LIST_PATH, metavar="FILE", help="(%(default)s)")
    args = parser.parse_args()
    found = np.unique(keys(fer2013.load(args.data).split("Training").images))
    args.out.write_bytes(found.astype(">u8").tobytes())
    print(f"wrote {len(found):,} keys to {args.out}")


if __name__ == "__main__":
    main()
