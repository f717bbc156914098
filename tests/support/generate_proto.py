"""Generate the Fabric message modules from the .proto files: `python tests/support/generate_proto.py [DIR]`.

It runs grpcio-tools' protoc from the checkout's root, so that the modules are in `edgegw.fabric.proto`. A test generates
into a temporary directory and compares.
"""

import sys
from pathlib import Path

from grpc_tools import protoc  # type: ignore[import-untyped]  # it ships no stubs

ROOT = Path(__file__).resolve().parents[2]
SOURCES = Path("edgegw/fabric/proto")


def generate(out: Path) -> None:
    """Write `edgegw/fabric/proto/*_pb2.py` and `.pyi` below `out`.

    Raises:
        RuntimeError: protoc refused a file (its message is on standard error).
    """
    well_known = Path(protoc.__file__).parent / "_proto"
    sources = sorted(str(path.relative_to(ROOT)) for path in (ROOT / SOURCES).glob("*.proto"))
    flags = [f"-I{ROOT}", f"-I{well_known}", f"--python_out={out}", f"--pyi_out={out}"]
    if protoc.main(["protoc", *flags, *sources]) != 0:
        raise RuntimeError("protoc failed")


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
