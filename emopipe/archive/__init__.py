"""Archives: thousands of recordings, each replayed to a file of its own, by warm processes that may die."""
