"""Generated Fabric messages and the .proto files they come from (`python tests/generate_proto.py`)."""
