"""How lists merge: by key, as sets, or as one value.

Custom kinds say so in their schema; for built-in kinds a table by field name holds what the Go types declare.
"""

from typing import Any

from controller.simulator.apiserver.schema import Schema

SET: tuple[str, ...] = ("",)
"""A list of scalars that merges as a set."""
ATOMIC: tuple[str, ...] = ()
"""A list that is one value."""
BUILTIN_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "conditions": ("type",),
    "ownerReferences": ("uid",),
    "finalizers": SET,
}


ATOMIC_MAPS = frozenset(
    {
        "selector", "labelSelector", "namespaceSelector", "nodeSelector", "configMapKeyRef", "secretKeyRef", "fieldRef",
        "resourceFieldRef", "ownerReferences", "imagePullSecrets",
    }
)  # fmt: skip
"""Objects, and items of lists, of built-in kinds that are one value."""


def list_keys(field: str, siblings: Any) -> tuple[str, ...]:
    """The merge keys of a list of a built-in kind; `ports` differ between containers and Services."""
    if field == "ports":
        first = siblings[0] if siblings and isinstance(siblings[0], dict) else {}
        return ("containerPort", "protocol") if "containerPort" in first else ("port", "protocol")
    return BUILTIN_KEYS.get(field, ATOMIC)


class Shape:
    """A place in an object and what is known of its lists: `schema` is None below built-in kinds and metadata.

    Attributes:
        open: a custom kind's schema says nothing of what stands here.
    """

    __slots__ = ("field", "open", "schema")

    def __init__(self, schema: Schema | None, field: str = "", *, is_open: bool = False) -> None:
        self.schema, self.field, self.open = schema, field, is_open

    def child(self, key: str) -> "Shape":
        """The place of a field."""
        if self.schema is None or (not self.field and key == "metadata"):
            return Shape(None, key, is_open=self.open)
        known = self.schema.properties.get(key) or self.schema.additional
        return Shape(known, key, is_open=known is None)

    @property
    def atomic(self) -> bool:
        """Whether an object here is one value."""
        if self.schema is None:
            return not self.open and self.field in ATOMIC_MAPS
        return self.schema.raw.get("x-kubernetes-map-type") == "atomic"

    def item(self) -> "Shape":
        """The place of a list's items."""
        return Shape(None if self.schema is None else self.schema.items, self.field)

    def keys(self, items: Any) -> tuple[str, ...]:
        """How this list merges: its keys, `SET` or `ATOMIC`."""
        if self.schema is None:
            return ATOMIC if self.open else list_keys(self.field, items)
        if self.schema.list_type == "set":
            return SET
        return self.schema.keys if self.schema.list_type == "map" else ATOMIC


def item_key(item: Any, keys: tuple[str, ...]) -> tuple[Any, ...]:
    """What identifies an item of a list that merges by key; a missing protocol is TCP."""
    return tuple(item.get(key, "TCP" if key == "protocol" else None) for key in keys)
