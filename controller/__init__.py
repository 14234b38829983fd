"""Penstock: a progressive delivery controller for Kubernetes and Istio. Start at `controller.reconcile`."""

__version__ = "0.1.0"
