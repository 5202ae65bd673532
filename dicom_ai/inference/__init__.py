"""From image to prediction: model folders, the runtimes that run them, and one module per model family."""
