"""The generated modules are what our .proto files say."""

from pathlib import Path

from tests.support.generate_proto import ROOT, SOURCES, generate


def test_generated_modules_are_current(tmp_path: Path) -> None:
    """Generating again gives the files of the checkout, and no more files than those."""
    generate(tmp_path)

    def files(root: Path) -> dict[str, str]:
        found = [*(root / SOURCES).glob("*_pb2.py"), *(root / SOURCES).glob("*_pb2.pyi")]
        return {path.name: path.read_text() for path in found}

    assert files(tmp_path) == files(ROOT)
    assert len(files(ROOT)) == 2 * len(list((ROOT / SOURCES).glob("*.proto")))
