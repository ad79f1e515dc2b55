import json

import numpy as np
import pytest

from infomax.cli import main
from infomax.errors import ConfigError, DataError
from infomax.evaluate.inspect import read_features

NAMES = [f"{row:02d}.png" for row in range(30)]


def features():
    z = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32) + 3
    z[5] = 2 * z[21]
    z[7] *= -1
    return z


@pytest.mark.parametrize("kind", ["npz", "parquet"])
def test_a_file_of_features_is_looked_at_again_without_encoding(tmp_path, capsys, kind):
    path = tmp_path / f"emb.{kind}"
    if kind == "npz":
        np.savez(path, features=features(), names=np.array(NAMES))
    else:
        arrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(arrow.table({"name": NAMES, "feature": list(features())}), path)
    assert main(["inspect", str(path), "--outliers", "1", "--duplicates", "0.99999"]) == 0
    said = capsys.readouterr().out
    assert "30 rows of 6" in said and "07.png" in said.splitlines()[2]
    assert "1 pair of cosine 0.99999" in said and "05.png  21.png" in said
    assert main(["inspect", str(path)]) == 0
    assert "farthest" in (said := capsys.readouterr().out) and "pairs of cosine 0.99 or more" in said
    assert main(["inspect", str(path), "--duplicates", "2"]) == 2 and "(0, 1]" in capsys.readouterr().err


def test_every_near_duplicate_can_be_printed(tmp_path, capsys):
    z = features()
    z[10:] = z[10]  # 190 pairs, and 05 with 21 no more
    np.savez(path := str(tmp_path / "emb.npz"), features=z, names=np.array(NAMES))
    assert main(["inspect", path, "--duplicates", "0.99999"]) == 0
    said = capsys.readouterr().out
    assert said.count(".png  ") == 20 and "the 20 closest" in said and "170 more: --pairs 190 prints all" in said
    assert main(["inspect", path, "--duplicates", "0.99999", "--pairs", "190"]) == 0
    assert (said := capsys.readouterr().out).count(".png  ") == 190 and "more" not in said.splitlines()[-1]
    assert main(["inspect", path, "--pairs", "190"]) == 2 and "--duplicates" in capsys.readouterr().err
    assert (
        main(["inspect", path, "--duplicates", "0.9", "--pairs", "0"]) == 2 and "at least 1" in capsys.readouterr().err
    )


def test_names_with_blanks_are_told_apart_and_json_has_them_as_they_are(tmp_path, capsys):
    names = [f"a {row:02d}.png" for row in range(30)]
    np.savez(path := str(tmp_path / "emb.npz"), features=features(), names=np.array(names))
    asked = ["inspect", path, "--outliers", "1", "--duplicates", "0.99999"]
    assert main(asked) == 0
    assert "  'a 05.png'  'a 21.png'" in (said := capsys.readouterr().out) and "  'a 07.png'\n" in said
    assert main([*asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["file"], told["rows"], told["width"]) == (path, 30, 6)
    assert [one["sample"] for one in told["outliers"]] == ["a 07.png"]
    assert told["duplicates"]["total"] == 1 and told["duplicates"]["pairs"][0]["samples"] == ["a 05.png", "a 21.png"]
    assert main(["inspect", path, "--outliers", "1", "--json"]) == 0
    assert "duplicates" not in json.loads(capsys.readouterr().out)


def test_one_sample_is_said_to_have_no_neighbours(tmp_path, capsys):
    np.savez(path := str(tmp_path / "emb.npz"), features=features()[:1], names=np.array(NAMES[:1]))
    for asked in ([], ["--outliers", "3"], ["--duplicates", "0.9"]):
        assert main(["inspect", path, *asked]) == 0
        assert capsys.readouterr().out.splitlines()[1:] == ["one sample has no neighbours: nothing to compare it with"]


def test_rows_without_names_are_told_by_their_numbers(tmp_path):
    np.savez(tmp_path / "z.npz", features=features())
    assert read_features(tmp_path / "z.npz")[1][:2] == ["0", "1"]


def test_names_of_bytes_are_words(tmp_path):
    np.savez(tmp_path / "z.npz", features=features(), names=np.array([name.encode() for name in NAMES]))
    assert read_features(tmp_path / "z.npz")[1] == NAMES


def test_rows_of_zeros_are_told(tmp_path, capsys):
    z = features()
    for rows, said in ((slice(0), ""), (slice(1), "1 of 30 rows"), (slice(5), "5 of 30 rows")):
        z[rows] = 0
        np.savez(path := str(tmp_path / "emb.npz"), features=z)
        for asked in ([], ["--json"]):
            assert main(["inspect", path, *asked]) == 0
            told = capsys.readouterr().err
            assert said in told and told.count("all zero") == bool(said)


def test_what_holds_no_features_says_so(tmp_path):
    with pytest.raises(DataError, match="infomax embed RUN DATA"):
        read_features(tmp_path / "none.npz")
    with pytest.raises(ConfigError, match=r"\.npz or \.parquet"):
        read_features(tmp_path / "z.csv")
    for arrays, said in (
        ({"x": features()}, "no array named features"),
        ({"features": np.full((2, 2), np.nan)}, "finite"),
        ({"features": np.zeros(3)}, "N x D"),
        ({"features": np.zeros((3, 0))}, "N x D"),
        ({"features": features(), "names": np.array(["a"])}, "1 names"),
        ({"features": features(), "names": np.array("a")}, "30 rows of features but 1 names"),
    ):
        np.savez(tmp_path / "z.npz", **arrays)
        with pytest.raises(DataError, match=said):
            read_features(tmp_path / "z.npz")


def test_a_cosine_that_is_printed_finds_its_pair_as_a_threshold(tmp_path, capsys):
    z = np.eye(4, dtype=np.float32)
    z[1, 0] = 64.5  # of cosine 0.99988, which rounds to 0.9999
    z[3] = 3 * z[2]
    np.savez(path := str(tmp_path / "emb.npz"), features=z)

    def pairs(threshold):
        assert main(["inspect", path, "--duplicates", threshold]) == 0
        return [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]

    found = pairs("0.99")
    assert found == ["1.0000", "0.9998"]
    assert pairs("0.9998") == found and pairs("1") == found[:1]
