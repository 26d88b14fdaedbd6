"""The painted animals: scenes with exact ground truth, as images, projects and videos."""
