"""The offline cluster: API server, workloads, mesh and Prometheus under virtual time, with the production loop in it."""
