"""Begins to sample a process with its first line: Python itself imports this where the folder is on its path."""

import os

from benchmarks.flame.sampler import FOLDER_VARIABLE, Sampler

if folder := os.environ.get(FOLDER_VARIABLE):
    Sampler(folder).start()
