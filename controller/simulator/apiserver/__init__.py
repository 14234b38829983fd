"""An API server in memory: the semantics that were measured on a real one, without etcd and without a network.

`store.ApiServer` is the server, `client.InMemoryKube` the port over it that the simulator uses, `http` the front
on loopback for a real `kubectl` and the production controller. Every rule that a client could notice is one small
function in `rules`, so that the conformance tests can take it out and see a case fail.

Objects are immutable by agreement: the server stores and hands out the very same nested dicts, a write builds new
ones along the path that it changes. Nobody may change what was handed out.
"""
