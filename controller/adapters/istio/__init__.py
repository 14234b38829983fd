"""Istio: where the requests go, and the writes that move them. `view` reads, `writes` and `rollback` write."""
