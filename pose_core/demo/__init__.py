"""Run the demo: a small training from start to end, and its report."""
