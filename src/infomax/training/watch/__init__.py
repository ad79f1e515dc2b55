"""What is read off a run while it trains, off its gradient (docs/collapse.md).

| file | what |
|---|---|
| `beside.py` | all of it, in the order in which a run does it |
| `collapse.py` | is it collapsing? a look at some batches, and what is said at the first sign |
| `state.py` | how it ended, in a few words |
| `monitor.py` | gauges of fixed samples after every epoch: mutual information, rank, std |
| `online.py` | accuracies of labelled data: a linear probe and nearest neighbours |
| `frames.py` | the embedding of a few samples by epoch, for the page |
"""
