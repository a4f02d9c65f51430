// Weights in every format, as others decode them: exactly. Written by
// gen_format_fixtures.py, with the decoders of gguf, torch and compressed-tensors.

// RUN: moe-interpret %s --entry=f16 --inputs=%S/Inputs/format-f16.safetensors --expect=%S/Inputs/format-f16.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=q4_0 --inputs=%S/Inputs/format-q4_0.safetensors --expect=%S/Inputs/format-q4_0.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=q8_0 --inputs=%S/Inputs/format-q8_0.safetensors --expect=%S/Inputs/format-q8_0.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=q4_k --inputs=%S/Inputs/format-q4_k.safetensors --expect=%S/Inputs/format-q4_k.safetensors --tolerance=0

// Storage that was computed is converted to what is stored.
// RUN: moe-interpret %s --entry=computed --print | FileCheck %s
// CHECK: computed result0: f64[1x32] [-0.75, -0.75, {{.*}}, -0.625]

func.func @f16(%values: tensor<2x3x64xf16> {moe.name = "values"}) -> (tensor<2x3x64xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.f16 (%values : tensor<2x3x64xf16>) : tensor<2x3x64xf32>
  return %w : tensor<2x3x64xf32>
}

func.func @q4_0(%blocks: tensor<2x3x2x18xi8> {moe.name = "blocks"}) -> (tensor<2x3x64xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.q4_0 (%blocks : tensor<2x3x2x18xi8>) : tensor<2x3x64xf32>
  return %w : tensor<2x3x64xf32>
}

func.func @q8_0(%blocks: tensor<2x3x2x34xi8> {moe.name = "blocks"}) -> (tensor<2x3x64xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.q8_0 (%blocks : tensor<2x3x2x34xi8>) : tensor<2x3x64xf32>
  return %w : tensor<2x3x64xf32>
}

func.func @q4_k(%blocks: tensor<2x1x2x144xi8> {moe.name = "blocks"}) -> (tensor<2x1x512xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.q4_k (%blocks : tensor<2x1x2x144xi8>) : tensor<2x1x512xf32>
  return %w : tensor<2x1x512xf32>
}

func.func @computed() -> tensor<1x32xf32> {
  // 1/8 = 0x3000; codes 2 in front, 3 behind.
  %scale = arith.constant dense<[0, 0x30]> : tensor<2xi8>
  %codes = arith.constant dense<0x32> : tensor<16xi8>
  %block = tensor.concat dim(0) %scale, %codes : (tensor<2xi8>, tensor<16xi8>) -> tensor<18xi8>
  %blocks = tensor.expand_shape %block [[0, 1]] output_shape [1, 18] : tensor<18xi8> into tensor<1x18xi8>
  %w = moe.dequantize #moe.q4_0 (%blocks : tensor<1x18xi8>) : tensor<1x32xf32>
  return %w : tensor<1x32xf32>
}
