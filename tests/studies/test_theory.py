"""The theory study: its laws are the ones it names, its verdicts can fail, and the page says what it measures."""

import json
import math
import re
from pathlib import Path

import pytest
import torch

from infomax.errors import ConfigError
from infomax.studies import theory
from infomax.studies.origin import commit
from infomax.studies.theory.ascent import _at_rest, _violations
from infomax.studies.theory.estimates import _fisher_pairs
from infomax.studies.theory.laws import NOISE, SIGMA, _views, log_ratio
from infomax.studies.theory.moments import _kept

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("theory") / "out"
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    results = theory.run(folder, draws=20)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), before)  # a study leaves the caller's random numbers alone
    return folder, results


def test_the_form_without_a_matrix_is_held_against_one_with_it(study):
    for row in study[1]["checks"]["exact_moments"]["rows"]:
        assert row["memory_ratio"] > 2, "both sides are the same form"


def test_the_folder_holds_what_was_returned(study):
    folder, results = study
    assert json.loads((folder / "results.json").read_text()) == results
    assert len(results["checks"]) == len(theory.CHECKS) and results["commit"] == commit()
    for png in folder.glob("*.png"):
        assert png.stem in results["checks"]
        assert png.read_bytes().startswith(b"\x89PNG")
    assert len(list(folder.glob("*.png"))) == 8
    with pytest.raises(ConfigError, match="not empty"):
        theory.run(folder, draws=20)


def test_the_page_gives_the_verdicts_that_are_measured(study):
    """docs/theory.md holds one row a claim; the verdict there is the one that a short run finds too."""
    lines = re.findall(r"^\| (.+?) \| (.+?) \| (holds|does not hold) \| .+ \|$", (DOCS / "theory.md").read_text(), re.M)
    printed = {text.replace("\\|", "|"): verdict for text, _, verdict in lines}
    measured = {c["text"]: c["verdict"] for check in study[1]["checks"].values() for c in check["claims"]}
    assert printed == measured


def test_the_share_of_batches_without_a_collision_is_that_of_the_birthday_problem():
    row = theory.batch_bias(0, 40).rows[0]
    exact = math.prod(1 - i / 1000 for i in range(16))
    assert row["optimal_critic_share_infinite"] == pytest.approx(
        exact, abs=4 * math.sqrt(exact * (1 - exact) / row["n"])
    )


def test_the_log_ratio_is_that_of_the_mixtures_themselves():
    x1, x2, centres = _views(200, torch.Generator().manual_seed(0))
    eye = torch.eye(2, dtype=torch.float64)
    own, common = SIGMA**2 + NOISE**2, SIGMA**2
    both = torch.cat([torch.cat([own * eye, common * eye], 1), torch.cat([common * eye, own * eye], 1)])
    normal = torch.distributions.MultivariateNormal

    def log_density(x, means, covariance):
        each = normal(means, covariance).log_prob(x[:, None])
        return each.logsumexp(1) - math.log(len(means))

    joint = log_density(torch.cat([x1, x2], 1), torch.cat([centres, centres], 1), both)
    expected = joint - log_density(x1, centres, own * eye) - log_density(x2, centres, own * eye)
    torch.testing.assert_close(log_ratio(x1, x2, centres), expected)


def test_the_pairs_on_the_sphere_have_the_concentration_asked_for():
    a, b = _fisher_pairs(3.0, (4, 5000), torch.Generator().manual_seed(0))
    cosine = (a * b).sum(-1)
    torch.testing.assert_close(b.norm(dim=-1), torch.ones_like(cosine))
    assert float(cosine.mean()) == pytest.approx(1 / math.tanh(3) - 1 / 3, abs=0.01)
    assert float(b.mean((0, 1)).norm()) < 0.03  # b is uniform, as a is


def test_midpoints_below_the_chord_are_counted():
    g = torch.Generator().manual_seed(0)
    first, second = (torch.randn(50, dtype=torch.float64, generator=g) for _ in range(2))
    assert _violations(lambda x: x.square(), first, second) == 50
    assert _violations(lambda x: -x.square(), first, second) == 0
    assert _violations(lambda x: 3 * x, first, second) == 0


def test_the_bytes_kept_for_the_backward_pass_are_counted_once():
    x = torch.ones(100, dtype=torch.float64, requires_grad=True)
    assert _kept(lambda: (x * x).sum()) == 800
    assert _kept(lambda: (x.exp() * x).sum()) == 1600  # x, and its exponential


def test_at_rest_the_gradients_balance_and_do_not_vanish():
    g = torch.Generator().manual_seed(0)
    x1, x2, _ = _views(100, g)
    of_j, of_m, difference = _at_rest(x1, x2, g)
    assert difference < 1e-6
    assert min(of_j, of_m) > 1e-3


def test_a_seed_gives_the_same_rows_again_and_another_gives_others():
    assert theory.shared_noise(0, 10).rows == theory.shared_noise(0, 10).rows
    assert theory.shared_noise(0, 10).rows != theory.shared_noise(1, 10).rows
