"""Play a graph: live, from recordings, on several hosts; and watch it."""
