"""Labels, networks, loading and saving; shipped weights are in `weights/`."""
