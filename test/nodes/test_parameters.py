"""Parameters from settings models: ranges, descriptions, and former names."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")

import rclpy
from pydantic import BaseModel
from rclpy.node import Node
from rclpy.parameter import Parameter

from tacdiff_ros.errors import InputError
from tacdiff_ros.evaluation.agreement_watch import WatchLimits
from tacdiff_ros.inversion.inversion_settings import InversionSettings
from tacdiff_ros.nodes import node_settings
from tacdiff_ros.nodes.node_settings import MeshInversionSettings, NodeSettings
from tacdiff_ros.nodes.parameters import declare_model, refuse_unknown

MODELS = [
    model
    for model in vars(node_settings).values()
    if isinstance(model, type) and issubclass(model, NodeSettings) and model is not NodeSettings
]


@pytest.fixture
def make_node():
    rclpy.init(domain_id=77)
    nodes = []

    def make(**given) -> Node:
        overrides = [Parameter(name.replace("__", "."), value=v) for name, v in given.items()]
        nodes.append(Node("tested", parameter_overrides=overrides))
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()
    rclpy.shutdown()


@pytest.mark.parametrize(
    ("model", "prefix", "old", "new", "value"),
    [
        (MeshInversionSettings, "", "timeout", "timeout_s", 7.0),
        (InversionSettings, "", "dot_rounds", "marker_rounds", 1),
        (InversionSettings, "", "near_light", "local_interreflection", False),
        (WatchLimits, "watch", "watch__least_whole_psnr_db", "min_whole_psnr_db", 31.0),
        (WatchLimits, "watch", "watch__most_marker_rms_px", "max_marker_rms_px", 1.5),
    ],
)
def test_a_parameters_former_name_still_counts(make_node, model, prefix, old, new, value):
    node = make_node(**{old: value})
    assert getattr(declare_model(node, prefix, model), new) == value
    refuse_unknown(node)


def test_the_new_name_wins_over_the_former_one(make_node):
    node = make_node(timeout=7.0, timeout_s=9.0)
    assert declare_model(node, "", MeshInversionSettings).timeout_s == 9.0


def test_a_value_out_of_range_is_refused_by_name(make_node):
    with pytest.raises(InputError, match="timeout_s"):
        declare_model(make_node(timeout_s=-1.0), "", MeshInversionSettings)


@pytest.mark.parametrize("model", MODELS)
def test_every_parameter_has_a_description_and_numbers_have_a_range(make_node, model: BaseModel):
    node = make_node()
    declare_model(node, "", model)
    for name, field in model.model_fields.items():
        descriptor = node.describe_parameter(name)
        assert len(descriptor.description) > 10, name
        if isinstance(field.default, (int, float)) and not isinstance(field.default, bool):
            assert descriptor.floating_point_range or descriptor.integer_range, name


RIG = {"rig__sensor_file": "mini.yaml", "rig__indenter": "cube", "rig__base_frame": "world"}


def test_what_the_rig_says_counts_where_a_node_says_nothing(make_node):
    node = make_node(**RIG, sensor_file="")
    settings = declare_model(node, "", node_settings.TactileSimulatorSettings)
    refuse_unknown(node)
    assert (settings.sensor_file, settings.indenter) == ("mini.yaml", "cube")
    node = make_node(**RIG)
    assert declare_model(node, "", node_settings.AcquisitionNodeSettings).base_frame == "world"


def test_a_nodes_own_value_wins_over_the_rig(make_node):
    node = make_node(**RIG, sensor_file="other.yaml", indenter="sphere:diameter=5")
    settings = declare_model(node, "", node_settings.TactileSimulatorSettings)
    assert (settings.sensor_file, settings.indenter) == ("other.yaml", "sphere:diameter=5")


def test_the_true_sensor_of_a_virtual_one_is_not_that_of_the_rig(make_node):
    node = make_node(**RIG)
    settings = declare_model(node, "", node_settings.VirtualGelsightSettings)
    assert (settings.sensor_file, settings.indenter) == ("", "cube")
    assert (
        declare_model(make_node(**RIG), "", node_settings.CalibrationNodeSettings).sensor_file == ""
    )
