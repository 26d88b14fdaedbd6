"""Frames in, animals out: sources, stages, and the threads that keep them busy."""
