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
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)
from gradwire.utils.data.distributed import DistributedSampler
from gradwire.utils.data.prefetching import prefetch
from gradwire.utils.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from gradwire.utils.data.workers import get_worker_info

__all__ = [
    "BatchSampler",
    "ChainDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "DistributedSampler",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "StackDataset",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "default_collate",
    "default_convert",
    "get_worker_info",
    "prefetch",
    "random_split",
]
