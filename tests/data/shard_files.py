"""The same pictures as a folder, as tar shards and as parquet, for tests."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image


def pictures(n: int, size: tuple[int, int] = (20, 18)) -> list[bytes]:
    """Noise as JPEG."""
    noise, made = np.random.default_rng(0), []
    for _ in range(n):
        buffer = io.BytesIO()
        Image.fromarray(noise.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)).save(buffer, "JPEG")
        made.append(buffer.getvalue())
    return made


def cut(n: int, shards: int) -> list[range]:
    return [range(n * s // shards, n * (s + 1) // shards) for s in range(shards)]


def write_folder(root: Path, images: list[bytes]) -> Path:
    for i, image in enumerate(images):
        path = root / f"class {i * 3 // len(images)}" / f"{i:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image)
    return root


def write_tars(root: Path, images: list[bytes], shards: int = 3, name: str = "part", ending: str = "jpg") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for s, rows in enumerate(cut(len(images), shards)):
        with tarfile.open(root / f"{name}-{s:03}.tar", "w") as tar:
            for i in rows:
                label = str(i * 3 // len(images)).encode()
                for end, content in ((ending, images[i]), ("cls", label), ("json", b"{}")):
                    member = tarfile.TarInfo(f"a/{i:05}.{end}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    return root


def write_parquets(
    root: Path, images: list[bytes], shards: int = 3, name: str = "part", column: str = "image", group: int = 7
) -> Path:
    import pyarrow as pa
    from pyarrow import parquet

    root.mkdir(parents=True, exist_ok=True)
    features = {"label": {"names": ["zero", "one", "two"], "_type": "ClassLabel"}}
    about = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    for s, rows in enumerate(cut(len(images), shards)):
        table = pa.table(
            {
                "id": list(rows),
                column: [{"bytes": images[i], "path": None} for i in rows],
                "label": pa.array([i * 3 // len(images) for i in rows], pa.int64()),
            }
        )
        parquet.write_table(table.replace_schema_metadata(about), root / f"{name}-{s:03}.parquet", row_group_size=group)
    return root
