"""When calls are recorded: the four modes, as context managers and as decorators. Every test also runs with PyTorch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import gradwire as gw
from gradwire.session import Session
from tests.client.graphs import refusal
from tests.client.test_autograd import leaf


def recorded(t: Any) -> bool:
    return bool((t.ones(1, requires_grad=True) * 2).requires_grad)


# ---------------------------------------------------------------- context managers
def test_no_grad_and_enable_grad(t: Any) -> None:
    assert t.is_grad_enabled()
    with t.no_grad():
        assert (t.is_grad_enabled(), recorded(t)) == (False, False)
        assert t.ones(1, requires_grad=True).requires_grad
        with t.enable_grad():
            assert (t.is_grad_enabled(), recorded(t)) == (True, True)
            with t.no_grad():
                assert not recorded(t)
        assert not recorded(t)
    assert recorded(t)


def test_results_under_no_grad_are_leaves(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    with t.no_grad():
        y = x * x
    assert (y.requires_grad, y.grad_fn, y.is_leaf) == (False, None, True)
    assert x.numpy(force=True).tolist() == [1.0, 2.0]
    assert refusal(x.numpy).startswith("RuntimeError: Can't call numpy() on Tensor that requires grad.")
    with t.no_grad():
        assert x.numpy().tolist() == [1.0, 2.0]


def test_set_grad_enabled(t: Any) -> None:
    with t.set_grad_enabled(False):
        assert not recorded(t)
        with t.set_grad_enabled(True):
            assert recorded(t)
        assert not recorded(t)
    assert recorded(t)
    t.set_grad_enabled(False)
    assert not recorded(t)
    t.set_grad_enabled(True)
    assert recorded(t)


def test_a_mode_ends_with_an_exception(t: Any) -> None:
    for mode in (t.no_grad, t.inference_mode, lambda: t.set_grad_enabled(False)):
        with pytest.raises(KeyError), mode():
            raise KeyError
        assert t.is_grad_enabled()
        assert not t.is_inference_mode_enabled()


def test_a_mode_may_be_used_again(t: Any) -> None:
    mode = t.no_grad()
    for _ in range(2):
        with mode:
            assert not recorded(t)
        assert recorded(t)


@pytest.mark.filterwarnings("ignore:Using backward.. with create_graph=True will create a reference cycle")
def test_backward_works_under_no_grad(t: Any) -> None:
    x = leaf(t, 3.0)
    y = (x * x).sum()
    with t.no_grad():
        y.backward(create_graph=True)
    assert x.grad.tolist() == [6.0]
    assert x.grad.requires_grad


# ---------------------------------------------------------------- inference mode
def test_inference_tensors(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    with t.inference_mode():
        assert (t.is_inference_mode_enabled(), t.is_grad_enabled()) == (True, False)
        y = x * 2
        y.add_(1)
        view = x[:1]
    assert not t.is_inference_mode_enabled()
    assert (y.is_inference(), y.requires_grad, view.is_inference(), x.is_inference()) == (True, False, False, False)
    assert y.view(2).is_inference()
    assert not y.clone().is_inference()
    assert (y.tolist(), (y + 1).tolist()) == ([3.0, 5.0], [4.0, 6.0])
    (x + y).sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_what_inference_tensors_may_not_do(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    with t.inference_mode():
        y = t.ones(2)
        assert refusal(lambda: y._version) == "RuntimeError: Inference tensors do not track version counter."
    assert refusal(lambda: x * y) == (
        "RuntimeError: Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode "
        "in computation tracked by autograd. To work around this, you can make a clone to get a normal tensor and use it in "
        "autograd, or use `torch.no_grad()` instead of `torch.inference_mode()`."
    )
    assert refusal(lambda: y.add_(1)) == (
        "RuntimeError: Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone to get "
        "a normal tensor before doing inplace update.See https://github.com/pytorch/rfcs/pull/17 for more details."
    )
    assert refusal(y.requires_grad_) == (
        "RuntimeError: Setting requires_grad=True on inference tensor outside InferenceMode is not allowed."
    )


def test_nothing_is_recorded_in_inference_mode(t: Any) -> None:
    with t.inference_mode():
        with t.enable_grad():
            assert (t.is_grad_enabled(), recorded(t)) == (True, False)
        with t.inference_mode(False):
            assert (t.is_inference_mode_enabled(), recorded(t)) == (False, True)
        assert t.is_inference_mode_enabled()
    with t.no_grad(), t.inference_mode(False):
        assert recorded(t)
    with t.inference_mode(mode=False):
        assert recorded(t)


# ---------------------------------------------------------------- decorators
DECORATORS: dict[str, Callable[[Any], Any]] = {
    "no_grad()": lambda t: t.no_grad(),
    "no_grad": lambda t: t.no_grad,
    "set_grad_enabled": lambda t: t.set_grad_enabled(False),
    "inference_mode()": lambda t: t.inference_mode(),
    "inference_mode": lambda t: t.inference_mode,
}


@pytest.mark.parametrize("name", DECORATORS)
def test_decorated_functions(t: Any, name: str) -> None:
    @DECORATORS[name](t)
    def function(depth: int) -> bool:
        """Say whether calls are recorded, down to a depth."""
        return recorded(t) or (depth > 0 and function(depth - 1))

    assert recorded(t)
    assert function(2) is False
    assert recorded(t)
    assert function.__name__ == "function"
    assert function.__doc__ == "Say whether calls are recorded, down to a depth."


def test_enable_grad_as_decorator(t: Any) -> None:
    bare, called = t.enable_grad(lambda: recorded(t)), t.enable_grad()(lambda: recorded(t))
    with t.no_grad():
        assert (bare(), called(), recorded(t)) == (True, True, False)


def test_a_decorated_function_that_raises(t: Any) -> None:
    @t.no_grad()
    def fails() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert recorded(t)


def test_decorated_generators(t: Any) -> None:
    """The mode holds inside of the generator and not, meanwhile, in its caller."""
    log: list[Any] = []

    @t.no_grad()
    def steps() -> Generator[bool, Any, str]:
        try:
            log.append((yield recorded(t)))
        except KeyError:
            log.append("caught")
        try:
            yield recorded(t)
        finally:
            log.append(recorded(t))
        return "done"

    running = steps()
    assert next(running) is False
    assert recorded(t)
    assert running.send("sent") is False
    with pytest.raises(StopIteration) as stopped:
        next(running)
    assert stopped.value.value == "done"
    thrown = steps()
    next(thrown)
    assert thrown.throw(KeyError) is False
    thrown.close()
    assert log == ["sent", False, "caught", False]
    assert recorded(t)


# ---------------------------------------------------------------- threads
def test_a_mode_is_the_threads_own(t: Any) -> None:
    with t.no_grad(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(t.is_grad_enabled).result()
        pool.submit(t.set_grad_enabled, False).result()
        assert not pool.submit(t.is_grad_enabled).result()
    assert t.is_grad_enabled()


def test_modes_of_threads_that_run_together(session: Session) -> None:
    barrier = threading.Barrier(2)

    def work(enabled: bool) -> bool:
        with gw.set_grad_enabled(enabled):
            barrier.wait(10)
            found = recorded(gw)
            barrier.wait(10)
        return found

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, (True, False))) == [True, False]
    assert session.statistics().waits == 0
