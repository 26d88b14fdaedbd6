"""source -> batches -> stages -> animals of frames -> sink."""
