// RUN: moe-opt %s --verify-diagnostics --moe-verify-stage=stage=tensors

func.func @foreign(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{'tosa.tanh' op is left after stage 'tensors': it has no lowering from tensors to buffers; write it with linalg, tensor, arith and math}}
  %0 = tosa.tanh %x : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
