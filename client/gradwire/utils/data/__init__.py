"""Data sets, the order in which they are read, and batches made of them, as in `torch.utils.data`.

All of it runs in the script's own process; only the tensors of a batch live on the worker.
"""

from gradwire.utils.data.collate import default_collate, default_convert
from gradwire.utils.data.dataloader import DataLoader
from gradwire.utils.data.dataset import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    random_split,
)
from gradwire.utils.data.sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler

__all__ = [
    "BatchSampler",
    "ChainDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "TensorDataset",
    "default_collate",
    "default_convert",
    "random_split",
]
