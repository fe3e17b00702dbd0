"""Clips of sound and pictures, decoded once into memory-mapped arrays."""
