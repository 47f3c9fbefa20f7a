"""The counts that the server hands out, in Prometheus' text format."""

from hubel.studio.metrics import Histogram


def test_a_histogram_counts_up_to_each_bound_and_sums() -> None:
    histogram = Histogram((0.5, 2.0))
    for value in (0.25, 0.5, 1.0, 3.0):
        histogram.add(value)
    assert histogram.count == 4
    assert histogram.lines("seconds", {"model": "m"}) == [
        'seconds_bucket{model="m",le="0.5"} 2',
        'seconds_bucket{model="m",le="2.0"} 3',
        'seconds_bucket{model="m",le="+Inf"} 4',
        'seconds_sum{model="m"} 4.75',
        'seconds_count{model="m"} 4',
    ]
