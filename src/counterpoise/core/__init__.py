"""The mathematics: coalitions, modulation, scores, absence and references; needs PyTorch alone."""
