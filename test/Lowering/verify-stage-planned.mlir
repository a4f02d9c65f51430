// Weights in a format that nothing packs: where it says why.
// RUN: moe-opt %s --split-input-file --verify-diagnostics --moe-verify-stage=stage=planned

func.func @formats(%a: tensor<3x4x2x34xi8>, %b: tensor<5x4x2x18xi8>) -> tensor<8x4x64xf32> {
  // expected-error@+1 {{'moe.dequantize' op is left after stage 'planned': it makes weights that no kernel reads as they are stored}}
  %hot = moe.dequantize #moe.q8_0 (%a : tensor<3x4x2x34xi8>) : tensor<3x4x64xf32>
  %cold = moe.dequantize #moe.q4_0 (%b : tensor<5x4x2x18xi8>) : tensor<5x4x64xf32>
  // expected-note@+1 {{this cannot be packed ahead of time: it is made of weights that are stored in different formats, #moe.q8_0 and #moe.q4_0}}
  %all = tensor.concat dim(0) %hot, %cold : (tensor<3x4x64xf32>, tensor<5x4x64xf32>) -> tensor<8x4x64xf32>
  return %all : tensor<8x4x64xf32>
}

// -----

func.func @plain(%a: tensor<3x4x2x34xi8>, %b: tensor<5x4x64xf32>) -> tensor<8x4x64xf32> {
  // expected-error@+1 {{no kernel reads as they are stored}}
  %hot = moe.dequantize #moe.q8_0 (%a : tensor<3x4x2x34xi8>) : tensor<3x4x64xf32>
  // expected-note@+1 {{different formats, #moe.q8_0 and plain numbers}}
  %all = tensor.concat dim(0) %hot, %b : (tensor<3x4x64xf32>, tensor<5x4x64xf32>) -> tensor<8x4x64xf32>
  return %all : tensor<8x4x64xf32>
}

// -----

func.func @view_of_view(%a: tensor<3x4x2x34xi8>, %i: index) -> tensor<4x64xf32> {
  // expected-error@+1 {{no kernel reads as they are stored}}
  %w = moe.dequantize #moe.q8_0 (%a : tensor<3x4x2x34xi8>) : tensor<3x4x64xf32>
  %s = tensor.extract_slice %w[0, 0, 0] [2, 4, 64] [1, 1, 1] : tensor<3x4x64xf32> to tensor<2x4x64xf32>
  // expected-note@+1 {{it is computed by tensor.extract_slice whose offsets, sizes or strides are no constants}}
  %e = tensor.extract_slice %s[%i, 0, 0] [1, 4, 64] [1, 1, 1] : tensor<2x4x64xf32> to tensor<4x64xf32>
  return %e : tensor<4x64xf32>
}

// -----

func.func @read(%a: tensor<4x2x34xi8>) -> tensor<4x64xf32> {
  // expected-error@+1 {{no kernel reads as they are stored}}
  %w = moe.dequantize #moe.q8_0 (%a : tensor<4x2x34xi8>) : tensor<4x64xf32>
  // expected-note@+1 {{read here, by no product of experts; pass the weights as f32}}
  %n = arith.negf %w : tensor<4x64xf32>
  return %n : tensor<4x64xf32>
}
