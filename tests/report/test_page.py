import json
import re

import numpy as np
import plotly.graph_objects as go
import pytest
from tests_html import Tags

from infomax.errors import DataError
from infomax.report import Page

PNG = b"\x89PNG\r\n\x1a\n" + b"rest"


def full_page():
    page = Page("Toy <study>", "A *lead* & more.").section("One").text("Some **prose**.")
    page.figure(go.Figure(go.Scatter(x=[1, 2], y=[3, 4], name="</script><b>")), "First `figure`")
    page.section("Two").table([{"method": "a<b", "value": 0.12345}], "A table").section("One").image(PNG, "A picture")
    return page.figure(go.Figure(go.Bar(y=[1])))


def test_a_page_is_well_formed_and_names_its_parts():
    tags = Tags(full_page().html())
    assert len(tags.named("h1")) == 1
    assert tags.named("html") == [{"lang": "en"}]
    anchors = [attrs["id"] for attrs in tags.named("h2")]
    assert anchors == ["one", "two", "one-3"]
    assert [attrs["href"] for attrs in tags.named("a")] == [f"#{a}" for a in anchors]
    assert tags.named("img")[0]["alt"] == "A picture"
    captions = {attrs["id"] for attrs in tags.named("figcaption")}
    assert {attrs["aria-labelledby"] for attrs in tags.named("figure")} == captions
    ids = [attrs["id"] for _, attrs in tags.seen if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_a_page_loads_nothing_from_elsewhere():
    text = full_page().html()
    tags = Tags(text)
    sources = [attrs[key] for _, attrs in tags.seen for key in ("src", "srcset", "data") if key in attrs]
    assert all(source.startswith("data:") for source in sources)
    assert tags.named("link") == []
    policy = next(attrs for attrs in tags.named("meta") if "http-equiv" in attrs)["content"]
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy


def test_the_library_goes_in_once_and_only_for_figures():
    text = full_page().html()
    assert text.count("plotly.js v") == 1
    assert len(text) < 6e6
    assert len(Page("x").text("y").html()) < 1e4


def test_figures_survive_the_page():
    text = full_page().html()
    found = re.findall(r'<script type="application/json" id="data-(\d)">(.*?)</script>', text, re.DOTALL)
    assert [number for number, _ in found] == ["0", "1"]
    assert json.loads(found[0][1])["data"][0]["name"] == "</script><b>"


def test_cells():
    rows = [
        {"m": "x", "f": 0.123456, "n": 3, "b": True, "e": 1e-9, "z": np.float32(2.5), "s": "<i>"},
        {"m": "y", "f": float("nan"), "n": None, "b": False, "e": 0.0, "z": 1, "extra": "new"},
    ]
    text = Page("t").table(rows).html()
    cells = re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", text.split("<tbody>")[1])
    assert cells[:8] == ["x", "0.1235", "3", "yes", "1e-09", "2.500", "&lt;i&gt;", "\N{EN DASH}"]
    assert cells[8:] == ["y", "\N{EN DASH}", "\N{EN DASH}", "no", "0.000", "1", "\N{EN DASH}", "new"]
    assert text.count('<th scope="row">') == 2


def test_write_is_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "page.html"
    assert Page("first").write(path) == path
    assert "<h1>first</h1>" in path.read_text(encoding="utf-8")

    class Broken(Page):
        def html(self):
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        Broken("second").write(path)
    assert "<h1>first</h1>" in path.read_text(encoding="utf-8")
    assert [p.name for p in path.parent.iterdir()] == ["page.html"]
    Page("third").write(path)
    assert "<h1>third</h1>" in path.read_text(encoding="utf-8")


def test_a_page_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    for name in ("replace", "fsync"):
        monkeypatch.setattr(f"infomax.files.os.{name}", full)
        with pytest.raises(DataError, match=r"cannot write .*page\.html: the disk is full"):
            Page("Full", "").write(tmp_path / "page.html")
        assert not list(tmp_path.iterdir())


def test_bad_input_is_named(tmp_path):
    with pytest.raises(DataError, match="at least one row"):
        Page("t").table([], "empty")
    with pytest.raises(DataError, match="no PNG"):
        Page("t").image(b"GIF89a")
    with pytest.raises(DataError, match="it is a folder"):
        Page("t").write(tmp_path)


def test_cells_without_a_sign_of_nothing_and_spreads_in_one_piece():
    rows = [{"m": "a", "f": -0.0, "said": "97.5 ± 0.3 (n = 3)", "empty": None}, {"m": "b", "f": 1.5, "said": "a ± b"}]
    text = Page("t").table(rows).html()
    cells = re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", text.split("<tbody>")[1])
    assert cells[1:3] == ["0.000", "97.5 ±\N{NO-BREAK SPACE}0.3 (n = 3)"] and cells[6] == "a ± b"
    assert '<th scope="col" class=number>f' in text and '<th scope="col">empty' in text
