import math

import numpy as np
import pytest

from infomax.errors import ConfigError
from infomax.mi import tasks


@pytest.mark.parametrize("name", tasks.TASKS)
def test_a_sample_is_the_same_for_the_same_seed_and_another_for_another(name):
    task = tasks.get(name)
    x, y = task.sample(50, seed=3)
    again, other = task.sample(50, seed=3), task.sample(50, seed=4)
    assert np.array_equal(x, again[0]) and np.array_equal(y, again[1])
    assert not np.array_equal(x, other[0])
    assert len(x) == len(y) == 50 and x.ndim == y.ndim == 2
    assert np.isfinite(x).all() and np.isfinite(y).all()
    assert task.mi >= 0 and 0 <= task.error < 0.01


def test_truths_that_are_known_from_elsewhere():
    assert tasks.student(5, 2).mi == pytest.approx(0.448, abs=5e-4)
    assert tasks.sphere_clusters(50, 50).mi == pytest.approx(math.log(50))
    assert tasks.five_gaussians().mi == pytest.approx(math.log(5) - math.log(1 - 0.2**2))
    assert tasks.gaussian(20, 6.0).mi == 6.0
    # many degrees of freedom: the shared radius is gone
    assert tasks.student(3, 1e6, mi=0.7).mi == pytest.approx(0.7, abs=1e-5)


def test_quadratures_agree_with_a_mean_of_exact_log_ratios():
    # I = E[log p(x, y) / p(x) p(y)] over a sample: the same truth by another way
    n, rho = 200_000, 0.9
    x, y = (side[:, 0] for side in tasks.cross(rho).sample(n, seed=0))
    free = 1 - rho**2
    each = [-(x * x - 2 * r * x * y + y * y) / (2 * free) for r in (rho, -rho)]
    ratio = np.logaddexp(*each) - math.log(2) - 0.5 * math.log(free) + (x * x + y * y) / 2
    assert tasks.cross(rho).mi == pytest.approx(ratio.mean(), abs=4 * ratio.std() / math.sqrt(n))

    dim, shift = 4, 0.5
    x, y = (side.sum(1) for side in tasks.shared_sign(dim, shift).sample(n, seed=0))
    log_cosh = [np.logaddexp(shift * s, -shift * s) - math.log(2) for s in (x + y, x, y)]
    ratio = log_cosh[0] - log_cosh[1] - log_cosh[2]
    assert tasks.shared_sign(dim, shift).mi == pytest.approx(ratio.mean(), abs=4 * ratio.std() / math.sqrt(n))


def test_the_trap_is_one():
    dim, shift = 6, 1.5
    r = dim * shift**2 / (1 + dim * shift**2)
    assert -0.5 * math.log(1 - r * r) > tasks.shared_sign(dim, shift).mi + 0.25
    assert tasks.shared_sign(dim, shift).mi < math.log(2)


def test_bijections_lose_nothing():
    # undoing the map gives the Gaussian back: the same generator draws the same numbers
    plain, _ = tasks.gaussian(3, 1.02, pairs=2).sample(100, seed=5)
    wound, _ = tasks.spiral(3, 1.02, turn=2.0).sample(100, seed=5)
    from scipy.special import ndtr

    assert np.allclose(np.linalg.norm(wound, axis=1), np.linalg.norm(ndtr(plain), axis=1))
    rotated, _ = tasks.warped(4, 1.0, strength=0.0).sample(100, seed=5)
    assert np.allclose(
        np.linalg.norm(rotated, axis=1), np.linalg.norm(tasks.gaussian(4, 1.0).sample(100, 5)[0], axis=1)
    )


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: tasks.get("spirall"), "did you mean 'spiral'"),
        (lambda: tasks.gaussian(3, -1.0), "mi -1.0"),
        (lambda: tasks.gaussian(3, 1.0, pairs=4), "4 paired"),
        (lambda: tasks.sphere_clusters(500, 3, 0.1), "overlap"),
        (lambda: tasks.five_gaussians(0.2, 0.2), "overlap"),
        (lambda: tasks.student(3, 0.0), "degrees of freedom"),
        (lambda: tasks.spiral(1), "at least 2"),
        (lambda: tasks.warped(1), "at least 2"),
        (lambda: tasks.additive_noise(0.0), "positive width"),
        (lambda: tasks.categories(1), "at least 2 levels"),
        (lambda: tasks.independent(2, "gausian"), "did you mean 'gaussian'"),
        (lambda: tasks.gaussian().sample(0), "at least one pair"),
    ],
)
def test_what_cannot_be_says_so(make, said):
    with pytest.raises(ConfigError, match=said):
        make()
