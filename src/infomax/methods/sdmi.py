"""The paper's self-distillation prototype: two encoders that maximise one bound in turn (Algorithm 1)."""

from typing import Literal

from torch import nn

from infomax.critic import Cosine
from infomax.heads import Branch, Head
from infomax.joint import Alignment
from infomax.learner import Learner
from infomax.marginal import DonskerVaradhan
from infomax.methods.registry import method
from infomax.target import Twin


@method
def sdmi(
    encoder: nn.Module,
    *,
    projector: Head = (2048, 256),
    temperature: float = 0.1,
    every: Literal["epoch", "batch"] = "epoch",
) -> Learner:
    """SDMI: E-step maximises DV(f(x1), SG g(x2)), M-step DV(g(x1), SG f(x2)), over both view orders (paper, Algorithm 1).

    loss_E = -1/2 [DV(f(x1), SG g(x2)) + DV(f(x2), SG g(x1))], and loss_M with f and g exchanged;
    DV(a, b) = mean_i T_ii - log mean_{i != j} e^T_ij, T = cos/temperature

    Args:
        encoder: f, view -> N x width; g has the same architecture and its own weights.
        projector: widths of its layers, with batch norm between them.
        temperature: temperature of the cosine critic, in both terms.
        every: what alternates: whole passes over the data (`epoch`, as in the paper) or updates on one `batch`. An
            epoch is an E-pass and an M-pass: twice the updates of the other methods.

    Where the paper errs: eq. 6 promises a bound that never decreases; that holds only if each step is maximised
    exactly.

    Example:
        >>> learner = sdmi(nn.Linear(8, 16), projector=(4,))
        >>> bool((learner.f.encoder.weight == learner.g.encoder.weight).all())
        False
    """
    cos = Cosine(temperature)
    return Learner(Branch(encoder, projector), Twin(every), Alignment(cos), DonskerVaradhan(cos), name="sdmi")
