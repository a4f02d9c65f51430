// RUN: moe-opt %s --split-input-file --verify-diagnostics --moe-verify-stage=stage=runtime

func.func @tensors(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{is left after stage 'runtime': it still computes on tensors}}
  %0 = arith.addf %x, %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

func.func @kernel() {
  // expected-error@+1 {{is left after stage 'runtime': it needs the runtime}}
  moe_rt.trace "begin" "x"
  return
}

// -----

func.func @memory() {
  // expected-error@+1 {{it allocates; entry points get all memory from their caller}}
  %a = memref.alloc() : memref<4xf32>
  return
}

// -----

func.func @loops(%a: memref<4xf32>, %f: f32) {
  // expected-error@+1 {{it has no loops}}
  linalg.fill ins(%f : f32) outs(%a : memref<4xf32>)
  return
}
