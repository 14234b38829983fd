"""The service mesh of the simulator: how weights become answers, and answers become metrics.

Nothing here reads a clock or talks to a network; the simulator's loop calls `apply`, `advance` and `scrape`.
"""
