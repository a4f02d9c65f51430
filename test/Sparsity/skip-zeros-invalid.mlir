// RUN: moe-opt %s --split-input-file --verify-diagnostics

func.func @elsewhere(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  // expected-error@+1 {{`moe.skip_zeros` is an attribute of moe.ffn and of matrix products}}
  %a = arith.negf %x {moe.skip_zeros = 0.5} : tensor<4x8xf32>
  return %a : tensor<4x8xf32>
}

// -----

func.func @elementwise(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  // expected-error@+1 {{`moe.skip_zeros` is an attribute of moe.ffn and of matrix products}}
  %a = linalg.add {moe.skip_zeros = 0.5} ins(%x, %x : tensor<4x8xf32>, tensor<4x8xf32>) outs(%x : tensor<4x8xf32>) -> tensor<4x8xf32>
  return %a : tensor<4x8xf32>
}

// -----

func.func @share(%x: tensor<4x8xf32>, %u: tensor<16x8xf32>, %d: tensor<8x16xf32>) -> tensor<4x8xf32> {
  // expected-error@+1 {{`moe.skip_zeros` has to be an f64 above 0 and at most 1, not 1.500000e+00 : f64}}
  %a = moe.ffn %x up(%u) down(%d) activation(#moe.relu) {moe.skip_zeros = 1.5}
      : (tensor<4x8xf32>, tensor<16x8xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
  return %a : tensor<4x8xf32>
}

// -----

func.func @kind(%x: tensor<4x8xf32>, %u: tensor<16x8xf32>, %d: tensor<8x16xf32>) -> tensor<4x8xf32> {
  // expected-error@+1 {{`moe.skip_zeros` has to be an f64 above 0 and at most 1, not true}}
  %a = moe.ffn %x up(%u) down(%d) activation(#moe.relu) {moe.skip_zeros = true}
      : (tensor<4x8xf32>, tensor<16x8xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
  return %a : tensor<4x8xf32>
}

// -----

func.func @kernel(%x: tensor<?x64xf32>, %w: tensor<8x1x32x64xf32>, %offsets: tensor<9xi32>, %active: tensor<9xi32>,
    %init: tensor<?x32xf32>) -> tensor<?x32xf32> {
  // expected-error@+1 {{'skip_zeros' must be a share above 0 and at most 1, got 0}}
  %h = moek.grouped_matmul n(32) k(64) lhs(%x : tensor<?x64xf32>) rhs(%w : tensor<8x1x32x64xf32>)
      groups(%offsets, %active : tensor<9xi32>, tensor<9xi32>) skip_zeros(0.0) outs(%init : tensor<?x32xf32>) epilogue {
  ^bb0(%a: f32):
    moek.yield %a : f32
  } -> tensor<?x32xf32>
  return %h : tensor<?x32xf32>
}

// -----

func.func @schedule(%x: tensor<?x64xf32>, %w: tensor<8x1x32x64xf32>, %offsets: tensor<9xi32>, %active: tensor<9xi32>,
    %init: tensor<?x32xf32>) -> tensor<?x32xf32> {
  // expected-error@+1 {{leaves out steps of zeros, which needs 'skip_zeros'}}
  %h = moek.grouped_matmul n(32) k(64) lhs(%x : tensor<?x64xf32>) rhs(%w : tensor<8x1x32x64xf32>)
      groups(%offsets, %active : tensor<9xi32>, tensor<9xi32>)
      schedule(#moe_cpu.schedule<fma, lanes = 16, rows = 14, block_rows = 256, chunk = 98304, run = 2097152, listed = 8>)
      outs(%init : tensor<?x32xf32>) epilogue {
  ^bb0(%a: f32):
    moek.yield %a : f32
  } -> tensor<?x32xf32>
  return %h : tensor<?x32xf32>
}

// -----

// expected-error@+1 {{only fma, widen and dot_bf16 multiply by steps from a list}}
module attributes {acme.schedule = #moe_cpu.schedule<mmla_bf16, lanes = 4, rows = 6, block_rows = 256, chunk = 98304, run = 2097152, listed = 8>} {}

// -----

// expected-error@+1 {{listed cannot be negative, got -1}}
module attributes {acme.schedule = #moe_cpu.schedule<fma, lanes = 16, rows = 14, block_rows = 256, chunk = 98304, run = 2097152, listed = -1>} {}
