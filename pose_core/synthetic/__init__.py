"""Synthetic animals with exact ground truth: images, projects and videos."""
