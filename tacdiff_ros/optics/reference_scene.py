"""Mitsuba scene of a sensor, built from physical parts for the path-traced reference.

The parts are dielectric interfaces, area emitters, a camera without lens distortion, and a mesh of
the gel.

Limits: the lights must lie inside the gel layer, where the path tracer can connect to them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from tacdiff_ros.errors import InputError
from tacdiff_ros.optics.path_settings import PathSettings
from tacdiff_ros.optics.reference_mesh import ReferenceMesh
from tacdiff_ros.optics.undistorted_view import undistorted_view
from tacdiff_ros.optics.variant import start_mitsuba
from tacdiff_ros.sensor.gel_surface import grid_triangles
from tacdiff_ros.sensor.sensor_model import Light, SensorModel

start_mitsuba()

import mitsuba as mi  # noqa: E402

from tacdiff_ros.optics import (  # noqa: E402
    lobe_emitter,  # noqa: F401  (registers the emitter)
    passing_interface,  # noqa: F401  (registers the interface)
)

INTERFACE_HALF_MM = 60.0
NEVER = 1000  # depth from which Russian roulette may end paths


def path_depth(model: SensorModel, bounces: int) -> int:
    """Return Mitsuba's `max_depth` for a number of returns from the layers.

    With two interfaces it is 4 for direct light and 8 for one return.

    Args:
        model: sensor model.
        bounces: number of returns from the layers.
    """
    interfaces = len(model.layers) - 1
    return interfaces + 2 + 2 * interfaces * bounces


def mitsuba_scene(model: SensorModel, settings: PathSettings) -> dict[str, Any]:
    """Return the scene of a sensor with all its lights but no gel, for other integrators.

    Args:
        model: sensor model.
        settings: size and quality of the image.

    Returns:
        Scene dictionary for `mi.load_dict`.

    Raises:
        InputError: a light lies above the gel layer.
    """
    check_lights(model)
    lights = {f"light_{k}": light_emitter(light) for k, light in enumerate(model.lights)}
    for emitter, light in zip(lights.values(), model.lights, strict=True):
        emitter["emitter"]["radiance"] = mi.ScalarVector3f(light.radiance)
    return {**camera_and_layers(model, settings, interface_plugin(settings)), **lights}


def check_lights(model: SensorModel) -> None:
    """Check that all lights are inside the gel layer.

    Args:
        model: sensor model.

    Raises:
        InputError: a light lies above the gel layer.
    """
    thickness = model.layers[-1].thickness_mm or 0.0
    for light in model.lights:
        if light.centre_mm[2] - light.half_width_mm < -thickness:
            raise InputError(
                f"path reference: light '{light.name}' at z = {light.centre_mm[2]:g} mm is not "
                f"inside the gel layer of {thickness:g} mm; only the fast renderer accepts "
                "effective light positions above it"
            )


def interface_plugin(settings: PathSettings) -> str:
    """Return Mitsuba's plugin for the interfaces; without reflections a deterministic one."""
    return "dielectric" if settings.bounces else "tacdiff_passing"


def camera_and_layers(model: SensorModel, settings: PathSettings, interface: str) -> dict[str, Any]:
    """Return the scene of a sensor without gel and lights.

    Args:
        model: sensor model.
        settings: size and quality of the image.
        interface: Mitsuba's plugin for the interfaces.

    Returns:
        Scene dictionary for `mi.load_dict`.
    """
    parts: dict[str, Any] = {
        "type": "scene",
        "integrator": {
            "type": "path",
            "max_depth": path_depth(model, settings.bounces),
            "rr_depth": NEVER,
        },
        "camera": _camera(model, settings),
    }
    z = -model.stack_mm
    for above, below in zip(model.layers[:-1], model.layers[1:], strict=True):
        parts[f"interface_{len(parts)}"] = {
            "type": "rectangle",
            "to_world": mi.ScalarTransform4f()
            .translate([0, 0, z])
            .rotate([1, 0, 0], 180)
            .scale(INTERFACE_HALF_MM),
            "bsdf": {"type": interface, "ext_ior": above.index, "int_ior": below.index},
        }
        z += below.thickness_mm or 0.0
    return parts


def _camera(model: SensorModel, settings: PathSettings) -> dict[str, Any]:
    """Return the camera without lens distortion, with the size of `undistorted_view`."""
    width, height = settings.size_px(model)
    margin, supersampling = undistorted_view(model)
    camera = model.camera
    # Mitsuba's camera has x to the left and y up: a half turn about the optical axis.
    pose = np.eye(4)
    rotation = Rotation.from_rotvec(np.radians(camera.rotation_deg)).as_matrix()
    pose[:3, :3] = rotation @ np.diag([-1.0, -1.0, 1.0])
    pose[:3, 3] = camera.position_mm
    film = [round(side * margin * supersampling) for side in (width, height)]
    columns, rows = (side / supersampling * model.image.width_px / width for side in film)
    return {
        "type": "perspective",
        "to_world": mi.ScalarTransform4f(pose),
        "fov_axis": "x",
        "fov": math.degrees(2 * math.atan(0.5 * columns / camera.focal_px)),
        "principal_point_offset_x": -(camera.centre_px[0] + 0.5 - model.image.width_px / 2)
        / columns,
        "principal_point_offset_y": -(camera.centre_px[1] + 0.5 - model.image.height_px / 2) / rows,
        "sampler": {"type": "multijitter"},
        "near_clip": 0.1,
        "far_clip": 1000.0,
        "film": {
            "type": "hdrfilm",
            "width": film[0],
            "height": film[1],
            "rfilter": {"type": "box"},
            "pixel_format": "rgb",
            "component_format": "float32",
        },
    }


def light_emitter(light: Light) -> dict[str, Any]:
    """Return a light as a black rectangle that emits white light along its aim."""
    azimuth, tilt, roll = (
        math.radians(angle) for angle in (light.azimuth_deg, light.tilt_deg, light.roll_deg)
    )
    aim = np.array(
        [math.cos(tilt) * math.cos(azimuth), math.cos(tilt) * math.sin(azimuth), math.sin(tilt)]
    )
    horizontal = np.array([-math.sin(azimuth), math.cos(azimuth), 0.0])
    along = Rotation.from_rotvec(roll * aim).apply(horizontal)
    pose = np.eye(4)
    pose[:3, 0] = along * light.half_length_mm
    pose[:3, 1] = np.cross(aim, along) * light.half_width_mm
    pose[:3, 2] = aim
    pose[:3, 3] = light.centre_mm
    return {
        "type": "rectangle",
        "to_world": mi.ScalarTransform4f(pose),
        "bsdf": {"type": "diffuse", "reflectance": 0.0},
        "emitter": {"type": "tacdiff_lobe", "exponent": light.exponent},
    }


def coated_gel(
    model: SensorModel,
    mesh: ReferenceMesh,
    glow: NDArray[np.float64] | None = None,
    black: bool = False,
) -> Any:
    """Return the coated gel surface.

    Args:
        model: sensor model.
        mesh: gel geometry and paint.
        glow: (rows, columns, 3) RGB radiance that a white surface would emit; the surface emits it
            as under uniform ambient light. None for a surface that does not emit.
        black: whether the surface reflects nothing.

    Returns:
        Mitsuba mesh.
    """
    rows, columns = mesh.paint.shape
    base = np.zeros(3) if black else np.array(model.gel.base_color)
    color = mesh.paint[..., None] * base
    properties = mi.Properties()
    properties["bsdf"] = mi.load_dict({"type": "diffuse", "reflectance": _texture(color)})
    if glow is not None:
        emitted = glow if black else glow * base
        properties["emitter"] = mi.load_dict({"type": "area", "radiance": _texture(emitted)})
    faces = grid_triangles(rows, columns).astype(np.uint32)
    gel = mi.Mesh("gel", rows * columns, len(faces), has_vertex_texcoords=True, props=properties)
    u, v = np.meshgrid((np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows)
    fields = mi.traverse(gel)
    fields["faces"] = faces.ravel()
    fields["vertex_positions"] = mesh.position.astype(np.float32).ravel()
    fields["vertex_texcoords"] = np.stack([u, v], axis=-1).astype(np.float32).ravel()
    fields.update()
    return gel


def _texture(color: NDArray[np.float64]) -> dict[str, Any]:
    bitmap = mi.Bitmap(np.ascontiguousarray(color, np.float32))
    return {"type": "bitmap", "bitmap": bitmap, "raw": True, "wrap_mode": "clamp"}
