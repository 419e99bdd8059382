"""Use a model without a graph, train it, and hand it on."""
