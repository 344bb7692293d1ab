"""`Group`: workers of this script that compute together. Its collectives take a tensor from each, and have gradients.

A group is formed under an epoch, which never goes back; every call names the epoch and its turn, and workers refuse all others.
Nothing waits but `form`; a member's death is an error at the next wait, and `form` again begins the next epoch.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gradwire.autograd.grad_mode import state as grad_state
from gradwire.transfer import anchors_of, come_across, road
from gradwire_protocol.errors import GradwireError, GroupBroken
from gradwire_protocol.group import Peer, Spec
from gradwire_protocol.opaque import OpaqueNode
from gradwire_protocol.ops import OPS
from gradwire_protocol.tape import Edge, gradient_edge

if TYPE_CHECKING:
    from gradwire.autograd.walk import Walk
    from gradwire.session import Session
    from gradwire.tensor import Tensor

__all__ = ["Group"]

_FORM, _LEAVE, _COLLECTIVE = OPS["gw::form"], OPS["gw::leave"], OPS["gw::collective"]


class _HubNode(OpaqueNode):
    """A collective in the graph: it is on no worker, and all its tensors come from it across a border."""

    __slots__ = ("anchors", "run")

    is_client = True
    anchors: tuple[Tensor, ...]
    run: Callable[[list[Any]], list[Any]]

    def backward(self, grads: Sequence[Any], walk: Walk) -> list[Any]:
        """Do the collective that is this one's gradient."""
        return self.run(list(grads))


class Group:
    """Sessions with a rank each. Tensors are given and returned in the order of ranks."""

    def __init__(self, sessions: Sequence[Session], *, backend: str = "auto", seconds: float = 60.0) -> None:
        """Form the group. `backend` is "gloo", "nccl", or "auto": NCCL where all workers compute on GPUs.

        `seconds` bounds the forming, and each wait of a worker for the others.
        """
        self.name = f"group-{secrets.token_hex(4)}"
        self.epoch = 0
        self.sessions: list[Session] = []
        self._backend, self._seconds, self._turn = backend, seconds, 0
        self.form(sessions)

    @property
    def size(self) -> int:
        """Return the number of members."""
        return len(self.sessions)

    def form(self, sessions: Sequence[Session]) -> None:
        """Begin a new epoch with these members, and wait until they met; raise GroupBroken if they do not."""
        if not sessions or len({id(session) for session in sessions}) != len(sessions):
            raise ValueError(f"a group needs members that differ; got {[session.device for session in sessions]}")
        self.sessions, self.epoch, self._turn = list(sessions), self.epoch + 1, 0
        for session in sessions:
            # What failed of the epoch before is over with it.
            with suppress(GradwireError, RuntimeError):
                session.wait()
        self._send_form()
        for session in sessions:
            session.wait()

    def _send_form(self) -> None:
        secret, backend = secrets.token_hex(16), self._chosen()
        peers = tuple(Peer(s.device, s.address, s.welcome.incarnation) for s in self.sessions)
        # All asked before the first is told to wait for the others.
        stores = [self._way_to_first(session) for session in self.sessions]
        for rank, (session, store) in enumerate(zip(self.sessions, stores, strict=True)):
            spec = Spec(self.name, self.epoch, rank, backend, secret, store, self._seconds, peers)
            self._call(_FORM, session, spec.encode())
            session.flush()

    def _way_to_first(self, session: Session) -> str:
        """Return the address by which a worker reaches the first member's, which keeps the store where they meet."""
        first = self.sessions[0]
        found = road(first, session)
        if found is None:
            raise GroupBroken(
                f"the workers of a group must reach each other; {session.device} does not reach {first.device} at "
                f"{first.address}; connect to addresses that they all know"
            )
        return found

    def _chosen(self) -> str:
        if self._backend != "auto":
            return self._backend
        on_gpus = all(session.welcome.device.startswith("cuda") for session in self.sessions)
        return "nccl" if on_gpus else "gloo"

    def close(self) -> None:
        """Let the workers leave the group."""
        for session in self.sessions:
            if not session.is_closed:
                with suppress(GradwireError):
                    self._call(_LEAVE, session, self.name)

    def next_turn(self) -> int:
        """Return the number of the next collective, which each member has to make."""
        self._turn += 1
        return self._turn

    @staticmethod
    def _call(op: Any, session: Session, *arguments: Any) -> Any:
        from gradwire.tensor import call

        return call(op, *arguments, session=session)

    # -- collectives ---------------------------------------------------------------------------------------------------

    def all_reduce(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the sum of the members' tensors, for each of them."""
        return self._run("all_reduce", tensors, self.all_reduce)

    def all_gather(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the members' tensors joined along the first dimension, for each of them."""
        return self._run("all_gather", tensors, self.reduce_scatter)

    def reduce_scatter(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return to the member k the k-th part, along the first dimension, of the sum of the members' tensors."""
        return self._run("reduce_scatter", tensors, self.all_gather)

    def broadcast(self, tensor: Tensor) -> list[Tensor]:
        """Return a member's tensor to each of them."""
        sessions = [id(session) for session in self.sessions]
        if id(tensor.session) not in sessions:
            raise ValueError(f"a broadcast comes from a member of the group; got a tensor on {tensor.device}")
        root = sessions.index(id(tensor.session))
        tensors = [
            tensor if rank == root else self._zeros(tensor.meta, session) for rank, session in enumerate(self.sessions)
        ]

        def dual(grads: Sequence[Tensor]) -> list[Any]:
            summed = self.all_reduce(grads)
            return [summed[rank] if rank == root else None for rank in range(self.size)]

        return self._run("broadcast", tensors, dual, root)

    def barrier(self) -> None:
        """Wait until every member did all that came before."""
        turn = self.next_turn()
        for session in self.sessions:
            self._call(_COLLECTIVE, session, [], "barrier", self.name, self.size, 0, self.epoch, turn)
        for session in self.sessions:
            session.wait()

    def _zeros(self, meta: Any, session: Session) -> Any:
        return self._call(OPS["full"], session, meta.shape, 0, meta.dtype)

    def _run(
        self, kind: str, tensors: Sequence[Tensor], dual: Callable[[Sequence[Tensor]], Sequence[Any]], root: int = 0
    ) -> list[Any]:
        self._check(kind, tensors)
        edges = [gradient_edge(tensor) if grad_state.recording else None for tensor in tensors]
        turn = self.next_turn()
        made: list[Any] = []
        for session, tensor in zip(self.sessions, tensors, strict=True):
            found = self._call(_COLLECTIVE, session, [tensor], kind, self.name, self.size, root, self.epoch, turn)
            made.append(found[0] if isinstance(found, tuple) else found)
        if any(edge is not None for edge in edges):
            self._record(kind, tensors, edges, made, dual)
        return made

    def _record(
        self, kind: str, tensors: Sequence[Tensor], edges: Sequence[Edge | None], made: Sequence[Any],
        dual: Callable[[Sequence[Tensor]], Sequence[Any]],
    ) -> None:  # fmt: skip
        name = "".join(word.title() for word in kind.split("_")) + "Backward0"
        hub = _HubNode(name, tuple(edges), tuple(tensor.meta for tensor in made), keeps=False)
        hub.anchors = tuple(
            anchor for tensor, edge in zip(tensors, edges, strict=True) if edge for anchor in anchors_of(tensor, edge)
        )

        def run(grads: list[Any]) -> list[Any]:
            whole = [
                self._zeros(tensor.meta, tensor.session) if gradient is None else gradient.contiguous()
                for gradient, tensor in zip(grads, made_metas, strict=True)
            ]
            return list(dual(whole))

        made_metas = [_Place(tensor.meta, tensor.session) for tensor in made]
        hub.run = run
        for number, tensor in enumerate(made):
            come_across(tensor, Edge(hub, number), name, None, ())

    def _check(self, kind: str, tensors: Sequence[Tensor]) -> None:
        if [id(tensor.session) for tensor in tensors] != [id(session) for session in self.sessions]:
            raise ValueError(
                f"{kind} takes a tensor from each of {', '.join(s.device for s in self.sessions)}, in this order; got tensors on "
                f"{', '.join(str(tensor.device) for tensor in tensors)}"
            )
        if len({(tensor.meta.shape, tensor.meta.dtype) for tensor in tensors}) > 1:
            raise ValueError(f"{kind} takes tensors of one shape and dtype; got {[str(t.meta) for t in tensors]}")


class _Place:
    """A tensor's meta and session, without the tensor."""

    def __init__(self, meta: Any, session: Session) -> None:
        self.meta, self.session = meta, session
