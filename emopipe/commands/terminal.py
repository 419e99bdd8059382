"""What is printed while a verb works."""

import logging


def log_to_stderr() -> None:
    """Show warnings of ours, such as files that are skipped, as single lines."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
