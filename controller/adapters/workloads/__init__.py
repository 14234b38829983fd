"""Workloads: how the two colours stand, whether a release may begin, and the writes that bring green up and down.

`view` reads, `preflight` refuses, `clone` builds (pure), `writes` and `teardown` carry commands out. Nothing
here decides: the core says which command, this package says how, conditionally and stamped with the epoch.
"""
