// RUN: moe-opt %s --split-input-file --moek-hoist-packing --verify-diagnostics | FileCheck %s

// Gate and up of the routed and of a shared expert become one argument, the
// router keeps its plain form for its other use.
// CHECK-LABEL: func.func @layer(
// CHECK-SAME: %[[X:[^:]*]]: tensor<?x64xf32> {moe.dims = ["T"], moe.name = "x"}
// CHECK-SAME: tensor<1x1x64x32x1xf32> {moe.name = "router.weight.packed"
// CHECK-SAME: moe.packed = {columns = 32 : i64, dtype = "f32", experts = 1 : i64, interleave = 0 : i64, k_block = 1 : i64, k_padded = 64 : i64, layout = "panels", n_padded = 32 : i64,
// CHECK-SAME: sources = [{dtype = "f32", first_expert = 0 : i64, name = "router.weight", part = 0 : i64, shape = [8, 64]}]}
// CHECK-SAME: tensor<8x64xf32> {moe.name = "router.weight"}
// CHECK-SAME: %[[P:[^:]*]]: tensor<9x2x32x32x2xbf16> {moe.name = "experts.gate_up"
// CHECK-SAME: experts = 9 : i64, interleave = 16 : i64, k_block = 2 : i64, k_padded = 64 : i64, layout = "panels", n_padded = 64 : i64,
// CHECK-SAME: {{{.*}}first_expert = 0 : i64, name = "experts.gate_proj", part = 0 : i64
// CHECK-SAME: {{{.*}}first_expert = 0 : i64, name = "experts.up_proj", part = 1 : i64
// CHECK-SAME: {{{.*}}first_expert = 8 : i64, name = "shared.gate_proj", part = 0 : i64, shape = [32, 64]}
// CHECK-SAME: {{{.*}}first_expert = 8 : i64, name = "shared.up_proj", part = 1 : i64
// CHECK-SAME: attributes {moe.model_interface = [{name = "x", type = tensor<?x64xf32>}, {name = "router.weight", type = tensor<8x64xf32>}
// CHECK-NOT: moek.pack
// CHECK: return %{{.*}}, %[[P]], %{{.*}} :
func.func @layer(%x: tensor<?x64xf32> {moe.name = "x", moe.dims = ["T"]},
    %wr: tensor<8x64xf32> {moe.name = "router.weight"},
    %g: tensor<8x32x64xbf16> {moe.name = "experts.gate_proj"},
    %u: tensor<8x32x64xbf16> {moe.name = "experts.up_proj"},
    %sg: tensor<32x64xbf16> {moe.name = "shared.gate_proj"},
    %su: tensor<32x64xbf16> {moe.name = "shared.up_proj"})
    -> (tensor<1x1x64x32x1xf32>, tensor<9x2x32x32x2xbf16>, tensor<8x64xf32>) {
  %r = moek.pack %wr layout(#moe_cpu.panels<k_block = 1>)
      : tensor<8x64xf32> -> tensor<1x1x64x32x1xf32>
  %sg3 = tensor.expand_shape %sg [[0, 1], [2]] output_shape [1, 32, 64] : tensor<32x64xbf16> into tensor<1x32x64xbf16>
  %su3 = tensor.expand_shape %su [[0, 1], [2]] output_shape [1, 32, 64] : tensor<32x64xbf16> into tensor<1x32x64xbf16>
  %p = moek.pack %g, %u, %sg3, %su3 parts(2) layout(#moe_cpu.panels<k_block = 2>)
      : tensor<8x32x64xbf16>, tensor<8x32x64xbf16>, tensor<1x32x64xbf16>, tensor<1x32x64xbf16>
        -> tensor<9x2x32x32x2xbf16>
  return %r, %p, %wr : tensor<1x1x64x32x1xf32>, tensor<9x2x32x32x2xbf16>, tensor<8x64xf32>
}

// A shared expert as large as two is cut up: rows of gate, columns of down.
// CHECK-LABEL: func.func @slices(
// CHECK-SAME: moe.name = "shared.up_proj"
// CHECK-SAME: {columns = 64 : i64, dtype = "f32", first_column = 0 : i64, first_expert = 0 : i64, first_row = 0 : i64, name = "shared.up_proj", part = 0 : i64, rows = 32 : i64, shape = [64, 64]}
// CHECK-SAME: {columns = 64 : i64, dtype = "f32", first_column = 0 : i64, first_expert = 1 : i64, first_row = 32 : i64, name = "shared.up_proj", part = 0 : i64, rows = 32 : i64, shape = [64, 64]}
// CHECK-NOT: tensor.extract_slice
func.func @slices(%u: tensor<64x64xf32> {moe.name = "shared.up_proj"}) -> tensor<2x1x64x32x1xf32> {
  %a = tensor.extract_slice %u[0, 0] [32, 64] [1, 1] : tensor<64x64xf32> to tensor<32x64xf32>
  %b = tensor.extract_slice %u[32, 0] [32, 64] [1, 1] : tensor<64x64xf32> to tensor<32x64xf32>
  %p = moek.pack %a, %b layout(#moe_cpu.panels<k_block = 1>) : tensor<32x64xf32>, tensor<32x64xf32> -> tensor<2x1x64x32x1xf32>
  return %p : tensor<2x1x64x32x1xf32>
}

// Some of the experts are a slice, too.
// CHECK-LABEL: func.func @experts(
// CHECK-SAME: {dtype = "f32", first_expert = 0 : i64, first_matrix = 2 : i64, matrices = 4 : i64, name = "experts.up_proj", part = 0 : i64, shape = [8, 32, 64]}
// CHECK-NOT: tensor.extract_slice
func.func @experts(%u: tensor<8x32x64xf32> {moe.name = "experts.up_proj"}) -> tensor<4x1x64x32x1xf32> {
  %a = tensor.extract_slice %u[2, 0, 0] [4, 32, 64] [1, 1, 1] : tensor<8x32x64xf32> to tensor<4x32x64xf32>
  %p = moek.pack %a layout(#moe_cpu.panels<k_block = 1>) : tensor<4x32x64xf32> -> tensor<4x1x64x32x1xf32>
  return %p : tensor<4x1x64x32x1xf32>
}

// Without a layout weights stay as they are, also those of two parts.
// CHECK-LABEL: func.func @logical(
// CHECK-SAME: tensor<9x2x32x64xbf16> {moe.name = "gate_up"
// CHECK-SAME: moe.packed = {columns = 1 : i64, dtype = "bf16", experts = 9 : i64, interleave = 0 : i64, k_block = 1 : i64, k_padded = 64 : i64, layout = "panels", n_padded = 64 : i64, parts = 2 : i64,
// CHECK-SAME: {{{.*}}first_expert = 0 : i64, name = "gate_up", part = 0 : i64
// CHECK-SAME: {{{.*}}first_expert = 0 : i64, name = "up", part = 1 : i64
// CHECK-SAME: {{{.*}}first_expert = 8 : i64, name = "shared.gate", part = 0 : i64
func.func @logical(%g: tensor<8x32x64xbf16> {moe.name = "gate_up"}, %u: tensor<8x32x64xbf16> {moe.name = "up"},
    %sg: tensor<32x64xbf16> {moe.name = "shared.gate"}, %su: tensor<32x64xbf16> {moe.name = "shared.up"}) -> tensor<9x2x32x64xbf16> {
  %p = moek.pack %g, %u, %sg, %su parts(2)
      : tensor<8x32x64xbf16>, tensor<8x32x64xbf16>, tensor<32x64xbf16>, tensor<32x64xbf16> -> tensor<9x2x32x64xbf16>
  return %p : tensor<9x2x32x64xbf16>
}

// The same of constants.
// CHECK-LABEL: func.func @constants(
// CHECK: arith.constant dense<{{\[\[\[\[}}1.000000e+00, 2.000000e+00], [3.000000e+00, 4.000000e+00]], {{\[\[}}5.000000e+00, 6.000000e+00], [7.000000e+00, 8.000000e+00]]]]> : tensor<1x2x2x2xf32>
// CHECK-NOT: moek.pack
func.func @constants() -> tensor<1x2x2x2xf32> {
  %g = arith.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  %u = arith.constant dense<[[5.0, 6.0], [7.0, 8.0]]> : tensor<2x2xf32>
  %p = moek.pack %g, %u parts(2) : tensor<2x2xf32>, tensor<2x2xf32> -> tensor<1x2x2x2xf32>
  return %p : tensor<1x2x2x2xf32>
}

// -----

// What is left of a slice has to be matrices.
func.func @rows(%w: tensor<32x8x64xf32> {moe.name = "w"}) -> tensor<1x1x64x32x1xf32> {
  // expected-note@+1 {{computed here}}
  %a = tensor.extract_slice %w[0, 2, 0] [32, 1, 64] [1, 1, 1] : tensor<32x8x64xf32> to tensor<32x64xf32>
  // expected-error@+1 {{operand #0 cannot be packed ahead of time: it is computed by tensor.extract_slice}}
  %p = moek.pack %a layout(#moe_cpu.panels<k_block = 1>) : tensor<32x64xf32> -> tensor<1x1x64x32x1xf32>
  return %p : tensor<1x1x64x32x1xf32>
}

// -----

func.func @computed(%w: tensor<1x32x64xf32> {moe.name = "w"}) -> tensor<1x1x64x32x1xf32> {
  // expected-note@+1 {{computed here}}
  %d = arith.addf %w, %w : tensor<1x32x64xf32>
  // expected-error@+1 {{operand #0 cannot be packed ahead of time: it is computed by }}
  %p = moek.pack %d layout(#moe_cpu.panels<k_block = 1>) : tensor<1x32x64xf32> -> tensor<1x1x64x32x1xf32>
  return %p : tensor<1x1x64x32x1xf32>
}

// -----

func.func @unnamed(%w: tensor<1x32x64xf32>) -> tensor<1x1x64x32x1xf32> {
  // expected-error@+1 {{which has no `moe.name`: weights files are packed by name}}
  %p = moek.pack %w layout(#moe_cpu.panels<k_block = 1>) : tensor<1x32x64xf32> -> tensor<1x1x64x32x1xf32>
  return %p : tensor<1x1x64x32x1xf32>
}

// -----

func.func private @helper(%w: tensor<1x32x64xf32> {moe.name = "w"}) -> tensor<1x1x64x32x1xf32> {
  // expected-error@+1 {{'moek.pack' op packs weights in a function that is no entry point}}
  %p = moek.pack %w layout(#moe_cpu.panels<k_block = 1>) : tensor<1x32x64xf32> -> tensor<1x1x64x32x1xf32>
  return %p : tensor<1x1x64x32x1xf32>
}
