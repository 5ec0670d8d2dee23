"""Image topics of a bag: which there are, which one is meant, and the decoding of its messages."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.images.image_message import (
    MAX_QUOTE,
    decode_compressed_image,
    decode_raw_image,
    describe_compressed_image,
)
from tacdiff_ros.input_files import printable
from tacdiff_ros.recording.bag_storage import BagTopic, OpenBag

RAW_TYPE, COMPRESSED_TYPE = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
SIMULATED = "simulated/"  # part of the names of this package's simulated topics
MAX_LISTED = 8  # topics in a message


def choose_image_topic(bag: OpenBag, name: str | None) -> BagTopic:
    """Return an image topic of a bag.

    Args:
        bag: opened bag.
        name: name of the topic; None for the only image topic. Simulated images of this package do
            not count if there are others.

    Raises:
        InputError: there is no such topic, or there are several; the message lists them.
    """
    topics = [entry for entry in bag.topics if entry.type_name in (RAW_TYPE, COMPRESSED_TYPE)]
    if name is not None:
        named = [entry for entry in topics if entry.name.strip("/") == name.strip("/")]
        if not named:
            raise InputError(
                f"it has no images named {printable(name)}; images: {_listed(bag, topics)}"
            )
        topics = named
    elif recorded := [entry for entry in topics if SIMULATED not in entry.name]:
        topics = recorded
    if not topics:
        raise InputError(f"it has no topic with {RAW_TYPE} or CompressedImage")
    if len(topics) > 1:
        raise InputError(
            f"it has {len(topics)} image topics, choose one by --topic: {_listed(bag, topics)}"
        )
    return topics[0]


def decode_image_message(message: Any) -> NDArray[np.uint8]:
    """Return the (H, W, 3) uint8 RGB image of a raw or compressed message.

    Raises:
        InputError: the message is damaged, or its encoding is unknown.
    """
    if hasattr(message, "encoding"):
        return decode_raw_image(message)
    return decode_compressed_image(message.data)


def _listed(bag: OpenBag, topics: list[BagTopic]) -> str:
    """Return the names of topics, with type, number and size of their images."""
    lines = [f"{printable(entry.name)} ({_described(bag, entry)})" for entry in topics[:MAX_LISTED]]
    further = len(topics) - len(lines)
    return "; ".join(lines) + (f"; {further} more" if further else "") or "none"


def _described(bag: OpenBag, topic: BagTopic) -> str:
    kind = topic.type_name.rsplit("/", 1)[1]
    _, message = next(bag.messages(topic), (0, None))
    if message is None:
        return f"{kind}, no messages"
    if topic.type_name == COMPRESSED_TYPE:
        size = describe_compressed_image(message.data, message.format)
    else:
        size = f"{message.width} x {message.height} {printable(message.encoding[:MAX_QUOTE])}"
    return f"{kind}, {topic.message_count} of {size}"
