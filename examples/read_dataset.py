"""Read the samples of a dataset that `tacdiff dataset` wrote.

python examples/read_dataset.py DATASET [--split train]
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

from tacdiff_ros.dataset.plan import SPLITS
from tacdiff_ros.dataset.reader import SampleReader
from tacdiff_ros.dataset.store import open_dataset

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("dataset", type=Path)
parser.add_argument("--split", choices=SPLITS, default="train")
parser.add_argument("--count", type=int, default=5, help="number of samples to print")
options = parser.parse_args()

reader = SampleReader(open_dataset(options.dataset), options.split)
print(f"{len(reader)} samples")
for number in islice(range(len(reader)), options.count):
    sample = reader.sample(number)
    print(
        f"trial {sample.trial}, step {sample.step}, {sample.indenter}: image {sample.rgb.shape}, "
        f"depth {sample.indentation_mm.max():.2f} mm, {sample.contact.sum()} px in contact"
    )
