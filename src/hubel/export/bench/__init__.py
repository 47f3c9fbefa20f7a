"""Benchmark models on this machine: latency, throughput, start and memory, for each engine and precision."""
