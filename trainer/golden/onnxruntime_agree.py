"""Logits and class activation maps of an exported graph by onnxruntime, to compare with tract's.

    python golden/onnxruntime_agree.py MODEL.onnx INPUTS.f32 OUTPUTS.json

It needs onnxruntime (1.32.0 was used) and numpy. INPUTS.f32 is the file that `trainer dump` writes: preprocessed inputs as
little-endian float32, one after the other. `trainer/tests/agreement.rs` reads OUTPUTS.json and compares it with tract's
results.
"""

import argparse
import hashlib
import json

import numpy as np
import onnxruntime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("inputs")
    parser.add_argument("outputs")
    arguments = parser.parse_args()

    options = onnxruntime.SessionOptions()
    # Without this option, the int8 kernels for x86 processors without VNNI add pairs of products in 16 bits, which saturate.
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(arguments.model, options, providers=["CPUExecutionProvider"])
    shape = session.get_inputs()[0].shape
    inputs = np.fromfile(arguments.inputs, dtype="<f4")
    if inputs.size == 0 or inputs.size % np.prod(shape):
        parser.error(f"{arguments.inputs}: {inputs.size} values are no whole number of inputs of shape {shape}")

    with open(arguments.model, "rb") as file:
        model_sha256 = hashlib.sha256(file.read()).hexdigest()
    results = {"logits": [], "cam": []}
    for image in inputs.reshape(-1, *shape):
        for name, values in zip(results, session.run(list(results), {"image": image})):
            results[name].append(values.ravel().tolist())
    with open(arguments.outputs, "w") as file:
        json.dump({"model_sha256": model_sha256, **results}, file)


if __name__ == "__main__":
    main()
