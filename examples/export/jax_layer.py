"""From JAX to an artifact: python examples/export/jax_layer.py out/layer"""
import subprocess, sys
import jax, jax.numpy as jnp


def layer(x, router, up, down):
    weights, experts = jax.lax.top_k(jax.nn.softmax(x @ router), 2)
    hidden = jax.nn.relu(jnp.einsum("th,tkhi->tki", x, up[experts]))
    rows = jnp.einsum("tki,tkih->tkh", hidden, down[experts])
    return (rows * weights[..., None]).sum(axis=1)


x, *weights = [jax.ShapeDtypeStruct(s, "float32") for s in [(12, 32), (32, 8), (8, 32, 48), (8, 48, 32)]]
text = jax.jit(layer).lower(x, *weights).compiler_ir().operation.get_asm(print_generic_op_form=True)
open(sys.argv[1] + ".mlir", "w").write(text)
subprocess.run(["moe-compile", sys.argv[1] + ".mlir", "-o", sys.argv[1]], check=True)
