"""Models of other makers, as ONNX files: what a file says of itself, what it is fed, what it answers."""
