r"""Tasks of known truth: pairs of data sets with known mutual information, in nats.

| task | law | I(X; Y) |
|---|---|---|
| `gaussian` | jointly Gaussian, all or some coordinates paired | $-\tfrac{m}{2} \log(1 - \rho^2)$ |
| `cubed` | the same, $y \mapsto y^3$ | the same |
| `student` | multivariate t | closed form: one radius is shared, so it is positive even without correlation |
| `spiral` | Gaussian, each side wound up by a spiral | that of the Gaussian |
| `warped` | Gaussian, each side through a random smooth bijection | that of the Gaussian |
| `sphere_clusters` | one of K points on a sphere, noise on each side | log K |
| `five_gaussians` | the paper's toy: five clusters on a circle, views with noise | 1.6503 |
| `shared_sign` | one sign moves every coordinate: its Gaussian copula reads too much | quadrature, below log 2 |
| `swiss_roll` | one number, and another rolled up in the plane | that of the Gaussian |
| `additive_noise` | y = x + uniform noise | closed form |
| `cross` | a mixture of rho and -rho: no correlation at all | quadrature |
| `categories` | two discrete variables that agree more often than not | a finite sum |
| `independent` | no dependence; Gaussian, heavy-tailed, skewed or discrete margins | 0 |

Bijections of one side alone do not change mutual information: so the hard tasks have an exact truth. Each
function returns a `Task`; `TASKS` has one of every kind by name.
"""

from collections.abc import Callable
from functools import partial

from infomax.errors import ConfigError, nearest
from infomax.mi.tasks.bijections import cubed, gaussian, spiral, swiss_roll, warped
from infomax.mi.tasks.clusters import cross, five_gaussians, shared_sign, sphere_clusters
from infomax.mi.tasks.laws import Margins, additive_noise, categories, independent, student
from infomax.mi.tasks.task import Task

__all__ = [
    "TASKS",
    "Margins",
    "Task",
    "additive_noise",
    "categories",
    "cross",
    "cubed",
    "five_gaussians",
    "gaussian",
    "get",
    "independent",
    "shared_sign",
    "sphere_clusters",
    "spiral",
    "student",
    "swiss_roll",
    "warped",
]


def get(name: str) -> Task:
    """Get one of `TASKS`.

    Raises:
        ConfigError: there is no such task; the message names the nearest.

    Example:
        >>> round(get("five_gaussians").mi, 4)
        1.6503
    """
    if name not in TASKS:
        raise ConfigError(f"no task {name!r}: {nearest(name, TASKS)}")
    return TASKS[name]()


TASKS: dict[str, Callable[[], Task]] = {
    "gaussian": partial(gaussian, 20, 2.0),
    "gaussian_6": partial(gaussian, 20, 6.0),
    "gaussian_10": partial(gaussian, 20, 10.0),
    "gaussian_sparse": partial(gaussian, 20, 1.0, pairs=2, rotate=True),
    "cubed": cubed,
    "student": student,
    "spiral": spiral,
    "warped": warped,
    "sphere_clusters": sphere_clusters,
    "five_gaussians": five_gaussians,
    "shared_sign": shared_sign,
    "swiss_roll": swiss_roll,
    "additive_noise": additive_noise,
    "cross": cross,
    "categories": categories,
    "independent": independent,
    "independent_cauchy": partial(independent, 5, "cauchy"),
}
"""One task of every kind, by name: call it, or `get` it."""
