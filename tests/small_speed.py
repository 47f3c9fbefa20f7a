"""What an engine reached on a small model: the sample that tests of benchmark tables change."""

from __future__ import annotations

from hubel.export.bench.row import Speed

SPEED = Speed(
    latency_p50_ms=2.0,
    latency_p95_ms=2.2,
    latency_p99_ms=2.4,
    timings=500,
    images_per_second=100.0,
    batch=8,
    by_batch={"8": 100.0},
    lanes=2,
    peak_memory_mib=50.0,
    others_share=0.0,
    device="cpu",
    top_class="red",
    top_score=0.5,
)
