"""Joint encoding: attention in blocks, one sequence guiding the attention of another.

The parts of the network for text and sound of Delbrouck et al., written for any two modalities
that are sequences of vectors. The network is :func:`counterpoise.models.paper_network`
("cmu-mosei").
"""

from counterpoise.models.joint_encoding.encoders import TokenEncoder
from counterpoise.models.joint_encoding.fusion import JointEncoding
from counterpoise.models.joint_encoding.padding import absent_tokens, mark_padding

__all__ = ["JointEncoding", "TokenEncoder", "absent_tokens", "mark_padding"]
