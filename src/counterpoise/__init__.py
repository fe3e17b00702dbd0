"""Balanced multi-modal training for PyTorch."""
