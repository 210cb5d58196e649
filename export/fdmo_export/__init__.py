"""From a trained run to an ONNX file that another application loads."""
