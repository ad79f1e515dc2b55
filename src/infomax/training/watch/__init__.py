"""What is measured on a run while it trains, outside its gradient (docs/collapse.md).

| file | what |
|---|---|
| `beside.py` | all of it, in the order in which a run does it |
| `collapse.py` | the collapse watch: checks some batches, and warns at the first sign |
| `state.py` | how the run ended, in a few words |
| `monitor.py` | gauges on fixed samples after every epoch: mutual information, rank, std |
| `online.py` | accuracies for labelled data: a linear probe and nearest neighbours |
| `frames.py` | the embedding of a few samples by epoch, for the page |
"""
