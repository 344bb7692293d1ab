"""Small loops as LLVM's text, of what numpy has no inner loop for that could be called: broadcasts, gathers, fills.

`kind` is LLVM's name of a float type. Sizes are at least 1. Operations are IEEE 754's, so the bits are those of numpy's calls.
No function is inlined: where hundreds are called, LLVM would take minutes.
"""

from __future__ import annotations

from gradwire_server.native.instructions import ACCESS

__all__ = ["OUTSIDE", "copied", "firsts", "matrix_loop", "mean", "picked", "scattered", "two", "zero"]


def _loop(name: str, parameters: str, body: str, before: str = "") -> str:
    """Return a function that goes through `body` for %i of %count. Turns touch the same memory only at the same element."""
    return f"""
define internal void @{name}({parameters}) noinline {{
entry:
  {before}
  br label %turn
turn:
  %i = phi i64 [ 0, %entry ], [ %next, %turn ]
  {body}
  %next = add nuw nsw i64 %i, 1
  %more = icmp ult i64 %next, %count
  br i1 %more, label %turn, label %end, !llvm.loop !0
end:
  ret void
}}"""


def zero(name: str, kind: str) -> str:
    """Return name(count, out): out[i] = 0."""
    body = f"%to = getelementptr {kind}, ptr %out, i64 %i\n  store {kind} 0.0, ptr %to, {ACCESS}"
    return _loop(name, "i64 %count, ptr %out", body)


def copied(name: str, kind: str) -> str:
    """Return name(count, number, out): out[i] = number."""
    body = f"%to = getelementptr {kind}, ptr %out, i64 %i\n  store {kind} %x, ptr %to, {ACCESS}"
    return _loop(name, "i64 %count, ptr %number, ptr %out", body, f"%x = load {kind}, ptr %number")


def firsts(name: str, kind: str) -> str:
    """Return name(rows, columns, matrix, out): out[i] = matrix[i, 0]."""
    body = f"""%place = mul i64 %i, %columns
  %from = getelementptr {kind}, ptr %matrix, i64 %place
  %to = getelementptr {kind}, ptr %out, i64 %i
  %x = load {kind}, ptr %from, {ACCESS}
  store {kind} %x, ptr %to, {ACCESS}"""
    return _loop(name, "i64 %count, i64 %columns, ptr %matrix, ptr %out", body)


def two(name: str, operation: str, kind: str, placement: str) -> str:
    """Return name(rows, columns, first, second, out): out = first (operation) second: whole, row, column or number."""
    index = {"whole": "%i", "row": "%c", "column": "%r", "number": "0"}[placement]
    return matrix_loop(name, "ptr %first, ptr %second, ptr %out", f"""%a.place = getelementptr {kind}, ptr %first, i64 %i
  %b.place = getelementptr {kind}, ptr %second, i64 {index}
  %to = getelementptr {kind}, ptr %out, i64 %i
  %a = load {kind}, ptr %a.place, {ACCESS}
  %b = load {kind}, ptr %b.place, {ACCESS}
  %made = {operation} {kind} %a, %b
  store {kind} %made, ptr %to, {ACCESS}""")  # fmt: skip


def matrix_loop(name: str, parameters: str, inner: str, before: str = "", row: str = "") -> str:
    """Return name(rows, columns, *parameters): `inner` at each row %r, column %c and element %i; `row` once a row.

    Turns touch the same memory only at the same element.
    """
    return f"""
define void @{name}(i64 %rows, i64 %columns, {parameters}) noinline {{
entry:
  {before}
  br label %row
row:
  %r = phi i64 [ 0, %entry ], [ %r.next, %row.end ]
  %base = mul i64 %r, %columns
  {row}
  br label %column
column:
  %c = phi i64 [ 0, %row ], [ %c.next, %column ]
  %i = add i64 %base, %c
  {inner}
  %c.next = add nuw nsw i64 %c, 1
  %c.more = icmp ult i64 %c.next, %columns
  br i1 %c.more, label %column, label %row.end, !llvm.loop !0
row.end:
  %r.next = add nuw nsw i64 %r, 1
  %r.more = icmp ult i64 %r.next, %rows
  br i1 %r.more, label %row, label %end
end:
  ret void
}}"""


# Where the target of row %i lies in the matrix.
_TARGET = """%target.place = getelementptr i64, ptr %target, i64 %i
  %class = load i64, ptr %target.place
  %base = mul i64 %i, %classes
  %place = add i64 %base, %class"""


def picked(name: str, kind: str) -> str:
    """Return name(rows, classes, matrix, target, out): out[i] = -matrix[i, target[i]]."""
    body = f"""{_TARGET}
  %from = getelementptr {kind}, ptr %matrix, i64 %place
  %x = load {kind}, ptr %from
  %negated = fneg {kind} %x
  %to = getelementptr {kind}, ptr %out, i64 %i
  store {kind} %negated, ptr %to"""
    return _loop(name, "i64 %count, i64 %classes, ptr %matrix, ptr %target, ptr %out", body)


def scattered(name: str, kind: str) -> str:
    """Return name(rows, classes, is_mean, g, weight, target, out): out[i, target[i]] = -g, or -(g / weight)."""
    body = f"""{_TARGET}
  %to = getelementptr {kind}, ptr %out, i64 %place
  store {kind} %negated, ptr %to"""
    before = f"""%given = load {kind}, ptr %g
  %total = load {kind}, ptr %weight
  %divided = fdiv {kind} %given, %total
  %chosen = icmp ne i64 %is_mean, 0
  %share = select i1 %chosen, {kind} %divided, {kind} %given
  %negated = fneg {kind} %share"""
    parameters = "i64 %count, i64 %classes, i64 %is_mean, ptr %g, ptr %weight, ptr %target, ptr %out"
    return _loop(name, parameters, body, before)


def mean(name: str, kind: str) -> str:
    """Return name(rows, is_mean, sum, count): count = rows, and sum divided by it for the mean."""
    return f"""
define internal void @{name}(i64 %rows, i64 %is_mean, ptr %sum, ptr %count) noinline {{
  %number = uitofp i64 %rows to {kind}
  store {kind} %number, ptr %count
  %whole = load {kind}, ptr %sum
  %divided = fdiv {kind} %whole, %number
  %chosen = icmp ne i64 %is_mean, 0
  %made = select i1 %chosen, {kind} %divided, {kind} %whole
  store {kind} %made, ptr %sum
  ret void
}}"""


# Whether a target is no class; as unsigned, a negative one is the highest.
OUTSIDE = """
define internal i1 @outside(i64 %count, i64 %classes, ptr %target) noinline {
entry:
  br label %turn
turn:
  %i = phi i64 [ 0, %entry ], [ %next, %turn ]
  %before = phi i1 [ false, %entry ], [ %bad, %turn ]
  %place = getelementptr i64, ptr %target, i64 %i
  %class = load i64, ptr %place
  %beyond = icmp uge i64 %class, %classes
  %bad = or i1 %before, %beyond
  %next = add nuw nsw i64 %i, 1
  %more = icmp ult i64 %next, %count
  br i1 %more, label %turn, label %end
end:
  ret i1 %bad
}"""
