import argparse
import sys
import urllib.error
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

import infomax as im
from infomax import encoders
from infomax.data import sbm
from infomax.errors import ConfigError, DataError


@pytest.mark.parametrize(
    ("name", "channels", "size", "width"),
    [
        ("toy", 2, 1, 3),
        ("mlp", 1, 8, 256),
        ("resnet8", 3, 32, 128),
        ("resnet8", 1, 28, 128),
        ("resnet18", 3, 8, 512),
        ("resnet18", 1, 96, 512),
        ("resnet50", 4, 8, 2048),
        ("torchvision/squeezenet1_1", 1, 64, 512),
        ("torchvision/efficientnet_b0", 3, 32, 1280),
    ],
)
def test_features_are_as_wide_as_said(name: str, channels: int, size: int, width: int) -> None:
    encoder = encoders.get(name, channels=channels, size=size)
    x = torch.randn(2, 2) if name == "toy" else torch.randn(2, channels, size, size)
    z = encoder(x)
    assert encoder.training and z.shape == (2, width)
    assert encoder.width == width == encoders.width_of(encoder)


def test_stems_follow_the_size_of_the_images() -> None:
    small, large = encoders.resnet("resnet18", size=64), encoders.resnet("resnet18", size=96)
    at_layer1: list[torch.Size] = []
    for net, size in ((small, 32), (large, 96)):
        net.body.layer1.register_forward_hook(lambda m, i, o: at_layer1.append(o.shape[-2:]))  # type: ignore[union-attr,operator]
        net.eval()(torch.zeros(1, 3, size, size))
    assert at_layer1 == [(32, 32), (24, 24)]


def test_the_toy_is_the_papers() -> None:
    toy = encoders.Toy()
    assert sum(p.numel() for p in toy.parameters()) == (2 * 64 + 64) + 2 * 64 + (64 * 3 + 3) + 2 * 3
    z = toy(torch.randn(100, 2))
    assert (z.norm(dim=1) - 1).abs().max() < 1e-5
    bare = encoders.get("toy", final_norm=False)
    assert sum(isinstance(m, nn.BatchNorm1d) for m in bare.modules()) == 1
    assert (bare(torch.randn(100, 2)).norm(dim=1) - 1).abs().max() < 1e-5


def test_resnet8_is_small() -> None:
    assert 0.30e6 < sum(p.numel() for p in encoders.ResNet8().parameters()) < 0.32e6


def test_width_is_found_in_each_way() -> None:
    class Named(nn.Module):
        num_features = 17

    assert encoders.width_of(Named()) == 17
    assert encoders.width_of(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5), nn.ReLU())) == 5
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Dropout(), nn.Flatten())
    net[2].eval()
    before = net[1].running_mean.clone()
    assert encoders.width_of(net, torch.randn(2, 3, 4, 4)) == 24
    assert net.training and not net[2].training and torch.equal(net[1].running_mean, before)
    with pytest.raises(ConfigError, match="give it an attribute `width`"):
        encoders.width_of(nn.Conv2d(3, 6, 3))
    with pytest.raises(ConfigError, match="give it an attribute `width`"):  # as wide as the images are large
        encoders.width_of(nn.Sequential(nn.Conv2d(3, 6, 3), nn.Flatten()))
    with pytest.raises(ConfigError, match=r"Conv2d gives shape \(2, 6, 2, 2\): an encoder gives N x D"):
        encoders.width_of(nn.Conv2d(3, 6, 3), torch.randn(2, 3, 4, 4))


def test_an_encoder_begins_with_a_file_of_another_library(tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = torchvision.models.resnet18(num_classes=10).state_dict()

    def begun(held: dict, name: str = "torchvision/resnet18") -> nn.Module:
        torch.save(held, tmp_path / "a.ckpt")
        return encoders.get(name, size=96, init=tmp_path / "a.ckpt")

    def behind(prefix: str, tensors: dict = whole) -> dict:
        return {prefix + n: t for n, t in tensors.items()}

    other = torchvision.models.resnet18().state_dict()
    slow = {n: t for n, t in behind("momentum_backbone.", other).items() if "fc" not in n}
    for held in (
        whole,  # torchvision's own file, with its classifier
        behind("module."),
        {"epoch": 3, "state_dict": slow | behind("backbone.") | {"projector.0.weight": torch.zeros(3)}},
    ):
        for name in ("torchvision/resnet18", "resnet18"):
            ours = begun(held, name).state_dict()
            assert all(torch.equal(t, whole[n.removeprefix("body.")]) for n, t in ours.items())
    ours = begun(behind("f.encoder.", ours)).state_dict()  # the tensors of a learner of our own, without its folder
    assert all(torch.equal(t, whole[n.removeprefix("body.")]) for n, t in ours.items())
    with pytest.raises(ConfigError, match=r"twice, behind 'encoder_q.' and 'encoder_k.'"):
        begun(behind("encoder_q.") | behind("encoder_k.", other))
    with pytest.raises(ConfigError, match="the weights of another encoder"):
        begun(torchvision.models.resnet34().state_dict())  # it has all tensors of a ResNet-18, in their shapes


class Mean:
    """What only the code of whoever wrote it knows."""

    def __reduce__(self) -> tuple:
        return (print, ("code of a file was run",))


class Options(dict):
    pass


def test_what_a_checkpoint_holds_beside_tensors_is_neither_run_nor_in_the_way(tmp_path: Path, capsys) -> None:
    file, whole = tmp_path / "last.ckpt", torchvision.models.resnet18()
    lightning = {"state_dict": {f"backbone.{n}": t for n, t in whole.state_dict().items()}, "epoch": 3}
    others = {
        "hyper_parameters": argparse.Namespace(lr=0.1, data=Path("photos")),
        "callbacks": {"mean": [Mean(), np.float64(2.0)]},
    }
    torch.save(lightning | others, file)
    encoder = im.encoders.get("torchvision/resnet18", init=file)
    assert torch.equal(encoder.state_dict()["body.conv1.weight"], whole.conv1.weight)
    assert capsys.readouterr().out == "" and "Inert" not in str(torch.serialization.get_safe_globals())
    torch.save(lightning | {"hyper_parameters": Options(lr=0.1)}, file)  # a dict of its own is filled by its own code
    with pytest.raises(
        DataError, match=r"holds more than tensors.*: where you trust it, .*weights_only=False\)\['state_dict'\]"
    ):
        im.encoders.get("torchvision/resnet18", init=file)
    torch.save({"state_dict": {"backbone.weight": Mean()}}, file)
    with pytest.raises(DataError, match="holds no tensors by name"):
        im.encoders.get("torchvision/resnet18", init=file)


def test_layers_that_a_sequence_has_numbered_are_found_by_their_places(tmp_path: Path) -> None:
    file, models = tmp_path / "old.ckpt", torchvision.models
    for build in (
        lambda n: im.encoders.get(f"torchvision/{n}", init=file),
        lambda n: im.encoders.get(n, size=96, init=file),
    ):
        whole = models.resnet18()
        cut = nn.Sequential(*list(whole.children())[:-1])
        head = {"projection_head.layers.0.weight": torch.zeros(3, 512)}
        for prefix in ("backbone.", "", "model.backbone."):
            torch.save({"state_dict": {prefix + n: t for n, t in cut.state_dict().items()} | head}, file)
            ours = build("resnet18").state_dict()
            assert all(torch.equal(t, whole.state_dict()[n.removeprefix("body.")]) for n, t in ours.items())
        torch.save(nn.Sequential(whole, nn.Flatten()).state_dict(), file)  # 0.conv1.weight
        assert torch.equal(build("resnet18").state_dict()["body.conv1.weight"], whole.conv1.weight)
        larger = nn.Sequential(*list(models.resnet34().children())[:-1])
        torch.save({f"backbone.{n}": t for n, t in larger.state_dict().items()}, file)
        with pytest.raises(ConfigError, match="weights of another encoder"):
            build("resnet18")


def test_backbones_as_people_cut_them_say_their_width() -> None:
    headless = torchvision.models.resnet18()
    headless.fc = nn.Identity()
    cut = nn.Sequential(*list(torchvision.models.resnet18().children())[:-1], nn.Flatten())
    for net in (headless, cut):
        before = net.state_dict()["bn1.running_mean" if net is headless else "1.running_mean"].clone()
        assert encoders.width_of(net) == 512 and net.training
        after = net.state_dict()["bn1.running_mean" if net is headless else "1.running_mean"]
        assert torch.equal(after, before)


@pytest.mark.parametrize(
    ("encoder", "said"),
    [
        (lambda: encoders.get("resnet8", channels=1), r"channels: im.encoders.get\('resnet8', channels=3\)"),
        (lambda: Classifier(), "it says 6 features and gives 10: take its classifier off"),
        (lambda: Unpooled(), r"Unpooled gives shape \(2, 6, 14, 14\): an encoder gives N x D, add pooling"),
    ],
)
def test_an_encoder_that_cannot_take_the_data_says_what_to_ask_for(encoder, said) -> None:
    data = torch.randint(0, 256, (16, 16, 16, 3), dtype=torch.uint8)
    with pytest.raises(ConfigError, match=said):
        im.train(im.methods.simclr(encoder(), projector=(8,)), data, epochs=1, progress=False)


class Unpooled(nn.Conv2d):
    num_features = 6

    def __init__(self) -> None:
        super().__init__(3, 6, 3)


class Classifier(nn.Sequential):
    """As timm's are: what it says is the width before its classifier."""

    num_features = 6

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 10))


def test_an_encoder_for_other_features_of_nodes_is_told_how_it_is_built() -> None:
    pytest.importorskip("torch_geometric")
    graph = im.data.sbm(nodes=30)
    with pytest.raises(ConfigError, match=r"the data have 32 features: im.encoders.get\('gcn', channels=32\)"):
        im.train(im.methods.bgrl(encoders.get("gcn")), graph, epochs=1, progress=False)
    with pytest.raises(ConfigError, match=r"gcn: features is said by im.encoders.get\('gcn', channels=\)"):
        encoders.get("gcn", features=32)
    with pytest.raises(ConfigError, match=r"mlp: inputs is said by im.encoders.get\('mlp', channels=, size=\)"):
        encoders.get("mlp", inputs=32)


def test_gcn_is_the_formula() -> None:
    graph = sbm(nodes=40, features=8)
    net = encoders.get("gcn", channels=8, hidden=16, width=4)
    adjacency = torch.zeros(40, 40)
    adjacency[graph.edge_index[0], graph.edge_index[1]] = 1.0
    adjacency += torch.eye(40)
    degree = adjacency.sum(dim=1) ** -0.5
    spread = degree[:, None] * adjacency * degree

    net.eval()
    h = graph.x
    for conv, norm, act in ((net.conv1, net.norm1, net.act1), (net.conv2, net.norm2, net.act2)):  # type: ignore[union-attr]
        h = act(norm(spread @ (h @ conv.lin.weight.T) + conv.bias))  # type: ignore[operator,union-attr]
    together = net((graph.x, graph.edge_index))
    assert (together - h).abs().max() < 1e-5 and encoders.width_of(net) == 4
    assert torch.equal(net(graph.x, graph.edge_index), together)
    with pytest.raises(ConfigError, match="takes a graph"):
        net(graph.x)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("rsnet18", {}, "did you mean 'resnet18'"),
        (
            "auto",
            {},
            "encoder auto is chosen by data, which im.encoders.get does not see: name one: resnet8 for images",
        ),
        ("torchvision/resnet19", {}, "did you mean resnet18"),
        ("torchvision/zzzz", {}, "it lists"),
        (
            "torchvision/squeezenet1_1",
            {"foo": 1},
            "torchvision/squeezenet1_1 cannot be built for images of 32 x 32 with foo=1",
        ),
        ("torchvision/squeezenet1_1", {"weights": "DEFAULT"}, "weights='DEFAULT': say init='pretrained'"),
        ("torchvision/vit_b_16", {"size": 30}, "torchvision/vit_b_16 cannot be built for images of 30 x 30"),
        ("torchvision/squeezenet1_1", {"size": 8}, "torchvision/squeezenet1_1 cannot take images of 3 x 8 x 8"),
        ("toy", {"final_nrm": False}, "encoder toy: got an unexpected keyword argument 'final_nrm'"),
        ("mlp", {"depth": 0}, "at least 1 layer"),
        ("mlp", {"size": 0}, "both are at least 1"),
    ],
)
def test_impossible_encoders_say_what_to_do(name: str, options: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        encoders.get(name, **options)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_an_mlp_of_another_size_says_so() -> None:
    with pytest.raises(ConfigError, match="mlp takes 64 numbers a sample, a batch of shape"):
        encoders.get("mlp", channels=1, size=8)(torch.zeros(2, 1, 9, 9))


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [("timm/resnet18", "timm", "timm"), ("gcn", "torch_geometric.nn", "graph")],
)
def test_a_missing_package_names_its_extra(
    name: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError) as caught:
        encoders.get(name)
    assert f"uv sync --inexact --extra {extra}" in str(caught.value)


def test_vision_transformers_of_timm_take_small_views_too_and_read_the_native_size_as_before() -> None:
    timm = pytest.importorskip("timm", reason="needs the extra infomax[timm]")
    options = {"depth": 2, "patch_size": 8}
    torch.manual_seed(0)
    ours = encoders.get("timm/vit_tiny_patch16_224", size=32, **options).eval()
    torch.manual_seed(0)
    theirs = timm.create_model("vit_tiny_patch16_224", num_classes=0, img_size=32, **options).eval()
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(ours(x), theirs(x))
    images = torch.randint(0, 256, (8, 32, 32, 3), dtype=torch.uint8)
    learner = im.methods.dino(ours, projector=(8,), prototypes=8)
    asked = {"views": "dino", "local_views": 1, "size": 32, "epochs": 1, "batch_size": 4, "progress": False}
    im.train(learner, images, **asked)  # local views of 16 pixels
    with pytest.raises(ConfigError, match=r"cannot take views .*\(2, 3, 16, 16\).*Wrong image height"):
        other = torchvision.models.VisionTransformer(32, 16, 1, 1, hidden_dim=8, mlp_dim=16, num_classes=8)
        im.train(im.methods.dino(other, projector=(8,), prototypes=8), images, **asked)


def test_timm_models_by_name() -> None:
    pytest.importorskip("timm", reason="needs the extra infomax[timm]")
    for name, channels, size, width in [("resnet18", 1, 32, 512), ("vit_tiny_patch16_224", 3, 64, 192)]:
        encoder = encoders.get(f"timm/{name}", channels=channels, size=size)
        assert encoder(torch.zeros(2, channels, size, size)).shape == (2, width) and encoder.width == width
    with pytest.raises(ConfigError, match="did you mean"):
        encoders.get("timm/resnet_18")
    with pytest.raises(ConfigError, match=r"timm/resnet18\.nope cannot be built .*Invalid pretrained tag"):
        encoders.get("timm/resnet18.nope")


def test_a_run_from_pretrained_weights_is_read_back_where_they_are_gone(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm", reason="needs the extra infomax[timm]")
    start = tmp_path / "start.pth"
    torch.save(timm.create_model("resnet10t").state_dict(), start)
    options = {"pretrained": True, "pretrained_cfg_overlay": {"file": str(start)}}
    encoder = encoders.get("timm/resnet10t", size=32, **options)
    assert torch.equal(encoder.body.conv1[0].weight, torch.load(start)["conv1.0.weight"])  # type: ignore[union-attr,index]
    data = torch.randint(0, 256, (16, 32, 32, 3), dtype=torch.uint8)
    learner = im.methods.jmi(encoder, projector=(8,))
    im.train(learner, data, epochs=1, batch_size=8, out=tmp_path / "run", progress=False)
    start.unlink()
    again = im.Run.load(tmp_path / "run")
    assert again.learner.encoder.recipe == {"name": "timm/resnet10t", "channels": 3, "size": 32, **options}
    assert all(torch.equal(a, b) for a, b in zip(again.learner.parameters(), learner.parameters(), strict=True))


def test_weights_that_cannot_be_fetched_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    timm = pytest.importorskip("timm", reason="needs the extra infomax[timm]")

    def offline(*_: object, **__: object) -> None:
        raise FileNotFoundError("cannot find the requested files in the local cache\nsecond line")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(
        DataError, match=r"^the weights of timm/resnet18 cannot be fetched .*local cache second line\): on a"
    ):
        encoders.get("timm/resnet18", init="pretrained")


def published(name: str, home: Path, monkeypatch: pytest.MonkeyPatch, **options: bool) -> nn.Module:
    """A model whose weights lie in torch's cache as if torchvision's had been fetched."""
    from torchvision import models

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(home))
    net = models.get_model(name, weights=None, **options)
    (home / "checkpoints").mkdir(exist_ok=True)
    file = models.get_model_weights(name).DEFAULT.url.split("/")[-1]
    torch.save(net.state_dict(), home / "checkpoints" / file)
    net.fc = nn.Identity()
    return net.eval()


@pytest.mark.parametrize("name", ["torchvision/resnet18", "resnet18"])
def test_published_weights_are_taken_and_grey_is_seen_as_equal_colours(name, tmp_path, monkeypatch) -> None:
    net = published("resnet18", tmp_path, monkeypatch)
    x = torch.randn(2, 1, 96, 96)
    for channels in (1, 3):
        encoder = encoders.get(name, channels=channels, size=96, init="pretrained").eval()
        torch.testing.assert_close(encoder(x.expand(-1, channels, -1, -1)), net(x.expand(-1, 3, -1, -1)))
    assert encoder.recipe["init"] == "pretrained"
    monkeypatch.setattr(torch.hub, "get_dir", lambda: "/nowhere")  # read back, nothing is fetched
    assert encoders.again(encoder.recipe).recipe == encoder.recipe


@pytest.mark.parametrize("asked", [{"init": "pretrained"}, {"pretrained": True}])
def test_a_model_that_normalises_what_it_sees_does_so_when_it_is_read_back(asked, tmp_path, monkeypatch) -> None:
    published("googlenet", tmp_path, monkeypatch, init_weights=False)
    encoder = encoders.get("torchvision/googlenet", size=64, **asked).eval()
    again = encoders.again(encoder.recipe).eval()
    again.load_state_dict(encoder.state_dict())
    x = torch.randn(2, 3, 64, 64)
    assert torch.equal(again(x), encoder(x))
    with pytest.raises(ConfigError, match="of 3 channels; these images have 1"):
        encoders.get("torchvision/googlenet", channels=1, size=64, **asked)


def test_published_weights_that_cannot_be_are_one_line(tmp_path, monkeypatch) -> None:
    published("resnet18", tmp_path, monkeypatch)
    with pytest.raises(ConfigError, match="CIFAR stem"):
        encoders.get("resnet18", size=32, init="pretrained")
    with pytest.raises(ConfigError, match="resnet8 has no published weights"):
        encoders.get("resnet8", init="pretrained")
    with pytest.raises(ConfigError, match="of 3 channels"):
        encoders.get("torchvision/resnet18", channels=4, size=96, init="pretrained")
    with pytest.raises(ConfigError, match="init='pretrained' instead"):
        encoders.get("torchvision/resnet18", weights="DEFAULT")

    def offline(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    with pytest.raises(DataError, match=r"cannot be fetched \(no network\).*resnet34-.*\.pth"):
        encoders.get("resnet34", size=96, init="pretrained")


def test_torch_says_nothing_of_its_own_where_weights_are_fetched_or_cannot_be(tmp_path, monkeypatch, capsys) -> None:
    from torchvision import models

    def offline(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no network")

    def fetched(url: str, path: str, *_: object, **__: object) -> None:
        torch.save(models.get_model("squeezenet1_1").state_dict(), path)
        sys.stderr.write("\r100%")

    url = models.get_model_weights("squeezenet1_1").DEFAULT.url
    file = tmp_path / "checkpoints" / url.split("/")[-1]
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "urlopen", offline)
    with pytest.raises(DataError) as error:
        encoders.get("torchvision/squeezenet1_1", size=64, init="pretrained")
    said = (
        f"on a machine without a network, put {url} at {file}, or begin with a file of weights (--init FILE, init=FILE)"
    )
    assert str(error.value).endswith(said)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(torch.hub, "download_url_to_file", fetched)
    encoders.get("torchvision/squeezenet1_1", size=64, init="pretrained")
    assert capsys.readouterr().err == f"fetching the weights of torchvision/squeezenet1_1: {url}\n\r100%"


def test_an_encoder_begins_with_those_of_a_run_or_a_file(tmp_path: Path) -> None:
    data = torch.randint(0, 256, (16, 16, 16, 3), dtype=torch.uint8)
    first = im.methods.simclr(encoders.get("resnet8"), projector=(8,))
    im.train(first, data, epochs=1, batch_size=8, out=tmp_path / "run", progress=False)
    torch.save(first.encoder.state_dict(), tmp_path / "encoder.pt")
    for source in (tmp_path / "run", tmp_path / "run" / "learner.safetensors", str(tmp_path / "encoder.pt")):
        encoder = encoders.get("resnet8", init=source)
        ours, theirs = encoder.state_dict(), first.encoder.state_dict()
        assert all(torch.equal(ours[n], theirs[n]) for n in theirs) and encoder.recipe["init"] == str(source)
    with pytest.raises(ConfigError, match=r"another encoder.*and .* here"):
        encoders.get("resnet8", channels=1, init=tmp_path / "run")
    with pytest.raises(ConfigError, match=r"another encoder.*and .* here"):
        encoders.get("resnet8", channels=1, init=tmp_path / "encoder.pt")
    bad = tmp_path / "bad.pt"
    bad.write_bytes(b"not a file of tensors")
    for source, said in (
        (bad, "no weights can be read"),
        (tmp_path, "holds no learner"),
        (tmp_path / "no", "no weights"),
    ):
        with pytest.raises(DataError, match=said):
            encoders.get("resnet8", init=source)


def test_weights_of_before_batch_norms_counted_and_of_two_encoders(tmp_path: Path) -> None:
    first, second = encoders.get("resnet8"), encoders.get("resnet8")
    old = {n: t for n, t in first.state_dict().items() if not n.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "old.pt")
    found = encoders.get("resnet8", init=tmp_path / "old.pt").state_dict()
    assert all(torch.equal(found[n], t) for n, t in old.items())

    def both(one: str, other: str) -> Path:
        sides = ((one, first), (other, second))
        torch.save({f"{p}.{n}": t for p, e in sides for n, t in e.state_dict().items()}, tmp_path / "both.pt")
        return tmp_path / "both.pt"

    found = encoders.get("resnet8", init=both("backbone", "momentum_backbone")).state_dict()
    assert all(torch.equal(found[n], t) for n, t in old.items())
    for names in (("query_encoder", "key_encoder"), ("backbone", "ema")):
        with pytest.raises(ConfigError, match="holds such an encoder twice"):
            encoders.get("resnet8", init=both(*names))


@pytest.mark.parametrize(("name", "place"), [("resnet18", "fc"), ("mobilenet_v3_small", "classifier[3]")])
def test_a_classifier_that_was_left_on_is_warned_of_with_the_line_that_takes_it_off(name, place):
    encoder = getattr(torchvision.models, name)()
    with pytest.warns(UserWarning, match=r"has its classifier on, .* 1000 scores") as said:
        im.methods.simclr(encoder, projector=(8,))
    line = f"encoder.{place} = torch.nn.Identity()"
    assert len(said) == 1 and str(said[0].message).endswith(f"take it off, {line}")
    exec(line)  # as it says
    with warnings.catch_warnings(action="error"):
        im.methods.simclr(encoder, projector=(8,))
        im.methods.simclr(nn.Sequential(nn.Linear(8, 1000)), projector=(8,))  # no classifier
        im.methods.simclr(im.encoders.get("torchvision/resnet18"), projector=(8,))
