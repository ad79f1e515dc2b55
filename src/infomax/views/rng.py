"""Random numbers that are a function of a key: splitmix64 on int64 tensors.

A stateful generator makes a view depend on who asked before it: the batch size, the order, the workers. Here every
number is `u(seed, epoch, view, index, slot)`, so that view k of sample i at epoch e is the same wherever and whenever it
is drawn. Integers wrap, and float64 products, sums and square roots round correctly, so every machine gives the same
bits (`normal` and `noise` alone call the platform's logarithm and cosine, and may differ in the last digit).
"""

import torch
from torch import Tensor


def _signed(value: int) -> int:
    """The int64 with the same 64 bits."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >= 1 << 63 else value


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_FIRST = _signed(0xBF58476D1CE4E5B9)
_SECOND = _signed(0x94D049BB133111EB)


def _shift(z: Tensor, bits: int) -> Tensor:
    # int64's >> copies the sign; the mask makes it the unsigned shift of the definition.
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def mix(z: Tensor) -> Tensor:
    """Scramble 64 bits (the finaliser of splitmix64, a bijection).

    Args:
        z: int64 of any shape, read as unsigned 64-bit words.

    Returns:
        int64 of the same shape.

    Example:
        >>> mix(torch.tensor([1])).item() & 0xFFFFFFFFFFFFFFFF
        6238072747940578789

    Source: Steele, Lea & Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    z = (z ^ _shift(z, 30)) * _FIRST
    z = (z ^ _shift(z, 27)) * _SECOND
    return z ^ _shift(z, 31)


def key(index: Tensor, *words: int) -> Tensor:
    """Hash each sample id together with the words it is keyed by.

    `k = 0; k = mix(k + golden * (w + 1)) for every word w and last the id`.

    Args:
        index: int64 sample ids, any shape.
        words: integers, such as seed, epoch and view.

    Returns:
        int64 keys in the shape of `index`.

    Example:
        >>> a, b = key(torch.tensor([3, 4]), 0, 1), key(torch.tensor([4, 3]), 0, 1)
        >>> bool((a == b.flip(0)).all())
        True
    """
    state = torch.zeros((), dtype=torch.int64, device=index.device)
    for word in words:
        state = mix(state + _signed(_GOLDEN * (word + 1)))
    return mix(state + (index + 1) * _GOLDEN)


def uniform(keys: Tensor, slots: int) -> Tensor:
    """Draw `slots` numbers in [0, 1) from every key.

    `u = (mix(k + golden * (slot + 1)) >> 40) / 2^24`: 24 bits, so that float32 and float64 hold the same number.

    Args:
        keys: int64, any shape.
        slots: how many numbers a key gives.

    Returns:
        float64 of shape `(*keys.shape, slots)`.

    Example:
        >>> u = uniform(key(torch.arange(10_000), 0), 2)
        >>> tuple(u.shape), round(u.mean().item(), 2)
        ((10000, 2), 0.5)
    """
    steps = (torch.arange(slots, device=keys.device) + 1) * _GOLDEN
    return _shift(mix(keys[..., None] + steps), 40).to(torch.float64) * 2.0**-24


def normal(keys: Tensor, slots: int) -> Tensor:
    """Draw `slots` standard normal numbers from every key (Box-Muller).

    `n = sqrt(-2 log(1 - u)) cos(2 pi v)`.

    Args:
        keys: int64, any shape.
        slots: how many numbers a key gives.

    Returns:
        float64 of shape `(*keys.shape, slots)`.

    Example:
        >>> n = normal(key(torch.arange(10_000), 0), 1)
        >>> abs(n.mean().item()) < 0.03, abs(n.std().item() - 1) < 0.03
        (True, True)
    """
    u = uniform(keys, 2 * slots)
    radius = torch.sqrt(-2.0 * torch.log1p(-u[..., :slots]))
    return radius * torch.cos(2.0 * torch.pi * u[..., slots:])


def noise(keys: Tensor, n: int) -> Tensor:
    """Draw n standard normal numbers from every key in single precision: two from each hashed word (Box-Muller).

    `r = sqrt(-2 log u), (r cos 2 pi v, r sin 2 pi v)` with u in (0, 1] and v in [0, 1) of 24 bits each: a fourth of the
    words that `normal` takes, for noise of a whole signal. No number is beyond 5.8.

    Args:
        keys: N int64.
        n: how many numbers a key gives.

    Returns:
        N x n float32.

    Example:
        >>> e = noise(key(torch.arange(1000), 0), 101)
        >>> e.shape, abs(e.mean().item()) < 0.01, abs(e.std().item() - 1) < 0.01
        (torch.Size([1000, 101]), True, True)
    """
    words = mix(keys[:, None] + (torch.arange((n + 1) // 2, device=keys.device) + 1) * _GOLDEN)
    u = (_shift(words, 40) + 1).to(torch.float32) * 2.0**-24
    v = (_shift(words, 8) & 0xFFFFFF).to(torch.float32) * 2.0**-24
    radius, angle = torch.sqrt(-2.0 * torch.log(u)), 2.0 * torch.pi * v
    return torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)], dim=1)[:, :n]


def exp(x: Tensor) -> Tensor:
    """Exponential from products and sums alone, so that every machine and compiler rounds it alike.

    `e^x = (sum_k (x / 16)^k / k!)^16`; relative error below 1e-14 for |x| <= 4.

    Args:
        x: float64, |x| <= 4 (a log aspect ratio).

    Returns:
        float64 of the same shape.

    Example:
        >>> x = torch.linspace(-4, 4, 101, dtype=torch.float64)
        >>> bool(((exp(x) / torch.exp(x) - 1).abs() < 1e-14).all())
        True
    """
    step = x * 0.0625
    total = torch.ones_like(step)
    for k in range(14, 0, -1):
        total = 1.0 + total * step * (1.0 / k)
    for _ in range(4):
        total = total * total
    return total


def permutation(n: int, *words: int) -> Tensor:
    """Order 0..n-1 by the hash of each number.

    Args:
        n: how many.
        words: integers the order is keyed by, such as seed and epoch.

    Returns:
        int64 of shape `(n,)`.

    Example:
        >>> permutation(6, 0, 0).sort().values.tolist()
        [0, 1, 2, 3, 4, 5]
    """
    return torch.argsort(key(torch.arange(n), *words), stable=True)
