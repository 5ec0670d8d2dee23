"""Loss, training and scores of the connector networks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from tacdiff_ros.errors import InputError
from tacdiff_ros.touch_features.connectors.connector_augmentation import (
    augment,
    morphology,
    occlude,
    occlude_half_of_object,
    rotate,
)
from tacdiff_ros.touch_features.connectors.connector_encoders import build_encoder
from tacdiff_ros.touch_features.connectors.connector_network import ConnectorClassifier, info_nce
from tacdiff_ros.touch_features.connectors.connector_pictures import (
    confusion_picture,
    embedding_map,
    principal_components,
)
from tacdiff_ros.touch_features.connectors.connector_scores import confusion, recognise, retrieve
from tacdiff_ros.touch_features.connectors.connector_training import (
    CHECKPOINT,
    ConnectorSamples,
    ConnectorTrainingSettings,
    evaluate,
    train_classifier,
    train_joint_embedding,
)


def samples(count=16, classes=4):
    """Bars whose orientation is the class, in views and touches of 16 x 16 px."""
    random = np.random.default_rng(0)
    labels = np.arange(count) % classes
    images = np.zeros((count, 1, 16, 16), np.float32)
    x, y = np.meshgrid(np.arange(16) - 7.5, np.arange(16) - 7.5)
    for k, label in enumerate(labels):
        angle = np.pi * label / classes
        distance = np.abs(np.cos(angle) * x + np.sin(angle) * y - random.uniform(-3, 3))
        images[k, 0] = distance < 2.0
    values = torch.from_numpy(images)
    return ConnectorSamples(values, values.flip(2).clone(), torch.from_numpy(labels))


def settings(**changes):
    base = {"epochs": 40, "batch": 16, "learning_rate": 3e-3, "decay": 0.93}
    base["half_precision"] = False  # slower than float32 on CPUs without AMX
    return ConnectorTrainingSettings(**(base | changes))


def test_the_loss_equals_the_definition_of_info_nce():
    random = np.random.default_rng(1)
    view, touch = (random.standard_normal((5, 3)) for _ in range(2))
    view, touch = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (view, touch))
    logits = np.exp(7.0 * view @ touch.T)
    both = -np.log(np.diag(logits) / logits.sum(1)) - np.log(np.diag(logits) / logits.sum(0))
    loss = info_nce(torch.from_numpy(view), torch.from_numpy(touch), torch.tensor(7.0))
    assert loss.item() == pytest.approx(both.mean() / 2)


@pytest.mark.parametrize("family", ["residual", "transformer"])
def test_a_classifier_learns_a_few_samples_by_heart(family):
    data = samples()
    network = train_classifier(data, "visuotactile", settings(family=family))
    (logits,) = evaluate(network, data)
    assert torch.equal(logits.argmax(1), data.labels)


def test_a_joint_embedding_finds_the_view_of_each_touch_it_was_trained_with():
    data = samples(16, 16)
    network = train_joint_embedding(data, settings())
    views, touches = evaluate(network, data)
    assert views.norm(dim=1).numpy() == pytest.approx(1.0, abs=1e-5)
    assert retrieve(touches, views).recall() >= 0.9


def test_a_modality_that_is_not_used_has_no_influence():
    data = samples(4)
    for modality, changed in (("vision", (0, 1)), ("touch", (1, 0))):
        network = ConnectorClassifier("residual", modality, *data.shapes(), 4).eval()
        moved = [data.views + changed[0], data.touches + changed[1]]
        with torch.inference_mode():
            same = network(data.views, data.touches), network(*moved)
        assert torch.equal(*same)


def test_an_interrupted_training_continues_with_the_same_result(tmp_path):
    data = samples()
    whole = train_classifier(data, "touch", settings(epochs=4, augmentation="transfer"))

    def stop(epoch, loss):
        if epoch == 2:
            raise KeyboardInterrupt

    for progress in (stop, None):
        try:
            resumed = train_classifier(
                data, "touch", settings(epochs=4, augmentation="transfer"), tmp_path, progress
            )
        except KeyboardInterrupt:
            assert (tmp_path / CHECKPOINT).exists()
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_checkpoint_of_another_training_or_a_damaged_one_is_refused(tmp_path):
    data = samples()
    train_classifier(data, "touch", settings(epochs=1), tmp_path)
    with pytest.raises(InputError, match="other settings"):
        train_classifier(data, "touch", settings(epochs=1, seed=5), tmp_path)
    (tmp_path / CHECKPOINT).write_bytes(b"no checkpoint")
    with pytest.raises(InputError, match="damaged"):
        train_classifier(data, "touch", settings(epochs=1), tmp_path)


def test_an_occluder_covers_half_of_the_view():
    views = torch.zeros(200, 1, 64, 64)
    covered = (occlude(views, torch.Generator().manual_seed(0)) > 0).float().mean((1, 2, 3))
    assert covered.mean().item() == pytest.approx(0.5, abs=0.01)
    assert covered.min().item() > 0.45
    some = occlude(views, torch.Generator().manual_seed(0), fraction=None)
    fraction = (some > 0).float().mean((1, 2, 3))
    assert fraction.max() <= 0.53
    assert fraction.min() < 0.1


def test_half_of_a_connector_is_covered():
    views = torch.zeros(50, 1, 64, 64)
    views[:, :, 20:34, 10:50] = 0.5
    covered = occlude_half_of_object(views, torch.Generator().manual_seed(0))
    left = ((covered == 0.5) & (views == 0.5)).float().sum((1, 2, 3)) / (14 * 40)
    assert left.numpy() == pytest.approx(0.5, abs=0.04)  # a row of pixels


def test_augmentations_of_masks_do_what_their_names_say():
    masks = torch.zeros(60, 1, 32, 48)
    masks[:, :, 12:20, 10:38] = 1.0
    changed = morphology(masks, torch.Generator().manual_seed(0)).sum((1, 2, 3))
    assert sorted(set(changed.tolist())) == [6 * 26, 8 * 28, 10 * 30]
    turned = rotate(masks, torch.Generator().manual_seed(0))
    assert turned.sum((1, 2, 3)).numpy() == pytest.approx(8 * 28, rel=0.03)
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(48.0), indexing="ij")
    for image in turned[:5, 0]:  # the long axis of the bar is turned by at most 5 deg
        x, y = columns - 23.5, rows - 15.5
        moments = [(image * a * b).sum() for a, b in ((x, x), (y, y), (x, y))]
        angle = 0.5 * torch.atan2(2 * moments[2], moments[0] - moments[1])
        assert abs(torch.rad2deg(angle).item()) <= 5.5


def test_augmentation_depends_on_its_generator_only():
    data = samples()
    first, second = (
        augment(data.views, data.touches, "transfer", torch.Generator().manual_seed(3))
        for _ in range(2)
    )
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_scores_count_what_they_say():
    assert confusion([0, 0, 1], [0, 1, 1], 2).tolist() == [[1, 1], [0, 1]]
    found = retrieve(np.eye(3), np.eye(3)[[0, 2, 1]])
    assert found.recall(1) == pytest.approx(1 / 3)
    assert retrieve(np.ones((4, 2)), np.ones((4, 2))).recall(1) == 0.0  # ties find nothing
    memory = np.array([[1.0, 0], [0.9, 0.1], [0, 1], [0.1, 0.9]])
    assert recognise(memory, [0, 0, 5, 5], [[2, 0.1], [0.1, 3]], 2).tolist() == [0, 5]


def test_bad_input_is_refused_in_one_line():
    data = samples(4)
    cases = [
        lambda: build_encoder("unknown", 1, (16, 16)),
        lambda: build_encoder("transformer", 1, (16, 17)),
        lambda: ConnectorClassifier("residual", "smell", (1, 16, 16), (1, 16, 16), 4),
        lambda: ConnectorClassifier("residual", "touch", (1, 16, 16), (1, 16, 16), 1),
        lambda: ConnectorSamples(data.views, data.touches, data.labels[:2]),
        lambda: train_classifier(data, "touch", settings()),
        lambda: info_nce(torch.ones(3, 2), torch.ones(2, 2), torch.tensor(1.0)),
        lambda: confusion([0, 4], [0, 1], 2),
        lambda: retrieve(np.ones((2, 3)), np.ones((3, 3))),
        lambda: recognise(np.ones((2, 3)), [0, 1], np.ones((1, 3)), 9),
    ]
    for case in cases:
        with pytest.raises(InputError) as caught:
            case()
        assert "\n" not in str(caught.value)


def test_principal_components_are_those_of_a_line():
    line = np.linspace(-1, 1, 9)[:, None] * [[3.0, 4.0, 0.0]] + 7.0
    first, second = principal_components(line).T
    assert np.abs(first) == pytest.approx(np.abs(np.linspace(-5, 5, 9)))
    assert second == pytest.approx(0.0, abs=1e-12)


def test_pictures_are_images():
    random = np.random.default_rng(0)
    views, touches = random.standard_normal((2, 12, 5))
    pictures = [
        embedding_map(views, touches, np.arange(12) % 2, ["a", "b"], "map"),
        confusion_picture([[3, 1], [0, 2]], ["a", "b"], "confusion"),
    ]
    for picture in pictures:
        assert cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR).std() > 1
