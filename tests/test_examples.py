import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import infomax as im

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def own():
    spec = importlib.util.spec_from_file_location("own_method", EXAMPLES / "own_method.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def small(width=12):
    return im.Branch(nn.Linear(width, 8), (8, 4))


def test_each_method_has_at_most_fifteen_lines():
    text = (EXAMPLES / "own_method.py").read_text()
    parts = re.split(r"^# ---- .*$", text, flags=re.MULTILINE)
    assert len(parts) == 5  # what stands before, three methods, what stands after
    for part in parts[1:4]:
        lines = [line for line in part.splitlines() if line.strip() and not line.strip().startswith("#")]
        assert 0 < len(lines) <= 15, part


def test_the_script_runs():
    done = subprocess.run([sys.executable, EXAMPLES / "own_method.py"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    scores = {
        line.split(":")[0]: float(re.search(r"([\d.]+)%", line)[1]) for line in done.stdout.splitlines() if "%" in line
    }
    assert scores.keys() == {"nnclr", "vibcreg", "two_towers"}
    assert min(scores["nnclr"], scores["vibcreg"]) > 85
    assert scores["two_towers"] > 10  # 0.3 by chance


@pytest.mark.parametrize("name", ["nnclr", "two_towers", "vibcreg"])
def test_each_keeps_what_it_promises(own, name):
    learner = own.two_towers(small(), small()) if name == "two_towers" else getattr(own, name)(small())
    assert {line.found for line in im.check(learner)} == {"ok"}


def test_nnclr_is_equation_2(own):
    torch.manual_seed(0)
    learner = own.nnclr(small(), queue=20, temperature=0.2)
    views = [torch.randn(6, 12), torch.randn(6, 12)]
    z = [learner.f(v) for v in views]
    term = learner.marginals[0]
    total = 0.0
    for i, j in ((0, 1), (1, 0)):
        p = nn.functional.normalize(term.predictor(z[j]), dim=1)
        for r in range(6):
            nearest = max(term.queue, key=lambda row, i=i, r=r: float(row @ z[i][r].detach()))
            logits = p @ nearest / 0.2
            total += (logits.logsumexp(0) - logits[r]) / 12
    learner.train()
    output = learner(views)
    torch.testing.assert_close(torch.log(torch.tensor(6.0)) - output.bound, total, rtol=1e-4, atol=1e-4)
    before = term.queue.clone()
    learner.after_step(output, im.Clock())
    torch.testing.assert_close(term.queue[:6], nn.functional.normalize(output.k[0], dim=1))
    assert torch.equal(term.queue[6:], before[:14])


def test_both_towers_climb_and_the_loss_is_clips(own):
    torch.manual_seed(0)
    learner = own.two_towers(small(), small(5), temperature=0.2)
    views = [torch.randn(6, 12), torch.randn(6, 5)]
    output = learner(views)
    a, b = (nn.functional.normalize(v, dim=1) for v in output.z.values())
    logits, which = a @ b.T / 0.2, torch.arange(6)
    clip = (nn.functional.cross_entropy(logits, which) + nn.functional.cross_entropy(logits.T, which)) / 2
    torch.testing.assert_close(output.loss, clip)
    output.loss.backward()
    assert all(p.grad is not None and p.grad.any() for tower in (learner.f, learner.g) for p in tower.parameters())


def test_vibcreg_reads_correlations_within_views(own):
    torch.manual_seed(0)
    learner = own.vibcreg(small())
    views = [torch.randn(64, 12), torch.randn(64, 12)]
    output = learner(views)
    a, b = output.z.values()
    off = [(torch.corrcoef(z.T) - torch.eye(4)).square().sum() / 16 for z in (a, b)]
    hinge = [(1 - (z.var(0) + 1e-4).sqrt()).relu().mean() for z in (a, b)]
    expected = 25 * (a - b).square().mean() + 25 * sum(hinge) + 200 * sum(off)
    torch.testing.assert_close(output.loss, expected, rtol=1e-3, atol=1e-4)  # the correlations have an eps
