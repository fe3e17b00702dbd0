"""CMU-MOSEI and CMU-MOSI: sentiment in short monologues, from words, voice and face."""

from counterpoise.data.cmu_mosei.source import CMUMOSEI, CMUMOSI

__all__ = ["CMUMOSEI", "CMUMOSI"]
