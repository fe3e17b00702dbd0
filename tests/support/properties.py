"""How Hypothesis runs here: the same examples every time, and no deadline on a busy machine."""

from hypothesis import settings

repeatable = settings(derandomize=True, deadline=None, database=None, max_examples=40)
