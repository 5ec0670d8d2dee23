"""Install the Python package and the `tacdiff` command with pip, for people without ROS."""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["tacdiff_ros", "tacdiff_ros.*"]),
        "tacdiff_ros.config",
        "tacdiff_ros.config.hands",
        "tacdiff_ros.config.models.gelsight_mini",
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
            "*.urdf",
            "*.xml",
            "*.rviz",
            "*.json",
            "py.typed",
        ]
    },
)
