"""Judge windows of samples: a pure library in the statistician's words (baseline, candidate).

It imports nothing of Kubernetes, HTTP or the controller; it has no clock and no randomness.
"""
