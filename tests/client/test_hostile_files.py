"""Files that are no whole safetensors file: each is refused in words that say what is wrong with it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradwire.safetensors import CheckpointError, read_safetensors, write_safetensors
from tests.client.safetensors_bytes import RECORDED, entry, file_of

ONE = b"\0\0\x80?"
HOSTILE = {
    "empty": (b"", "0 bytes, fewer than the 8"),
    "no whole length": (b"\x10\0\0", "3 bytes, fewer"),
    "header past the end": (b"\x10" + b"\0" * 7 + b"{}", "claims 16 bytes where 2"),
    "header too large": (b"\xff" * 8 + b"{}", "claims 18,446,744,073,709,551,615 bytes"),
    "header over 100 MB": ((100_000_001).to_bytes(8, "little"), "claims 100,000,001 bytes"),
    "pickle": (b"\x80\x04\x95\x10\0\0\0\0\0\0\0\x8c", "claims"),
    "no header": (file_of(""), "begins with b''"),
    "leading space": (file_of(" {}"), "begins with b' '"),
    "not an object": (file_of("[]"), "begins with"),
    "not JSON": (file_of("{'a': 1}"), "not valid JSON"),
    "not UTF-8": (file_of(b'{"\xff": 1}'), "not valid JSON"),
    "half a surrogate": (file_of('{"\\ud800": 1}'), "not valid JSON"),
    "two values": (file_of("{}{}"), "not valid JSON"),
    "NaN": (file_of('{"a": NaN}'), "NaN is no JSON"),
    "endless nesting": (file_of('{"a":' + "[" * 200_000), "not valid JSON"),
    "deep nesting": (file_of('{"a":' + "[" * 900 + "]" * 900 + "}"), "a"),
    "endless digits": (file_of('{"a":' + "9" * 100_000 + "}"), "not valid JSON"),
    "duplicate name": (file_of('{"a": 1, "a": 1}'), "'a' comes twice"),
    "duplicate field": (
        file_of('{"a": {"dtype": "F32", "dtype": "F64", "shape": [], "data_offsets": [0, 4]}}'),
        "'dtype' comes twice",
    ),
    "entry is no object": (file_of({"a": 1}), "'a' needs dtype, shape and data_offsets; got 1"),
    "missing field": (file_of({"a": {"dtype": "F32", "shape": []}}), "needs dtype, shape and"),
    "extra field": (file_of({"a": entry() | {"strides": [1]}}, ONE), "needs dtype, shape and"),
    "unknown dtype": (file_of({"a": entry("F31")}, ONE), "dtype 'F31', of which numpy has none"),
    "dtype without numpy type": (file_of({"a": entry("F8_E4M3", [4])}, ONE), "dtype 'F8_E4M3'"),
    "dtype is a list": (file_of({"a": entry(["F32"])}, ONE), "dtype \\['F32'\\]"),
    "shape is a number": (file_of({"a": entry(shape=1)}, ONE), "counts as shape; got 1"),
    "negative size": (file_of({"a": entry(shape=[-1])}, ONE), "counts as shape"),
    "fractional size": (file_of({"a": entry(shape=[1.0])}, ONE), "counts as shape"),
    "boolean size": (file_of({"a": entry(shape=[True])}, ONE), "counts as shape"),
    "size over 64 bits": (file_of({"a": entry(shape=[0, 2**64])}, ONE), "counts as shape"),
    "too many dimensions": (file_of({"a": entry(shape=[1] * 65)}, ONE), "at most 64 counts"),
    "product over 64 bits": (
        file_of({"a": entry(shape=[2**32, 2**32], offsets=[0, 0])}),
        "more than 2\\*\\*56 elements",
    ),
    "huge and empty": (
        file_of({"a": entry(shape=[2**40, 0, 2**40], offsets=[0, 0])}),
        "more than 2\\*\\*56 elements",
    ),
    "offsets are three": (file_of({"a": entry(offsets=[0, 4, 4])}, ONE), "two counts"),
    "offsets negative": (file_of({"a": entry(offsets=[-4, 0])}, ONE), "two counts"),
    "offsets reversed": (file_of({"a": entry(offsets=[4, 0])}, ONE), "span -4"),
    "size against shape": (file_of({"a": entry(shape=[2])}, ONE), "takes 8 bytes.*span 4"),
    "past the end": (file_of({"a": entry(shape=[2], offsets=[0, 8])}, ONE), "8 bytes; .*are 4"),
    "bytes left over": (file_of({"a": entry()}, ONE + b"\0"), "take 4 bytes; .*are 5"),
    "hole": (file_of({"a": entry(offsets=[4, 8])}, ONE * 2), "a hole before 'a' at 4"),
    "overlap": (
        file_of({"a": entry(), "b": entry(offsets=[0, 4])}, ONE),
        "an overlap before 'b' at 0",
    ),
    "empty within another": (
        file_of({"a": entry(), "b": entry(shape=[0], offsets=[2, 2])}, ONE),
        "an overlap before 'b' at 2",
    ),
    "boolean of neither value": (file_of({"a": entry("BOOL", [1], [0, 1])}, b"\2"), "holds 2"),
    "metadata is a list": (file_of({"__metadata__": []}), "map of str to str"),
    "metadata is nested": (file_of({"__metadata__": {"a": {}}}), "map of str to str"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_are_refused(tmp_path, case):
    content, words = HOSTILE[case]
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(CheckpointError, match=f"loading .*whole safetensors file; .*{words}"):
        read_safetensors(tmp_path / "a")


def test_a_message_shows_little_of_a_large_field(tmp_path):
    (tmp_path / "a").write_bytes(file_of({"n" * 10_000: entry(["x" * 10_000] * 1000)}))
    with pytest.raises(CheckpointError) as caught:
        read_safetensors(tmp_path / "a")
    assert len(str(caught.value)) < 2000


def test_a_missing_file_is_python_s_own_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_safetensors(tmp_path / "a")


@given(cut=st.integers(0, len(RECORDED)), place=st.integers(0, len(RECORDED) - 1), byte=st.binary())
def test_damaged_files_are_read_or_refused_but_nothing_else(tmp_path_factory, cut, place, byte):
    damaged = RECORDED[:place] + byte + RECORDED[place + len(byte) :]
    path = tmp_path_factory.getbasetemp() / "damaged"
    for content in (damaged, RECORDED[:cut]):
        path.write_bytes(content)
        try:
            arrays, metadata = read_safetensors(path)
        except CheckpointError:
            continue
        assert sum(array.nbytes for array in arrays.values()) <= len(content)
        assert all(isinstance(value, str) for value in metadata.values())


def test_a_pipe_or_device_is_never_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(CheckpointError, match="is a device or a pipe"):
        write_safetensors(pipe, {"x": np.zeros(3)})
    assert pipe.is_fifo()
