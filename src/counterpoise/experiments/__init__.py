"""Experiments on many runs: comparing methods, measuring competition, answering questions."""
