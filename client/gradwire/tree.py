"""Nested containers of anything: taken apart into a flat list and a `TreeSpec`, and put together again.

Containers are tuples, named tuples, lists, deques, dicts (also ordered and default ones); all else, None too, is a leaf.
The order of a dict is that of insertion. Names are those of `torch.utils._pytree`.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = [
    "LeafSpec", "TreeSpec", "broadcast_prefix", "tree_all", "tree_any", "tree_flatten", "tree_iter", "tree_leaves", "tree_map",
    "tree_map_", "tree_map_only", "tree_structure", "tree_unflatten",
]  # fmt: skip

IsLeaf = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class TreeSpec:
    """The structure of a tree. `type` is None for a leaf; `context` is what else the container needs, as a dict's keys."""

    type: Any
    context: Any
    children_specs: tuple[TreeSpec, ...]

    @property
    def num_leaves(self) -> int:
        """Return how many leaves there are."""
        return 1 if self.type is None else sum(child.num_leaves for child in self.children_specs)

    def is_leaf(self) -> bool:
        """Return whether the tree is a single leaf."""
        return self.type is None

    def __str__(self) -> str:
        if self.type is None:
            return "*"
        children = ", ".join(map(str, self.children_specs))
        context = "None" if self.context is None else self.context
        return f"TreeSpec({self.type.__name__}, {context}, [{children}])"

    __repr__ = __str__


_LEAF = TreeSpec(None, None, ())


def LeafSpec() -> TreeSpec:
    """Return the structure of a single leaf."""
    return _LEAF


def _is_namedtuple(kind: type) -> bool:
    return issubclass(kind, tuple) and kind is not tuple and hasattr(kind, "_fields")


def _parts(tree: Any) -> tuple[Any, Any, list[Any]] | None:
    """Return (kind, context, children) of a container, None for a leaf. Other subclasses of containers are leaves."""
    kind = type(tree)
    if kind in (tuple, list):
        return kind, None, list(tree)
    if kind in (dict, OrderedDict):
        return kind, list(tree), list(tree.values())
    if kind is defaultdict:
        return kind, [tree.default_factory, list(tree)], list(tree.values())
    if kind is deque:
        return kind, tree.maxlen, list(tree)
    if _is_namedtuple(kind):
        return kind, kind, list(tree)
    return None


def _joined(spec: TreeSpec, children: list[Any]) -> Any:
    if spec.type is defaultdict:
        factory, keys = spec.context
        return defaultdict(factory, zip(keys, children, strict=True))
    if spec.type in (dict, OrderedDict):
        return spec.type(zip(spec.context, children, strict=True))
    if spec.type is deque:
        return deque(children, spec.context)
    return spec.type(*children) if _is_namedtuple(spec.type) else spec.type(children)


def _flatten_into(tree: Any, leaves: list[Any], is_leaf: IsLeaf | None) -> TreeSpec:
    parts = None if is_leaf is not None and is_leaf(tree) else _parts(tree)
    if parts is None:
        leaves.append(tree)
        return _LEAF
    kind, context, children = parts
    return TreeSpec(kind, context, tuple(_flatten_into(child, leaves, is_leaf) for child in children))


def tree_flatten(tree: Any, is_leaf: IsLeaf | None = None) -> tuple[list[Any], TreeSpec]:
    """Return the leaves of a tree, and its structure."""
    leaves: list[Any] = []
    spec = _flatten_into(tree, leaves, is_leaf)
    return leaves, spec


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> Any:
    """Return a tree of the given structure; ValueError for a wrong number of leaves."""
    listed = list(leaves)
    if len(listed) != treespec.num_leaves:
        raise ValueError(
            f"tree_unflatten(leaves, treespec): `leaves` has length {len(listed)} but the spec refers to a pytree that holds "
            f"{treespec.num_leaves} items ({treespec})."
        )
    return _build(iter(listed), treespec)


def _build(leaves: Iterator[Any], spec: TreeSpec) -> Any:
    if spec.type is None:
        return next(leaves)
    return _joined(spec, [_build(leaves, child) for child in spec.children_specs])


def tree_leaves(tree: Any, is_leaf: IsLeaf | None = None) -> list[Any]:
    """Return the leaves of a tree."""
    return tree_flatten(tree, is_leaf)[0]


def tree_iter(tree: Any, is_leaf: IsLeaf | None = None) -> Iterator[Any]:
    """Iterate over the leaves of a tree."""
    return iter(tree_leaves(tree, is_leaf))


def tree_structure(tree: Any, is_leaf: IsLeaf | None = None) -> TreeSpec:
    """Return the structure of a tree."""
    return tree_flatten(tree, is_leaf)[1]


def tree_map(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: IsLeaf | None = None) -> Any:
    """Return the tree of `func` of each leaf, and of what lies at its place in `rests`."""
    leaves, spec = tree_flatten(tree, is_leaf)
    others = [_flatten_up_to(rest, spec) for rest in rests]
    return tree_unflatten([func(*items) for items in zip(leaves, *others, strict=True)], spec)


def tree_map_(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: IsLeaf | None = None) -> Any:
    """Call `func` on each leaf, and return the tree itself."""
    tree_map(func, tree, *rests, is_leaf=is_leaf)
    return tree


def tree_map_only(kind: Any, func: Callable[[Any], Any], tree: Any, is_leaf: IsLeaf | None = None) -> Any:
    """Return the tree with `func` of those leaves that are of a type, or one of several."""
    return tree_map(lambda leaf: func(leaf) if isinstance(leaf, kind) else leaf, tree, is_leaf=is_leaf)


def tree_all(pred: Callable[[Any], bool], tree: Any, is_leaf: IsLeaf | None = None) -> bool:
    """Return whether `pred` holds for all leaves."""
    return all(map(pred, tree_iter(tree, is_leaf)))


def tree_any(pred: Callable[[Any], bool], tree: Any, is_leaf: IsLeaf | None = None) -> bool:
    """Return whether `pred` holds for any leaf."""
    return any(map(pred, tree_iter(tree, is_leaf)))


def _flatten_up_to(tree: Any, spec: TreeSpec) -> list[Any]:
    """Return what lies in `tree` at each leaf of `spec`; ValueError where it is built otherwise."""
    if spec.type is None:
        return [tree]
    parts = _parts(tree)
    if parts is None or parts[0] is not spec.type or len(parts[2]) != len(spec.children_specs):
        raise ValueError(f"Node type mismatch; expected {spec.type!r}, but got {type(tree)!r}.")
    if parts[1] != spec.context:
        raise ValueError(f"Node context mismatch; expected {spec.context!r}, but got {parts[1]!r}.")
    return [
        item
        for child, child_spec in zip(parts[2], spec.children_specs, strict=True)
        for item in _flatten_up_to(child, child_spec)
    ]


def broadcast_prefix(tree: Any, spec: TreeSpec) -> list[Any] | None:
    """Return an item of `tree` for each leaf of `spec`, where a leaf of `tree` stands for all below; None if they differ."""
    parts = None if spec.type is None else _parts(tree)
    if parts is None:
        return [tree] * spec.num_leaves if _parts(tree) is None else None
    if (parts[0], parts[1], len(parts[2])) != (spec.type, spec.context, len(spec.children_specs)):
        return None
    found: list[Any] = []
    for child, child_spec in zip(parts[2], spec.children_specs, strict=True):
        items = broadcast_prefix(child, child_spec)
        if items is None:
            return None
        found += items
    return found
