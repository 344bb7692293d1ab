"""`.pt` files, to and from PyTorch, and files that want more than to hold data."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradwire as gw
from gradwire.errors import CheckpointError
from gradwire.pt_file.interpreter import Interpreter, Refused
from gradwire.session import Session
from tests.client.graphs import refusal

DTYPES = (
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
    "complex128",
)


def again(value: Any) -> Any:
    """Save and load."""
    file = io.BytesIO()
    gw.save(value, file)
    file.seek(0)
    return gw.load(file)


def to_torch(torch: Any, value: Any) -> Any:
    """Save here, load with PyTorch's loader that runs nothing."""
    file = io.BytesIO()
    gw.save(value, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def from_torch(torch: Any, value: Any) -> Any:
    """Save with PyTorch, load here."""
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return gw.load(file)


PLAIN = {
    "epoch": 3,
    "numbers": [0, -1, 255, 256, 65536, -(2**31), 2**31, -(2**63), 2**100, 1.5, float("inf"), 2 + 3j],
    "text": "grüße \U0001f600",
    "bytes": b"\x00\xff",
    "none": None,
    "flags": (True, False),
    "nested": {"empty": [{}, (), [], "", b""], 7: {1, 2}, (1, "a"): 1},
    "ordered": OrderedDict(b=1, a=2),
}


# ---------------------------------------------------------------- round trips
def test_plain_values(session: Session) -> None:
    loaded = again(PLAIN)
    assert loaded == PLAIN
    assert list(loaded["ordered"]) == ["b", "a"]
    assert type(loaded["ordered"]) is OrderedDict
    assert [type(n) for n in loaded["numbers"]] == [type(n) for n in PLAIN["numbers"]]
    shared: list[Any] = [1]
    shared.append(shared)
    twice = again(
        {"a": shared, "b": shared, "size": gw.ones(2, 3).shape, "dtype": gw.float16, "device": gw.device("cuda:1")}
    )
    assert twice["a"] is twice["b"] is twice["a"][1]
    assert (repr(twice["size"]), twice["dtype"], str(twice["device"])) == ("torch.Size([2, 3])", gw.float16, "cuda:1")


@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype_and_shape(session: Session, name: str) -> None:
    dtype = getattr(gw, name)
    for shape in ((), (0,), (2, 0, 3), (2, 3)):
        x = gw.ones(shape, dtype=dtype)
        loaded = again(x)
        assert (loaded.dtype, loaded.shape, loaded.tolist()) == (dtype, x.shape, x.tolist())


def test_strides_and_sharing_are_kept(session: Session) -> None:
    x = gw.arange(12.0).reshape(3, 4)
    loaded = again({"x": x, "again": x, "t": x.T, "row": x[1], "step": x[:, ::2], "other": gw.ones(2), "part": x[1:].T})
    assert loaded["x"] is loaded["again"]
    assert loaded["t"].stride() == (1, 4)
    assert loaded["step"].tolist() == x[:, ::2].tolist()
    assert loaded["part"].tolist() == x[1:].T.tolist()
    loaded["x"].fill_(7.0)
    assert loaded["row"].tolist() == [7, 7, 7, 7]
    assert loaded["t"].sum().item() == 84
    assert loaded["other"].tolist() == [1, 1]
    alone = again(x[:, 1])
    assert (alone.tolist(), alone.stride()) == ([1, 5, 9], (4,))


def test_gradients_and_parameters_are_marked(session: Session) -> None:
    layer = gw.nn.Linear(2, 3)
    loaded = again(
        {"weight": layer.weight, "frozen": gw.nn.Parameter(gw.ones(2), False), "leaf": gw.ones(2, requires_grad=True)}
    )
    assert isinstance(loaded["weight"], gw.nn.Parameter)
    assert loaded["weight"].requires_grad
    assert not loaded["frozen"].requires_grad
    assert loaded["leaf"].requires_grad
    assert loaded["leaf"].is_leaf
    assert loaded["weight"].tolist() == layer.weight.tolist()


def test_a_checkpoint_goes_on_where_it_was(session: Session, tmp_path: Path) -> None:
    def step(model: Any, optimizer: Any) -> float:
        optimizer.zero_grad()
        loss = model(gw.ones(4, 3)).square().mean()
        loss.backward()
        optimizer.step()
        return float(loss.item())

    def made() -> tuple[Any, Any]:
        model = gw.nn.Sequential(gw.nn.Linear(3, 5), gw.nn.ReLU(), gw.nn.Linear(5, 2))
        return model, gw.optim.Adam(model.parameters(), lr=0.1)

    model, optimizer = made()
    step(model, optimizer)
    path = tmp_path / "checkpoint.pt"
    gw.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 1}, path)
    expected = [step(model, optimizer) for _ in range(3)]
    model, optimizer = made()
    checkpoint = gw.load(path, map_location="cpu")
    model.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    assert [step(model, optimizer) for _ in range(3)] == expected
    assert checkpoint["epoch"] == 1


def test_the_suffix_and_the_content_decide_the_format(session: Session, tmp_path: Path) -> None:
    state = {"a": gw.ones(2), "b": gw.zeros(3, dtype=gw.int64)}
    for name, is_zip in (("x.safetensors", False), ("x.pt", True), ("x.pth", True), ("x", True)):
        gw.save(state, tmp_path / name)
        assert zipfile.is_zipfile(tmp_path / name) is is_zip
        assert {key: value.tolist() for key, value in gw.load(str(tmp_path / name)).items()} == {
            "a": [1, 1],
            "b": [0, 0, 0],
        }
    with zipfile.ZipFile(tmp_path / "x.pt") as archive:
        assert archive.namelist()[0] == "x/data.pkl"
        assert archive.testzip() is None
    assert "use the suffix .pt" in refusal(lambda: gw.save({"a": 1}, tmp_path / "y.safetensors"))


# ---------------------------------------------------------------- with PyTorch
@pytest.mark.parity
def test_pytorch_reads_what_is_written(session: Session) -> None:
    torch = pytest.importorskip("torch")
    loaded = to_torch(torch, {**PLAIN, "size": gw.ones(2, 3).shape, "dtype": gw.int16, "device": gw.device("cpu")})
    assert {name: loaded[name] for name in PLAIN} == PLAIN
    assert (loaded["size"], loaded["dtype"], loaded["device"]) == (torch.Size([2, 3]), torch.int16, torch.device("cpu"))
    for name in DTYPES:
        x = gw.arange(6).reshape(2, 3).to(getattr(gw, name)).T
        back = to_torch(torch, [x, x[1:], gw.ones((), dtype=x.dtype), gw.ones(0, 2, dtype=x.dtype)])
        assert [y.tolist() for y in back[:2]] == [x.tolist(), x[1:].tolist()]
        assert (back[0].dtype, back[0].stride()) == (getattr(torch, name), (1, 3))
        assert back[0].untyped_storage().data_ptr() == back[1].untyped_storage().data_ptr()
        assert (tuple(back[2].shape), tuple(back[3].shape)) == ((), (0, 2))


@pytest.mark.parity
def test_a_training_moves_to_pytorch_and_back(session: Session, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = gw.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    optimizer = gw.optim.AdamW(ours.parameters(), lr=0.1)
    ours(gw.ones(1, 3)).sum().backward()
    optimizer.step()
    gw.save({"model": ours.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "a.pt")
    checkpoint = torch.load(tmp_path / "a.pt", weights_only=True)
    theirs.load_state_dict(checkpoint["model"])
    assert checkpoint["model"]._metadata == ours.state_dict()._metadata
    other = torch.optim.AdamW(theirs.parameters())
    other.load_state_dict(checkpoint["optimizer"])
    assert other.param_groups[0]["lr"] == 0.1
    torch.save({"model": theirs.state_dict(), "optimizer": other.state_dict()}, tmp_path / "b.pt")
    back = gw.load(tmp_path / "b.pt")
    assert back["model"]["weight"].tolist() == ours.weight.tolist()
    optimizer.load_state_dict(back["optimizer"])


@pytest.mark.parity
def test_what_pytorch_writes_is_read(session: Session) -> None:
    torch = pytest.importorskip("torch")
    loaded = from_torch(
        torch, {**PLAIN, "size": torch.Size([2, 3]), "dtype": torch.int16, "device": torch.device("cuda:1")}
    )
    assert {name: loaded[name] for name in PLAIN} == PLAIN
    assert (loaded["size"], loaded["dtype"], str(loaded["device"])) == ((2, 3), gw.int16, "cuda:1")
    for name in DTYPES:
        x = torch.arange(6).reshape(2, 3).to(getattr(torch, name)).T
        for y in (x, x[1:], torch.ones((), dtype=x.dtype), torch.ones(0, 2, dtype=x.dtype)):
            z = from_torch(torch, y)
            assert (z.tolist(), z.dtype, z.stride(), tuple(z.shape)) == (
                y.tolist(), getattr(gw, name), y.stride(), tuple(y.shape),
            )  # fmt: skip
    base = torch.zeros(4)
    pair = from_torch(torch, {"all": base, "half": base[2:], "p": torch.nn.Parameter(base[:1])})
    pair["all"].fill_(1.0)
    assert pair["half"].tolist() == [1, 1]
    assert isinstance(pair["p"], gw.nn.Parameter)
    assert from_torch(torch, torch.ones(2, requires_grad=True)).requires_grad


@pytest.mark.parity
def test_other_formats_of_pytorch_are_refused(session: Session) -> None:
    torch = pytest.importorskip("torch")
    file = io.BytesIO()
    torch.save(torch.ones(2), file, _use_new_zipfile_serialization=False)
    file.seek(0)
    assert "the zip format that torch.save writes since PyTorch 1.6" in refusal(lambda: gw.load(file))
    assert "torch.nn.modules.linear.Linear" in refusal(lambda: from_torch(torch, torch.nn.Linear(1, 1)))
    assert "numpy" in refusal(lambda: from_torch(torch, {"a": np.float64(1)}))


# ---------------------------------------------------------------- refusals
class Evil:
    def __reduce__(self) -> Any:
        return (print, ("executed",))


def archive(program: bytes, **records: bytes) -> io.BytesIO:
    """A `.pt` file of any program."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("archive/data.pkl", program)
        for name, content in records.items():
            made.writestr(f"archive/{name.replace('__', '/')}", content)
    file.seek(0)
    return file


@pytest.mark.parametrize("protocol", range(6))
def test_code_is_named_and_not_run(session: Session, protocol: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CheckpointError, match=r"(names (__builtin__|builtins)\.print|opcode)"):
        gw.load(archive(pickle.dumps({"a": Evil()}, protocol)))
    assert capsys.readouterr().out == ""


TENSOR = (
    b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000"
    b"X\x03\x00\x00\x00cpuK\x02tQ%b\x89ccollections\nOrderedDict\n)RtR."
)


@pytest.mark.parametrize(
    ("program", "records", "words"),
    [
        (TENSOR % b"K\x00(K\x02t(K\x01t", {"data__0": b"\0" * 8}, None),
        (TENSOR % b"K\x01(K\x02t(K\x01t", {"data__0": b"\0" * 8}, "reaches out of 2 elements"),
        (TENSOR % b"K\x00(K\x02t(J\xff\xff\xff\xfft", {"data__0": b"\0" * 8}, "described wrongly"),
        (TENSOR % b"K\x00(K\x02t(t", {"data__0": b"\0" * 8}, r"strides \(\)"),
        (TENSOR % b"K\x00(K\x02t(K\x01t", {"data__0": b"\0" * 7}, "takes 8 bytes; the record has 7"),
        (TENSOR % b"K\x00(K\x02t(K\x01t", {}, "lacks the record data/0"),
        (TENSOR % b"K\x00(K\x02t(K\x01t", {"data__0": b"\0" * 8, "byteorder": b"middle"}, "byte order"),
        (b"", {}, "not whole"),
        (b"\x80\x02", {}, "not whole"),
        (b"\x80\x02.", {}, "not whole"),
        (b"\x80\x02}K\x01K\x02K\x03u.", {}, "not whole"),
        (b"\x80\x02c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R.", {}, "bytes of what are none"),
        (b"\x80\x02c__builtin__\ngetattr\n.", {}, "names __builtin__.getattr"),
        (b"\x80\x02ctorch\nload\n.", {}, r"names torch\.load"),
        (b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.", {}, r"names os\.system"),
        (b"\x80\x02K\x01)R.", {}, "no constructor"),
        (b"\x80\x02}}b.", {}, "sets the state of a dict"),
        (b"\x80\x02)\x81.", {}, "opcode NEWOBJ"),
        (b"\x80\x02}" + b")" + b"\x85" * 100_000 + b"K\x01s.", {}, "not whole"),
    ],
)
def test_hostile_programs(session: Session, program: bytes, records: dict[str, bytes], words: str | None) -> None:
    if words is None:
        assert gw.load(archive(program, **records)).tolist() == [0, 0]
        return
    with pytest.raises(CheckpointError, match=words):
        gw.load(archive(program, **records))


def test_every_cut_and_flip_of_a_file_is_refused_or_read(session: Session) -> None:
    file = io.BytesIO()
    gw.save({"a": gw.ones(3), "b": [1, "x"]}, file)
    whole = file.getvalue()
    for end in range(0, len(whole), 7):
        with pytest.raises(CheckpointError):
            gw.load(io.BytesIO(whole[:end]))
    draw = np.random.default_rng(0)
    for place in draw.integers(0, len(whole), 200):
        changed = bytearray(whole)
        changed[place] ^= 1 << int(draw.integers(8))
        try:
            gw.load(io.BytesIO(changed))
        except CheckpointError as error:
            assert str(error)


def test_programs_without_a_file() -> None:
    def no(name: str) -> Any:
        raise Refused(name)

    for value in ({"a": [1, (2, 3)]}, "text", 2**70, (1, 2, 3, 4), None, True):
        for protocol in range(2, 6):
            assert Interpreter(no, no).run(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize(
    "value", [Evil(), {"a": np.float64(1)}, [lambda: 1], {"m": gw.nn.Module}, np.ones(2), range(3)]
)
def test_other_objects_are_not_saved(session: Session, value: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(b"before")
    with pytest.raises(TypeError, match="save needs tensors, numbers, text"):
        gw.save(value, path)
    assert path.read_bytes() == b"before"
    assert [each.name for each in tmp_path.iterdir()] == ["x.pt"]


def test_where_to_load_is_checked(session: Session, tmp_path: Path) -> None:
    gw.save(gw.ones(2), tmp_path / "x.pt")
    for location in (None, "cpu", gw.device("cpu"), lambda storage, place: storage, {"cuda:0": "cpu"}):
        assert gw.load(tmp_path / "x.pt", map_location=location, weights_only=False).tolist() == [1, 1]
    assert refusal(lambda: gw.load(tmp_path / "x.pt", "cuda")).startswith("RuntimeError: Found no NVIDIA driver")
    assert "got mmap=True" in refusal(lambda: gw.load(tmp_path / "x.pt", mmap=True))
    (tmp_path / "text").write_text("hello there, this is no checkpoint")
    with pytest.raises(CheckpointError):
        gw.load(tmp_path / "text")
