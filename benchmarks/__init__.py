"""Speed, measured as ratios to the float32 matrix product of the same shape: `python -m benchmarks`."""
