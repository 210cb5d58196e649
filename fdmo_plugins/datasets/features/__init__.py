"""Features that something else computed, with labels: .npz, .npy, .safetensors and .parquet."""
