"""Loops over a step of a recurrent layer. The four gates of LSTM, i, f, g and o, lie side by side in a row."""

from __future__ import annotations

from typing import Any

from gradwire_server.loops.jit import loop

__all__ = ["lstm_step", "lstm_step_backward"]

Array = Any


@loop
def lstm_step(gates: Array, halves: Array, shift: Array, cell: Array, cells: Array) -> None:
    """Make gates of their tanh, by factors and shifts, and go on to c' = f c + i g, also stored in `cells`."""
    hidden = cell.shape[1]
    for r in range(cell.shape[0]):
        for j in range(4 * hidden):
            gates[r, j] = gates[r, j] * halves[j] + shift[j]
        for j in range(hidden):
            new = cell[r, j] * gates[r, hidden + j] + gates[r, j] * gates[r, 2 * hidden + j]
            cell[r, j], cells[r, j] = new, new


@loop
def lstm_step_backward(grad: Array, gates: Array, squashed: Array, before: Array, cell: Array, made: Array) -> None:
    """Compute the gradients of the gates' inputs from that of h, and take that of c, in `cell`, a step back."""
    hidden = cell.shape[1]
    one = gates.dtype.type(1)
    for r in range(cell.shape[0]):
        for j in range(hidden):
            i, f, g, o = gates[r, j], gates[r, hidden + j], gates[r, 2 * hidden + j], gates[r, 3 * hidden + j]
            s = squashed[r, j]
            c = cell[r, j] + grad[r, j] * (o * (one - s * s))
            made[r, j] = c * (g * (i * (one - i)))
            made[r, hidden + j] = c * (before[r, j] * (f * (one - f)))
            made[r, 2 * hidden + j] = c * (i * (one - g * g))
            made[r, 3 * hidden + j] = grad[r, j] * (s * o * (one - o))
            cell[r, j] = c * f
