"""The tiled kernels take a shortcut to the gradient; whoever differentiates that gradient must get the truth."""

import pytest
import torch

from infomax import Cosine, DonskerVaradhan, InfoNCE


@pytest.mark.parametrize("own", [None, False, True])
def test_the_gradient_can_be_differentiated(own):
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(300, 3, generator=generator, dtype=torch.float64) for _ in range(2))

    def second(rows):
        cos = Cosine(0.5)
        term = DonskerVaradhan(cos) if own is None else InfoNCE(cos, own_view=own)
        x, y = a[:rows].clone().requires_grad_(), b[:rows].clone().requires_grad_()
        (first,) = torch.autograd.grad(term.penalty(x, y), x, create_graph=True)
        first.square().sum().backward()
        return x.grad, y.grad

    tiled = second(300)
    from infomax.marginal import partition

    above, partition._TILED_ABOVE = partition._TILED_ABOVE, 10_000
    try:
        plain = second(300)
    finally:
        partition._TILED_ABOVE = above
    for got, expected in zip(tiled, plain, strict=True):
        assert torch.allclose(got, expected, rtol=1e-9, atol=1e-14)
