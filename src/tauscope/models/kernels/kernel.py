"""What every kernel is: a function with a fast first derivative, and an equal in plain operations for everything else.

A kernel computes in place, which serves ordinary gradients alone. Where a derivative is asked for that it has not, the
same values come from plain operations of torch: in the transforms of `torch.func`, in forward mode, and where a
gradient shall be differentiated again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad


@dataclass(frozen=True)
class Given:
    """What a derivative is computed from.

    Attributes
    ----------
    arguments : sequence
        Of ``forward``.
    kept : sequence of Tensor
        What ``forward`` kept beside them.
    wanted : sequence of bool
        Of which arguments a gradient is wanted.
    """

    arguments: Sequence[Any]
    kept: Sequence[Any]
    wanted: Sequence[bool]


class Kernel(torch.autograd.Function):
    """A function with a derivative of its own, and one of plain operations that equals it.

    A subclass has ``forward``, which calls `keep`, and says in `first_derivative` what the backward pass computes where
    nothing but an ordinary gradient is asked for.

    Examples
    --------
    >>> class Square(Kernel):
    ...     @staticmethod
    ...     def plain(x):
    ...         return x * x
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         Kernel.keep(ctx, (x,))
    ...         return x * x
    ...     @staticmethod
    ...     def first_derivative(given, gradient):
    ...         return 2 * given.arguments[0] * gradient
    >>> torch.autograd.functional.hessian(Square.run, torch.tensor(3.0))
    tensor(2.)
    >>> torch.vmap(Square.run)(torch.ones(2))
    tensor([1., 1.])
    """

    @staticmethod
    def plain(*arguments: Any) -> Any:
        """Return what ``forward`` does, by operations that torch differentiates."""
        raise NotImplementedError

    @staticmethod
    def first_derivative(given: Given, *gradients: Any) -> Any:
        """Return the gradients of all arguments; run without a graph."""
        raise NotImplementedError

    @classmethod
    def run(cls, *arguments: Any) -> Any:
        """Compute by the kernel, or by plain operations within a transform of torch."""
        return cls.plain(*arguments) if is_transformed(arguments) else cls.apply(*arguments)

    @staticmethod
    def keep(ctx: Any, arguments: Sequence[Any], *kept: Tensor | None) -> None:
        """Keep the arguments of ``forward``, and what the first derivative needs beside them."""
        ctx.others = [None if isinstance(argument, Tensor) else argument for argument in arguments]
        ctx.save_for_backward(*kept, *[argument if isinstance(argument, Tensor) else None for argument in arguments])

    @classmethod
    def backward(cls, ctx: Any, *gradients: Any) -> Any:
        """Return the gradients of all arguments."""
        saved, n_arguments = ctx.saved_tensors, len(ctx.others)
        n_kept = len(saved) - n_arguments
        arguments = [
            tensor if other is None else other for tensor, other in zip(saved[n_kept:], ctx.others, strict=True)
        ]
        given = Given(arguments, saved[:n_kept], ctx.needs_input_grad)
        if torch.is_grad_enabled() or is_transformed(gradients):
            return cls._plain_derivative(given, gradients)
        return cls.first_derivative(given, *gradients)

    @classmethod
    def _plain_derivative(cls, given: Given, gradients: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
        """Return the gradients of all arguments by plain operations, which can be differentiated again."""
        twice = torch.is_grad_enabled()
        with torch.enable_grad():
            # Aliases: where one argument is made of another, the gradient of each is its own share alone.
            aliases = [
                argument.view_as(argument) if isinstance(argument, Tensor) else argument for argument in given.arguments
            ]
            outputs = cls.plain(*aliases)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        asked = [pair for pair in zip(outputs, gradients, strict=True) if pair[1] is not None]
        found: list[Tensor | None] = [None] * len(aliases)
        if asked:
            followed, incoming = zip(*asked, strict=True)
            places = [place for place, needed in enumerate(given.wanted) if needed]
            wanted = [aliases[place] for place in places]
            computed = torch.autograd.grad(followed, wanted, incoming, create_graph=twice, allow_unused=True)
            for place, gradient in zip(places, computed, strict=True):
                found[place] = gradient
        return tuple(found)


def clip_gradient(z: Tensor, clip: float | None) -> Tensor:
    """Let a gradient that comes back through ``z`` be clipped to [-clip, clip] element by element, and return ``z``.

    The transforms of `torch.func` have no place for that; what they return is not clipped.

    Examples
    --------
    >>> z = 1 * torch.tensor([1.0, 2.0], requires_grad=True)
    >>> torch.autograd.grad((clip_gradient(z, 100.0) * torch.tensor([3.0, -300.0])).sum(), z)
    (tensor([   3., -100.]),)
    """
    if clip is not None and z.requires_grad and not torch._C._are_functorch_transforms_active():
        z.register_hook(lambda gradient: None if gradient is None else gradient.clamp(-clip, clip))
    return z


def held_trials(hold: Tensor | None, n_steps: int) -> list[Tensor | None]:
    """Return the trials ``[batch]`` whose state is held at every step, ``None`` where none is.

    Examples
    --------
    >>> held_trials(torch.tensor([[False, True], [False, False]]), 2)
    [tensor([False,  True]), None]
    """
    if hold is None:
        return [None] * n_steps
    return [mask if some else None for mask, some in zip(hold.unbind(0), hold.any(dim=1).tolist(), strict=True)]


def is_transformed(values: Sequence[Any]) -> bool:
    """Return whether torch follows more through these values than their ordinary gradients."""
    if torch._C._are_functorch_transforms_active():
        return True
    tensors = [value for value in values if isinstance(value, Tensor)]
    # Of `torch.autograd.grad(..., is_grads_batched=True)`.
    if any(torch._C._functorch.is_legacy_batchedtensor(tensor) for tensor in tensors):
        return True
    return forward_ad._current_level >= 0 and any(
        forward_ad.unpack_dual(tensor).tangent is not None for tensor in tensors
    )
