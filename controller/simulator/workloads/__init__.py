"""The controllers and the node of a simulated cluster: Deployments become pods, pods become endpoints, owners take dependents along.

Stands behind the simulated API server and writes through the same port as everybody else. Virtual time, no polling.
"""
