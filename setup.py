"""Install the Python package and the `tacdiff` command with pip, for people without ROS."""

from pathlib import Path

from setuptools import find_packages, setup

NETWORKS = sorted(Path("config/models").glob("*/network.onnx"))

setup(
    packages=[
        *find_packages(include=["tacdiff_ros", "tacdiff_ros.*"]),
        "tacdiff_ros.config",
        "tacdiff_ros.config.hands",
        *(f"tacdiff_ros.config.models.{path.parent.name}" for path in NETWORKS),
        "tacdiff_ros.config.protocols",
        "tacdiff_ros.config.sensors",
    ],
    package_dir={"tacdiff_ros.config": "config"},
    package_data={
        "": [
            "*.txt",
            "*.yaml",
            "*.html",
            "*.j2",
            "*.onnx",
            "*.safetensors",
            "*.js",
            "*.urdf",
            "*.xml",
            "*.rviz",
            "*.json",
            "py.typed",
        ]
    },
)
