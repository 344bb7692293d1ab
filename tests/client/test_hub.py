"""`hub`: weights from an address; here a file's, so that nothing leaves this machine."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import gradwire as gw
from gradwire.utils import model_zoo


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    path = tmp_path / "made.pth"
    gw.save({"weight": gw.ones(2)}, path)
    return path


def test_weights_are_fetched_once(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = gw.hub.load_state_dict_from_url(weights.as_uri(), progress=False)
    assert found["weight"].tolist() == [1, 1]
    weights.unlink()
    assert model_zoo.load_url(weights.as_uri())["weight"].tolist() == [1, 1]
    kept = Path(gw.hub.get_dir()) / "checkpoints"
    assert [path.name for path in kept.iterdir()] == ["made.pth"]
    assert capsys.readouterr().out == f'Downloading: "{weights.as_uri()}" to {kept / "made.pth"}\n'


def test_the_hash_in_a_name_is_checked(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    good, bad = f"made-{digest[:8]}.pth", "made-00000000.pth"
    gw.hub.load_state_dict_from_url(weights.as_uri(), str(tmp_path / "a"), check_hash=True, file_name=good)
    assert "100.0%" in capsys.readouterr().err
    with pytest.raises(RuntimeError, match=rf'invalid hash value \(expected "00000000", got "{digest}"\)'):
        gw.hub.load_state_dict_from_url(weights.as_uri(), str(tmp_path / "b"), check_hash=True, file_name=bad)
    assert list((tmp_path / "b").iterdir()) == []


def test_the_folder_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gw.hub, "_folder", None)
    gw.hub.set_dir(str(tmp_path))
    assert gw.hub.get_dir() == str(tmp_path)


def test_progress_counts_what_is_iterated(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(model_zoo.tqdm([1, 2], total=2)) == [1, 2]
    assert capsys.readouterr().err == "\r50.0%\r100.0%\n"
