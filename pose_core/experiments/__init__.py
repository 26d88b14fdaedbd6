"""Several trainings of one model, and what they say together."""
