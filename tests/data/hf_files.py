"""Makers of Hugging Face data sets: what `datasets` 5.2 writes, by pyarrow alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tar_files import picture

STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
FEATURES = {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}


def table(images: list[Any], labels: Any, features: Any = FEATURES, label: str = "label") -> pa.Table:
    values = [image if isinstance(image, dict | None) else {"bytes": picture(image), "path": None} for image in images]
    made = pa.table({"image": pa.array(values, STRUCT), label: labels})
    metadata = {"huggingface": json.dumps({"info": {"features": features}})} if features else None
    return made.replace_schema_metadata(metadata)


def saved(folder: Path, shards: list[pa.Table], features: Any = FEATURES, batch: int = 3) -> Path:
    """One split as `Dataset.save_to_disk` writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"data-{i:05d}-of-{len(shards):05d}.arrow" for i in range(len(shards))]
    for name, shard in zip(names, shards, strict=True):
        with pa.OSFile(str(folder / name), "wb") as file, pa.ipc.new_stream(file, shard.schema) as writer:
            writer.write_table(shard, max_chunksize=batch)
    state = {"_data_files": [{"filename": name} for name in names], "_fingerprint": "0", "_split": None}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text(json.dumps({"citation": "", "features": features}))
    return folder


def several(folder: Path, **splits: list[pa.Table]) -> Path:
    for name, shards in splits.items():
        saved(folder / name, shards)
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))
    return folder


def parquet(path: Path, images: list[Any], labels: Any, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table(images, labels, **options), path, row_group_size=2)
    return path
