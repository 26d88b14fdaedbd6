"""What ``pose demo`` shows: a small training from start to end, and its report."""
