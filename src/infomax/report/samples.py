"""The samples of a page: which are shown, what they look like, and what each run makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from infomax.data import Dataset, Graph, gather
from infomax.data.encoded import Encoded
from infomax.data.order import spread
from infomax.report.pictures import Sheet, names, thumbnails, words

if TYPE_CHECKING:
    from infomax.report.subject import Subject

MOST_POINTS = 1000
CLUSTERS = 10  # where there are no labels to say how many


@dataclass
class Samples:
    """Some rows of one data set, and the runs that are shown on them.

    Args:
        subjects: whose data these are.
        data: the data set.
        rows: n rows of it, ascending.
        features: n x D of each run whose encoder is at hand, by its name.
        clusters: n numbers of each of these runs, by its name.
        sheet: n pictures, or None.
        names: n.
        words: n, where there are no pictures.
        labels: n int64, or None.
        style: of the class of CSS that shows the sheet.
    """

    subjects: "list[Subject]"
    data: Dataset
    rows: Tensor
    features: dict[str, Tensor] = field(default_factory=dict)
    clusters: dict[str, list[int]] = field(default_factory=dict)
    sheet: Sheet | None = None
    names: list[str] = field(default_factory=list)
    words: list[str] | None = None
    labels: Tensor | None = None
    style: str = "sheet-0"

    def places(self, rows: Tensor) -> list[int]:
        """Where some rows of the data set lie among these."""
        return torch.searchsorted(self.rows, rows).tolist()

    def label(self, place: int) -> str:
        """The label of one in words, or nothing."""
        if self.labels is None:
            return ""
        number, classes = int(self.labels[place]), self.data.classes
        return str(classes[number]) if classes and 0 <= number < len(classes) else str(number)


class _Some(Encoded):
    """Some rows of images on a disk, decoded as they are used."""

    def __init__(self, images: Encoded, rows: Tensor) -> None:
        super().__init__(len(rows), images.shape)
        self.images, self.chosen = images, rows.tolist()

    def decode(self, rows: Sequence[int]) -> list[Tensor]:
        return self.images.decode([self.chosen[row] for row in rows])


def samples_of(subjects: "Sequence[Subject]") -> list[Samples]:
    """The samples that a page shows, a set of them for each data set at hand."""
    groups: dict[int, list[Subject]] = {}
    for subject in subjects:
        if subject.data is not None:
            groups.setdefault(id(subject.data), []).append(subject)
    return [_looked_at(group, f"sheet-{number}") for number, group in enumerate(groups.values())]


def _looked_at(subjects: "list[Subject]", style: str) -> Samples:
    data = subjects[0].data
    assert data is not None
    shown = [s.frames.rows for s in subjects if s.own and s.frames is not None]
    shown = [rows for rows in shown if int(rows.max()) < len(data)]
    spare = max(MOST_POINTS - max((len(rows) for rows in shown), default=0), 0)
    everywhere = torch.arange(len(data)) if isinstance(data, Graph) else spread(data.images, max(spare, 2))
    if len(everywhere) > spare:
        everywhere = everywhere[torch.linspace(0, len(everywhere) - 1, max(spare, 2)).long()]
    rows = torch.unique(torch.cat([*shown, everywhere]))
    made = Samples(subjects, data, rows, names=names(data, rows), words=words(data, rows), style=style)
    made.labels = None if data.labels is None else data.labels[rows]
    made.sheet = thumbnails(data, rows)
    for subject in subjects:
        if subject.learner is not None:
            z = encoded(subject, data, rows)
            made.features[subject.name] = z
            classes = 0 if made.labels is None else len(torch.unique(made.labels))
            made.clusters[subject.name] = clusters(z, classes or CLUSTERS)
    return made


def encoded(subject: "Subject", data: Dataset, rows: Tensor) -> Tensor:
    """Features of some rows; of a graph, whose nodes hang together, all are computed."""
    from infomax.evaluate.features import features, fits
    from infomax.training.run import Run

    assert subject.learner is not None
    asked = subject.config["data"]
    some = data
    if not isinstance(data, Graph):
        images = _Some(data.images, rows) if isinstance(data.images, Encoded) else gather(data.images, rows)
        some = Dataset(images, mean=data.mean, std=data.std)
    z = features(
        subject.learner.encoder,
        some,
        fits(Run(subject.learner, dict(subject.config)), data),
        statistics=(asked["mean"], asked["std"]),
    )
    return z[rows] if isinstance(data, Graph) else z


def clusters(z: Tensor, count: int) -> list[int]:
    """k-means of unit rows: the number of each one's cluster, the largest first.

    Example:
        >>> clusters(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.1, 1.0]]), 2)
        [1, 0, 0]
    """
    from sklearn.cluster import KMeans

    unit = F.normalize(z.float(), dim=-1).numpy()
    distinct = len(torch.unique(torch.from_numpy(unit), dim=0))
    found = KMeans(min(count, distinct), n_init=3, random_state=0).fit_predict(unit)
    numbers = torch.from_numpy(found).long()
    order = torch.bincount(numbers).argsort(descending=True, stable=True)
    place = torch.empty_like(order).scatter_(0, order, torch.arange(len(order)))
    return [int(k) for k in place[numbers]]
