"""The production runtime: watches, work queue, lease, workers, health and metrics.

It decides nothing about a release and holds no truth: everything here may be lost at any moment. Threads
live only here. The work queue is also the simulator's, single-threaded, under virtual time.
"""
