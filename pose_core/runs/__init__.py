"""Run folders, imports into them, and weights that trainings start from."""
