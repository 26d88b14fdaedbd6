"""What lies on disk: run folders, and what trainings start from."""
