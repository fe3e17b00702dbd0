"""Positive sample propagation: an event in each segment of a clip, from two streams of features.

The parts of the network for audio-visual events of Zhou et al., written for any two modalities:
one has a vector a segment and guides the attention to the other, which has a feature map a
segment. The network is :func:`counterpoise.models.paper_network` ("ave").
"""

from counterpoise.models.psp.encoders import GuideEncoder, MapEncoder
from counterpoise.models.psp.fusion import PositiveSamplePropagation
from counterpoise.models.psp.output import SegmentOutput, event_shares, similarity_loss

__all__ = [
    "GuideEncoder",
    "MapEncoder",
    "PositiveSamplePropagation",
    "SegmentOutput",
    "event_shares",
    "similarity_loss",
]
