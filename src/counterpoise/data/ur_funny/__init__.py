"""UR-Funny: whether a talk's line is a joke, from words, voice and face."""

from counterpoise.data.ur_funny.source import URFunny

__all__ = ["URFunny"]
