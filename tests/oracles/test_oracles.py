import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
import check
import golden

SHARED = Path(__file__).resolve().parents[3] / "shared" / "oracles"
DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])


@pytest.fixture(scope="module")
def goldens(tmp_path_factory):
    return golden.write(tmp_path_factory.mktemp("goldens"))


@DTYPES
def test_every_golden_case_agrees(goldens, dtype):
    lines = [line for ok, line in (check.check(path, dtype) for path in goldens) if not ok]
    assert not lines, "\n".join(lines)


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/oracles")
@DTYPES
def test_the_authors_numbers_agree(dtype):
    found = check.files([SHARED])
    assert found
    lines = [line for ok, line in (check.check(path, dtype) for path in found) if not ok]
    assert not lines, "\n".join(lines)


def test_every_expected_number_is_compared(goldens, tmp_path):
    """Spoil one number at a time by a millionth of the largest: each spoiled file must fail, and say where."""
    for path in goldens:
        with np.load(path) as archive:
            whole = dict(archive)
        for key in whole:
            if not key.startswith(("loss", "grad_", "out_")) or key == "out_queue_ptr_before":
                continue
            spoiled = np.array(whole[key], dtype=float)
            at = np.abs(spoiled).argmax()
            spoiled.flat[at] += 1e-6 * abs(spoiled.flat[at]) + 1e-9
            if key == "out_mocov3" or key == "out_byol":
                spoiled.flat[at] *= 1 + 1e-5  # published in single precision
            copy = tmp_path / path.name
            np.savez(copy, **{**whole, key: spoiled})
            ok, line = check.check(copy)
            assert not ok, f"{key} of {path.stem} was spoiled and still passes"
            assert "FAIL" in line


@pytest.mark.parametrize("by", [0.01, 0.5])
def test_a_gradient_that_is_off_fails_in_single_precision_too(goldens, tmp_path, by):
    for path in goldens:
        if path.stem.startswith("wmse") and by < 0.5:  # of nearly dependent rows a hundredth is rounding
            continue
        with np.load(path) as archive:
            whole = dict(archive)
        for key in whole:
            if not key.startswith("grad_") or np.abs(whole[key]).max() < 0.003:  # as small as what rounding leaves
                continue
            np.savez(tmp_path / path.name, **{**whole, key: whole[key] * (1 + by)})
            assert not check.check(tmp_path / path.name, torch.float32)[0], (
                f"{key} of {path.stem} off by {by:.0%} passes"
            )


def test_a_gradient_that_leaks_into_a_target_fails(goldens, tmp_path):
    path = next(p for p in goldens if p.stem.startswith("simclr_N5"))
    with np.load(path) as archive:
        whole = dict(archive)
    del whole["grad_z2"]  # the file now says that z2 is stopped
    np.savez(tmp_path / path.name, **whole)
    ok, line = check.check(tmp_path / path.name)
    assert not ok
    assert "stopped_z2" in line


def test_what_cannot_be_read_is_unsupported_and_fails(tmp_path, capsys):
    np.savez(tmp_path / "odd.npz", meta='{"method": "telepathy"}', loss=1.0)
    np.savez(tmp_path / "bare.npz", meta='{"method": "simclr", "temperature": 1}', loss=1.0)
    assert check.main([str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "odd: unsupported: no method 'telepathy'" in said
    assert "bare: unsupported: it has no 'input_z1'" in said
    assert check.main([str(tmp_path / "odd.npz"), "--dtype", "float32"]) == 1


def test_the_command_ends_well_when_all_agree(goldens, capsys):
    some = [str(path) for path in goldens[:3]]
    assert check.main(some) == 0
    assert "3 of 3 ok in float64" in capsys.readouterr().out
    assert check.main([str(Path(some[0]).parent / "empty")]) == 1
