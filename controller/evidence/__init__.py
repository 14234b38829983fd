"""Evidence: what a release's decisions rested on, small enough to keep and complete enough to decide again.

    reconcile -> journal -> parts (ConfigMaps) -> bundle (one file) -> replay, report

`decide` is pure, so evidence is its input and its output, one line a look. The journal runs inside the loop and must not
cost it anything that a person would notice; everything that reads is for people and may take its time.

This package does no I/O: `controller.adapters.evidence` stores the parts, `controller.cli` reads and writes files.
"""
