"""Generated Fabric messages and the .proto files they come from (`python tests/support/generate_proto.py`)."""
