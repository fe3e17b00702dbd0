"""Evaluating the coalitions of any module in one training step."""
