"""What a session and a tenant may hold, and how much that is. Refuses before memory is taken; owns no memory itself.

Counting what is held exactly means a walk over the session's tensors and graphs. A call of a microsecond cannot pay for that,
nor for a note at each array's end, so a `Meter` adds up what calls make and never subtracts: a bound that is too high. Only
where the bound passes a quota is the session walked, and the bound lowered to what it holds.
"""

from __future__ import annotations

import gc
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gradwire_protocol.errors import QuotaExceeded
from gradwire_protocol.signature import Signature
from gradwire_protocol.tape import Edge, Kept, Node
from gradwire_server.backend import Backend
from gradwire_server.engine import Array
from gradwire_server.quota_settings import Quotas, shown_bytes
from gradwire_server.shortage import LARGE_BYTES, short_of_memory
from gradwire_server.store import PinnedNode

__all__ = ["Meter", "Need", "Tenant", "held_bytes", "need_of", "total_need"]

# Calls that keep more than what they return: graphs of gradients, saved values of programs. Counted after they ran.
_OPAQUE = frozenset(("gw::backward", "gw::program", "gw::loop"))


@dataclass(frozen=True, slots=True)
class Need:
    """What calls take at most: new memory, new handles, and whether they keep more than that."""

    new_bytes: int = 0
    handles: int = 0
    is_opaque: bool = False


def total_need(signatures: Sequence[Signature], calls: Sequence[int]) -> Need:
    """Return what all calls of a batch take. A batch has few distinct signatures."""
    new_bytes = handles = 0
    is_opaque = False
    for number, count in Counter(calls).items():
        need = need_of(signatures[number])
        new_bytes += count * need.new_bytes
        handles += count * need.handles
        is_opaque = is_opaque or need.is_opaque
    return Need(new_bytes, handles, is_opaque)


def need_of(signature: Signature) -> Need:
    """Return what one call takes. It is known before the call runs, since shapes are."""
    op, outputs = signature.op, signature.outputs
    if op.is_view or op.writes:
        return Need(0, len(outputs))
    new_bytes = sum([meta.nbytes for meta in outputs])
    if op.name == "gw::offer":
        new_bytes += sum([meta.nbytes for meta in signature.metas if meta is not None])  # a copy, until it is fetched
    return Need(new_bytes, len(outputs), op.name in _OPAQUE)


def held_bytes(roots: Iterable[Any], backend: Backend) -> int:
    """Return the bytes of all memory that arrays, pinned nodes and the graphs behind them keep, each counted once."""
    found: dict[int, int] = {}
    seen: set[int] = set()
    front = list(roots)
    while front:
        fresh = []
        for item in front:
            if isinstance(item, backend.array_type):
                identity, size = backend.memory_of(item)
                found[identity] = size
            elif isinstance(item, _WALKED) and id(item) not in seen:
                seen.add(id(item))
                fresh.append(item)
        front = gc.get_referents(*fresh) if fresh else []
    return sum(found.values())


_WALKED = (Array, Node, Kept, Edge, PinnedNode, tuple, list, dict)


class Tenant:
    """The sessions of one tenant, as far as they share a quota."""

    def __init__(self, quotas: Quotas) -> None:
        """Start with none."""
        self.quotas = quotas
        self.lock = threading.Lock()
        self.meters: list[Meter] = []

    def check_session(self) -> None:
        """Raise QuotaExceeded if the tenant may not have one more session."""
        limit = self.quotas.tenant_sessions
        if limit and len(self.meters) >= limit:
            error = QuotaExceeded(
                f"a tenant may have {limit} sessions on this worker (--max-tenant-sessions) and has {len(self.meters)}; end one, "
                "or use another worker"
            )
            error.quota = "tenant_sessions"
            raise error

    def open_meter(self, count: Callable[[], int], session_lock: threading.Lock | None = None) -> Meter:
        """Return the meter of a new session; `count` walks it, while nothing changes it."""
        meter = Meter(self, count, session_lock)
        with self.lock:
            self.meters.append(meter)
        return meter

    def close_meter(self, meter: Meter) -> None:
        """Forget a session."""
        with self.lock:
            if meter in self.meters:
                self.meters.remove(meter)

    def bound_bytes(self) -> int:
        """Return what the sessions hold together, at most."""
        return sum([meter.bound_bytes for meter in self.meters])


class Meter:
    """What one session holds: a bound that calls raise, and that a count lowers."""

    def __init__(self, tenant: Tenant, count: Callable[[], int], session_lock: threading.Lock | None = None) -> None:
        """Start at nothing held."""
        self.tenant, self.bound_bytes = tenant, 0
        self._count, self._session_lock = count, session_lock
        self._limits_bytes = bool(tenant.quotas.session_bytes or tenant.quotas.tenant_bytes)
        self._unasked_bytes = 0
        self.rejections: Counter[str] = Counter()  # by the bound that was reached

    def note(self, error: Exception) -> None:
        """Count a refusal, if it is for a quota of this worker's."""
        if isinstance(error, QuotaExceeded) and error.quota:
            self.rejections[error.quota] += 1

    def close(self) -> None:
        """Give back what the session held."""
        self.tenant.close_meter(self)
        # It refers to the session, which refers to this: its arrays would wait for the garbage collector, which an idle
        # worker never runs.
        self._count = int

    def takes(self, need: Need, handles: int) -> bool:
        """Add a whole batch to the bound if it is within every quota whatever it frees; else its calls are taken singly."""
        quotas = self.tenant.quotas
        if need.new_bytes >= LARGE_BYTES or (
            quotas.session_handles and handles + need.handles > quotas.session_handles
        ):
            return False
        return not self._limits_bytes or self._fits(need.new_bytes)

    def _fits(self, new_bytes: int) -> bool:
        quotas = self.tenant.quotas
        if quotas.session_bytes and self.bound_bytes + new_bytes > quotas.session_bytes:
            return False
        with self.tenant.lock:  # else two sessions of a tenant might both take what is left
            if quotas.tenant_bytes and self.tenant.bound_bytes() + new_bytes > quotas.tenant_bytes:
                return False
            self.bound_bytes += new_bytes
        return True

    def poisonable(self, held: int, count: int) -> int:
        """Return how many of a failed call's results get a handle that says so: a quota of handles is one of these too.

        Twice the quota, since a call refused for it is poisoned as well; past that a handle is merely unknown.
        """
        limit = 2 * self.tenant.quotas.session_handles
        return count if not limit else max(0, min(count, limit - held))

    def recount(self) -> None:
        """Walk the session and lower the bound to what it holds."""
        self.bound_bytes = self._count()

    def after(self, need: Need) -> None:
        """Count anew after calls that keep more than they return."""
        if need.is_opaque and self._limits_bytes:
            self.recount()

    def refusal(self, need: Need, handles: int, free: Callable[[], object]) -> QuotaExceeded | None:
        """Take one call, or return why it cannot be; `free` lets go of what the rest of its batch does not need."""
        quotas = self.tenant.quotas
        if quotas.session_handles and handles + need.handles > quotas.session_handles:
            return _exceeded(
                "--max-session-handles",
                f"a session may hold {quotas.session_handles} tensors",
                f"{handles}",
                f"{need.handles}",
            )
        if not self._limits_bytes or not need.new_bytes or self._fits(need.new_bytes):
            return self._short_of_memory(need.new_bytes)
        free()
        self.recount()
        if self._fits(need.new_bytes):
            return self._short_of_memory(need.new_bytes)
        return self._over_bytes(need.new_bytes)

    def _over_bytes(self, new_bytes: int) -> QuotaExceeded | None:
        quotas, wanted = self.tenant.quotas, shown_bytes(new_bytes)
        if quotas.session_bytes and self.bound_bytes + new_bytes > quotas.session_bytes:
            may = f"a session may hold {shown_bytes(quotas.session_bytes)}"
            return _exceeded("--max-session-bytes", may, shown_bytes(self.bound_bytes), wanted)
        for other in self.tenant.meters[:]:
            if other is not self:
                other.recount_if_idle()
        if self._fits(new_bytes):
            return self._short_of_memory(new_bytes)
        may = f"the sessions of a tenant may hold {shown_bytes(quotas.tenant_bytes)}"
        return _exceeded("--max-tenant-bytes", may, shown_bytes(self.tenant.bound_bytes()), wanted)

    def recount_if_idle(self) -> None:
        """Lower the bound, unless the session runs a batch just now."""
        lock = self._session_lock
        if lock is not None and lock.acquire(blocking=False):
            try:
                self.recount()
            finally:
                lock.release()

    def upload_refusal(self, new_bytes: int, waiting_bytes: int) -> QuotaExceeded | None:
        """Return why an upload cannot be received. What the session holds besides is looked at by the call that takes it."""
        limit = min(filter(None, (self.tenant.quotas.session_bytes, self.tenant.quotas.tenant_bytes)), default=0)
        refusal = short_of_memory(new_bytes) if new_bytes >= LARGE_BYTES else None
        if limit and waiting_bytes + new_bytes > limit:
            may = f"uploads may be {shown_bytes(limit)}"
            refusal = _exceeded("--max-session-bytes", may, shown_bytes(waiting_bytes), shown_bytes(new_bytes))
        return refusal

    def _short_of_memory(self, new_bytes: int) -> QuotaExceeded | None:
        self._unasked_bytes += new_bytes
        if self._unasked_bytes < LARGE_BYTES:
            return None
        self._unasked_bytes = 0
        return short_of_memory(new_bytes)


def _exceeded(flag: str, may: str, used: str, wanted: str) -> QuotaExceeded:
    error = QuotaExceeded(
        f"{may} ({flag}); {used} are held, and this call makes {wanted} more; nothing of it was applied; free tensors (del) "
        "and go on"
    )
    error.quota = flag.removeprefix("--max-").replace("-", "_")
    return error
