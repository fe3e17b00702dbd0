"""CREMA-D: six emotions, acted by 91 people, seen and heard."""

from counterpoise.data.crema_d.source import CREMAD

__all__ = ["CREMAD"]
