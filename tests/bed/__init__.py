"""A small real cluster for the tests: API server, controller manager, etcd, Prometheus, a node simulator and an exporter.

Start at `cluster.Bed`. Nothing here knows the controller under test.
"""
