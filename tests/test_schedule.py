import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infomax.errors import ConfigError
from infomax.schedule import ema_tau, teacher_temperature, warmup_cosine

ORACLES = Path(__file__).resolve().parents[2] / "shared" / "oracles"
needs_oracles = pytest.mark.skipif(not ORACLES.is_dir(), reason="needs ../shared/oracles")


@given(total=st.integers(1, 500), share=st.floats(0, 1), base=st.floats(1e-6, 10), final=st.floats(0, 1e-6))
def test_warmup_cosine_rises_to_its_peak_then_falls(total, share, base, final):
    warmup = int(share * total)
    values = [warmup_cosine(k, total, warmup, base, final) for k in range(total + 2)]
    assert values[-1] == values[-2] == final
    assert all(x <= y for x, y in pairwise(values[: warmup + (warmup < total)]))
    assert all(x >= y for x, y in pairwise(values[warmup:]))
    if warmup < total:
        assert values[warmup] == pytest.approx(base)


def test_golden_values():
    assert warmup_cosine(0, 300, 50, 1.2) == 0.0
    assert warmup_cosine(25, 300, 50, 1.2) == pytest.approx(0.6)
    assert warmup_cosine(175, 300, 50, 1.2) == pytest.approx(0.6)
    assert warmup_cosine(175, 300, 50, 1.2, final=0.2) == pytest.approx(0.7)
    assert ema_tau(0, 200, 0.996) == pytest.approx(0.996, rel=1e-15)
    assert ema_tau(100, 200, 0.996) == pytest.approx(0.998, rel=1e-15)
    assert [ema_tau(k, 200, 0.99, 0.999) for k in (0, 100, 200, 300)] == pytest.approx([0.99, 0.9945, 0.999, 0.999])
    assert ema_tau(199, 200, 0.996) < ema_tau(200, 200, 0.996) == ema_tau(10**6, 200, 0.996) == 1.0


def test_teacher_temperature_is_numpys_linspace_then_flat():
    for warmup in (0, 1, 2, 7):
        line = [*np.linspace(0.04, 0.07, warmup), *[0.07] * 3]
        assert [teacher_temperature(e, warmup, 0.04, 0.07) for e in range(warmup + 3)] == pytest.approx(line)


@pytest.mark.shared
@needs_oracles
@pytest.mark.parametrize("path", sorted(ORACLES.glob("lr_schedules_*.npz")), ids=lambda p: p.stem)
def test_learning_rates_equal_the_authors(path):
    data = np.load(path)
    iterations = data["input_iteration"].tolist()
    total, per_epoch = len(iterations), len(iterations) // len(data["input_epoch"])
    mocov3 = [warmup_cosine(k, total, 5 * per_epoch, 1.2) for k in iterations]
    np.testing.assert_allclose(mocov3, data["out_mocov3"], rtol=1e-10, atol=1e-15)
    byol = [warmup_cosine(k, total, 100, 0.2 * 1024 / 256) for k in iterations]
    np.testing.assert_allclose(byol, data["out_byol"], rtol=1e-6)
    dino_decay = [warmup_cosine(k, total, 0, 0.04, 0.4) for k in iterations]
    np.testing.assert_allclose(dino_decay, data["out_dino_weight_decay"], rtol=1e-10)


@pytest.mark.shared
@needs_oracles
@pytest.mark.parametrize("path", sorted(ORACLES.glob("ema_schedule_*.npz")), ids=lambda p: p.stem)
def test_target_momentum_equals_the_authors(path):
    data = np.load(path)
    meta = json.loads(str(data["meta"]))
    taus = [ema_tau(k, meta["max_steps"], meta["base"]) for k in data["input_steps"].tolist()]
    np.testing.assert_allclose(taus, data["out_tau"], rtol=1e-10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: warmup_cosine(-1, 10, 0, 1.0), "step must be at least 0"),
        (lambda: warmup_cosine(0, 10, 11, 1.0), "does not fit a run of 10 steps"),
        (lambda: ema_tau(0, 0, 0.9), "total at least 1"),
        (lambda: ema_tau(0, 10, 1.1), r"base must lie in \[0, 1\]"),
        (lambda: ema_tau(0, 10, 0.9, -1.0), r"final must lie in \[0, 1\]"),
        (lambda: teacher_temperature(-1, 2), "count from 0"),
        (lambda: teacher_temperature(0, 2, start=0.0), "must be positive"),
    ],
)
def test_bad_settings_are_named(call, message):
    with pytest.raises(ConfigError, match=message):
        call()
