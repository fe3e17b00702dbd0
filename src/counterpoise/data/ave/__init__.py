"""AVE: events that are seen and heard at once, second by second."""

from counterpoise.data.ave.source import AVE

__all__ = ["AVE"]
