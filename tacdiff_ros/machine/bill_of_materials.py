"""Software bill of materials of the installed packages in CycloneDX 1.5 JSON.

https://cyclonedx.org/docs/1.5/json
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from tacdiff_ros.machine.licences import note
from tacdiff_ros.machine.packages import OWN_NAME, InstalledPackage

SPEC_VERSION = "1.5"
UNKNOWN_VERSION = "0"


def bill_of_materials(
    packages: Sequence[InstalledPackage], now: datetime.datetime
) -> dict[str, Any]:
    """Return the bill of materials of this package and its dependencies as a JSON object.

    Args:
        packages: installed packages that this package needs.
        now: creation time of the bill, with time zone.
    """
    own = {
        "type": "application",
        "bom-ref": OWN_NAME,
        "name": OWN_NAME,
        "version": own_version(),
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }
    contents = "\n".join(f"{package.purl} {package.record_sha256}" for package in packages)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, contents)}",
        "version": 1,
        "metadata": {"timestamp": now.isoformat(timespec="seconds"), "component": own},
        "components": [_component(package) for package in packages],
        "dependencies": [
            {"ref": OWN_NAME, "dependsOn": [package.purl for package in packages]},
            *_dependencies(packages),
        ],
    }


def own_version() -> str:
    """Return the version of this package; `0` if it is not installed."""
    try:
        return metadata.version(OWN_NAME)
    except metadata.PackageNotFoundError:
        return UNKNOWN_VERSION


def _component(package: InstalledPackage) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": package.purl,
        "name": package.name,
        "version": package.version,
        "purl": package.purl,
    }
    if package.licence and package.is_spdx:
        component["licenses"] = [{"expression": package.licence}]
    elif package.licence:
        component["licenses"] = [{"license": {"name": package.licence}}]
    properties = {
        "tacdiff:record-sha256": package.record_sha256,  # hash of RECORD, not of the wheel
        "tacdiff:licence-note": note(package.name, package.licence),
    }
    listed = [{"name": name, "value": value} for name, value in properties.items() if value]
    return {**component, "properties": listed} if listed else component


def _dependencies(packages: Sequence[InstalledPackage]) -> list[dict[str, Any]]:
    refs = {package.name: package.purl for package in packages}
    return [
        {"ref": package.purl, "dependsOn": [refs[name] for name in package.needs]}
        for package in packages
    ]
