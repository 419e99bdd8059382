"""What one asks before a run: stages, devices, keys, and whether a graph is right."""
