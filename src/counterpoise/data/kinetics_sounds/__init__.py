"""Kinetics-Sounds, from lists of clips."""

from counterpoise.data.kinetics_sounds.source import KineticsSounds

__all__ = ["KineticsSounds"]
