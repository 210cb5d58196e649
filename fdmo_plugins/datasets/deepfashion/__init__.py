"""DeepFashion, Category and Attribute Prediction Benchmark."""
