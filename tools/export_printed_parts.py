"""Exports the printable parts from their OpenSCAD sources to STL; needs openscad.

The header of each file holds the checksum of the sources, by which a test finds a file that is
older than its source.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import trimesh

FOLDER = Path(__file__).parents[1] / "urdf" / "printed_parts"
SHARED = FOLDER / "gelsight_mini.scad"
HEADER_BYTES = 80


def checksum(source: Path) -> str:
    """Return the SHA-256 of a source with the file of shared measures, as 64 hex digits."""
    return hashlib.sha256(SHARED.read_bytes() + source.read_bytes()).hexdigest()


def export(source: Path) -> None:
    """Write the STL file of one source beside it, as binary STL in mm."""
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "part.stl"
        subprocess.run(["openscad", "-q", "-o", str(text), str(source)], check=True)
        content = trimesh.load_mesh(text).export(file_type="stl")
    header = f"sha256 {checksum(source)}".encode().ljust(HEADER_BYTES)
    source.with_suffix(".stl").write_bytes(header + content[HEADER_BYTES:])


def main() -> int:
    """Export all parts."""
    if shutil.which("openscad") is None:
        print("openscad is not installed: install it (apt install openscad)", file=sys.stderr)
        return 2
    for source in sorted(FOLDER.glob("*.scad")):
        if source != SHARED:
            export(source)
            print(source.with_suffix(".stl").name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
