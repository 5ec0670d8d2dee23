"""Samples as they are stored reach the network as if they had been decoded one by one."""

import multiprocessing

import numpy as np
import pytest
import torch

from tacdiff_ros.translation.sample_feed import SampleFeed

DIVISORS = (65535.0, 255.0)


class Stored:
    """Random samples, decoded or as they are stored."""

    divisors = DIVISORS

    def __init__(self, count: int = 9) -> None:
        self._count = count

    def __len__(self):
        return self._count

    def stored(self, number):
        random = np.random.default_rng(number)
        nocs = random.integers(0, 65536, (6, 8, 3)).astype(np.uint16)
        light = random.integers(0, 256, (6, 8, 3)).astype(np.uint8)
        return nocs, light, random.integers(0, 256, (6, 8, 3)).astype(np.uint8)

    def __getitem__(self, number):
        *maps, image = self.stored(number)
        parts = [
            values.astype(np.float32) / np.float32(divisor)
            for values, divisor in zip(maps, DIVISORS, strict=True)
        ]
        return np.concatenate(parts, axis=-1).transpose(2, 0, 1).copy(), image.transpose(2, 0, 1)


class Broken(Stored):
    def stored(self, number):
        if number == 5:
            raise ValueError("damaged")
        return super().stored(number)


@pytest.mark.parametrize("readers", [0, 2])
def test_batches_are_the_decoded_samples_in_the_order_asked_for(readers):
    pairs, numbers = Stored(), [[3, 0], [8, 3], [1, 2]]
    batches = list(SampleFeed(pairs, "cpu", readers).batches(numbers))
    assert len(batches) == len(numbers)
    for batch, (maps, images) in zip(numbers, batches, strict=True):
        for place, number in enumerate(batch):
            expected, image = pairs[number]
            np.testing.assert_array_equal(maps[place].numpy(), expected)
            np.testing.assert_array_equal(images[place].numpy(), image)
        assert maps.is_contiguous(memory_format=torch.channels_last)


def test_a_reader_that_fails_leaves_no_processes():
    before = {child.pid for child in multiprocessing.active_children()}
    with pytest.raises(ValueError, match="damaged"):
        list(SampleFeed(Broken(), "cpu", 2).batches([[number] for number in range(9)]))
    assert {child.pid for child in multiprocessing.active_children()} <= before


def test_batches_that_are_not_finished_leave_no_processes():
    before = {child.pid for child in multiprocessing.active_children()}
    batches = SampleFeed(Stored(), "cpu", 2).batches([[number] for number in range(9)])
    next(batches)
    batches.close()
    assert {child.pid for child in multiprocessing.active_children()} <= before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no graphics card")
def test_a_card_keeps_the_samples():
    pairs = Stored()
    maps, images = next(SampleFeed(pairs, "cuda").batches([[3, 0]]))
    np.testing.assert_array_equal(maps[0].cpu().numpy(), pairs[3][0])
    np.testing.assert_array_equal(images[1].cpu().numpy(), pairs[0][1])
