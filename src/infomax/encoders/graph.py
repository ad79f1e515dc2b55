"""A graph encoder, using torch-geometric."""

import warnings

from torch import Tensor, nn

from infomax.errors import ConfigError
from infomax.extras import getting


class GCN(nn.Module):
    """Two graph convolutions, each with batch norm and PReLU, as in BGRL.

    `H' = PReLU(BN(D^-1/2 (A + I) D^-1/2 H W))`, twice.

    Args:
        features: F, features of the nodes.
        hidden: width of the first layer.
        width: width of the second layer, the embedding.

    Raises:
        ConfigError: torch-geometric is missing.

    Example:
        >>> import torch
        >>> from infomax.data import sbm
        >>> graph = sbm(nodes=60)
        >>> GCN(32, hidden=16, width=8)((graph.x, graph.edge_index)).shape
        torch.Size([60, 8])

    Source: Kipf & Welling arXiv:1609.02907; Thakoor et al. arXiv:2102.06514.
    """

    def __init__(self, features: int, hidden: int = 512, width: int = 256) -> None:
        super().__init__()
        try:
            with warnings.catch_warnings():
                # Its import still calls torch.jit.script, which newer torch calls deprecated; a user can do nothing
                # about it.
                warnings.filterwarnings("ignore", message=".*torch.jit.script", category=Warning)
                from torch_geometric.nn import GCNConv
        except ImportError as error:
            raise ConfigError(f"encoder gcn needs torch-geometric: {getting('graph')}") from error
        self.features, self.width = features, width
        # BGRL's batch norm forgets slowly: its momentum .99 is .01 in torch's convention.
        self.conv1, self.norm1, self.act1 = GCNConv(features, hidden), nn.BatchNorm1d(hidden, momentum=0.01), nn.PReLU()
        self.conv2, self.norm2, self.act2 = GCNConv(hidden, width), nn.BatchNorm1d(width, momentum=0.01), nn.PReLU()

    def forward(self, graph: tuple[Tensor, Tensor] | Tensor, edge_index: Tensor | None = None) -> Tensor:
        """Map a graph, given as (x, edge_index) or as two arguments, to N x width."""
        if isinstance(graph, Tensor):
            if edge_index is None:
                raise ConfigError("encoder gcn takes a graph: give (x, edge_index)")
            x = graph
        else:
            x, edge_index = graph
        if x.shape[1] != self.features:
            raise ConfigError(
                f"encoder gcn was made for {self.features} features a node, and the data have {x.shape[1]} features: "
                f"im.encoders.get('gcn', channels={x.shape[1]})"
            )
        x = self.act1(self.norm1(self.conv1(x, edge_index)))
        out: Tensor = self.act2(self.norm2(self.conv2(x, edge_index)))
        return out
