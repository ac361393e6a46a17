"""The `tts` messages and stubs, generated when first imported.

They are kept in `VOXPROBE_PEERS_CACHE`, or beside the virtual environment, in a folder named after
the protocol file's digest and the generator's version; nothing generated is ever committed.
"""

import hashlib
import importlib
import os
import pathlib
import shutil
import sys
import tempfile

import grpc
from grpc_tools import protoc

PROTO = pathlib.Path(__file__).resolve().parent.parent / "data" / "tts.proto"


def _cache() -> pathlib.Path:
    base = os.environ.get("VOXPROBE_PEERS_CACHE")
    folder = pathlib.Path(base) if base else pathlib.Path(sys.prefix + "-stubs")
    digest = hashlib.sha256(PROTO.read_bytes() + grpc.__version__.encode()).hexdigest()
    return folder / digest[:16]


def _generate(folder: pathlib.Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = pathlib.Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        arguments = ["protoc", f"-I{PROTO.parent}", f"--python_out={fresh}"]
        arguments += [f"--grpc_python_out={fresh}", str(PROTO)]
        if protoc.main(arguments) != 0:
            raise RuntimeError(f"cannot compile {PROTO}")
        # Whoever comes first wins; both made the same files.
        fresh.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _load():
    folder = _cache()
    if not folder.is_dir():
        _generate(folder)
    sys.path.insert(0, str(folder))
    return importlib.import_module("tts_pb2"), importlib.import_module("tts_pb2_grpc")


messages, service = _load()
