// RUN: moe-opt %s --split-input-file --moek-hoist-packing --verify-diagnostics | FileCheck %s

// Gate and up of the routed and of a shared expert become one argument, the
// router keeps its plain form for its other use.
// CHECK-LABEL: func.func @layer(
// CHECK-SAME: %[[X:[^:]*]]: tensor<?x64xf32> {moe.dims = ["T"], moe.name = "x"}
// CHECK-SAME: tensor<1x1x64x32x1xf32> {moe.name = "router.weight.packed"
// CHECK-SAME: moe.packed = {columns = 32 : i64, dtype = "f32", experts = 1 : i64, interleave = 0 : i64, k_block = 1 : i64, k_padded = 64 : i64, layout = "panels", n_padded = 32 : i64,
// CHECK-SAME: sources = [{dtype = "f32", first_expert = 0 : i64, name = "router.weight", part = 0 : i64, shape = [8, 64]}]}
// CHECK-SAME: tensor<8x64xf32> {moe.name = "router.weight"}
// CHECK-SAME: %[[P:[^:]*]]: tensor<9x2x32x32x2xbf16> {moe.name = "experts.gate_proj"
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

// What the kernels that read weights do with them is their role, and names what
// is made of several, however the model calls those.
// CHECK-LABEL: func.func @roles(
// CHECK-SAME: tensor<2x2x8x16xf32> {moe.name = "experts.gate_up", moe.packed = {{{.*}}name = "experts.w1"{{.*}}name = "experts.w3"{{.*}}}, moe.role = "gate_up"}
// CHECK-SAME: tensor<2x1x16x8xf32> {moe.name = "experts.w2", moe.packed = {{{.*}}}, moe.role = "down"}
func.func @roles(%x: tensor<?x16xf32> {moe.name = "x", moe.dims = ["R"]}, %a: tensor<2x8x16xf32> {moe.name = "experts.w1"},
    %b: tensor<2x16x8xf32> {moe.name = "experts.w2"}, %c: tensor<2x8x16xf32> {moe.name = "experts.w3"},
    %o: tensor<3xi32> {moe.name = "o"}, %h: tensor<?x8xf32> {moe.name = "h", moe.dims = ["R"]}) -> tensor<?x16xf32> {
  %p = moek.pack %a, %c parts(2) : tensor<2x8x16xf32>, tensor<2x8x16xf32> -> tensor<2x2x8x16xf32>
  %q = moek.pack %b : tensor<2x16x8xf32> -> tensor<2x1x16x8xf32>
  %g = moek.grouped_matmul n(8) k(16) parts(2) lhs(%x : tensor<?x16xf32>) rhs(%p : tensor<2x2x8x16xf32>)
    groups(%o, %o : tensor<3xi32>, tensor<3xi32>) phase("gate_up") outs(%h : tensor<?x8xf32>) epilogue {
    ^bb0(%v: f32, %w: f32):
      moek.yield %v : f32
    } -> tensor<?x8xf32>
  %y = moek.grouped_matmul n(16) k(8) lhs(%g : tensor<?x8xf32>) rhs(%q : tensor<2x1x16x8xf32>)
    groups(%o, %o : tensor<3xi32>, tensor<3xi32>) phase("down") outs(%x : tensor<?x16xf32>) epilogue {
    ^bb0(%v: f32):
      moek.yield %v : f32
    } -> tensor<?x16xf32>
  return %y : tensor<?x16xf32>
}

// A shared expert as large as two is cut up: rows of gate, columns of down.
// CHECK-LABEL: func.func @slices(
// CHECK-SAME: moe.name = "shared.up_proj"
// CHECK-SAME: {dtype = "f32", first_expert = 0 : i64, name = "shared.up_proj", part = 0 : i64, shape = [64, 64], view = {offset = 0 : i64, sizes = [1, 32, 64], strides = [0, 64, 1]}}
// CHECK-SAME: {dtype = "f32", first_expert = 1 : i64, name = "shared.up_proj", part = 0 : i64, shape = [64, 64], view = {offset = 2048 : i64, sizes = [1, 32, 64], strides = [0, 64, 1]}}
// CHECK-NOT: tensor.extract_slice
func.func @slices(%u: tensor<64x64xf32> {moe.name = "shared.up_proj"}) -> tensor<2x1x64x32x1xf32> {
  %a = tensor.extract_slice %u[0, 0] [32, 64] [1, 1] : tensor<64x64xf32> to tensor<32x64xf32>
  %b = tensor.extract_slice %u[32, 0] [32, 64] [1, 1] : tensor<64x64xf32> to tensor<32x64xf32>
  %p = moek.pack %a, %b layout(#moe_cpu.panels<k_block = 1>) : tensor<32x64xf32>, tensor<32x64xf32> -> tensor<2x1x64x32x1xf32>
  return %p : tensor<2x1x64x32x1xf32>
}

// Some of the experts are a slice, too.
// CHECK-LABEL: func.func @experts(
// CHECK-SAME: shape = [8, 32, 64], view = {offset = 4096 : i64, sizes = [4, 32, 64], strides = [2048, 64, 1]}}
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
// CHECK-LABEL: func.func @logical_constants(
// CHECK: arith.constant dense<{{\[\[\[\[}}1.000000e+00, 2.000000e+00], [3.000000e+00, 4.000000e+00]], {{\[\[}}5.000000e+00, 6.000000e+00], [7.000000e+00, 8.000000e+00]]]]> : tensor<1x2x2x2xf32>
// CHECK-NOT: moek.pack
func.func @logical_constants() -> tensor<1x2x2x2xf32> {
  %g = arith.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  %u = arith.constant dense<[[5.0, 6.0], [7.0, 8.0]]> : tensor<2x2xf32>
  %p = moek.pack %g, %u parts(2) : tensor<2x2xf32>, tensor<2x2xf32> -> tensor<1x2x2x2xf32>
  return %p : tensor<1x2x2x2xf32>
}

// Rows of all experts may be a dimension in between.
// CHECK-LABEL: func.func @rows(
// CHECK-SAME: shape = [32, 8, 64], view = {offset = 128 : i64, sizes = [1, 32, 64], strides = [0, 512, 1]}}
// CHECK-NOT: tensor.extract_slice
func.func @rows(%w: tensor<32x8x64xf32> {moe.name = "w"}) -> tensor<1x1x64x32x1xf32> {
  %a = tensor.extract_slice %w[0, 2, 0] [32, 1, 64] [1, 1, 1] : tensor<32x8x64xf32> to tensor<32x64xf32>
  %p = moek.pack %a layout(#moe_cpu.panels<k_block = 1>) : tensor<32x64xf32> -> tensor<1x1x64x32x1xf32>
  return %p : tensor<1x1x64x32x1xf32>
}

// Every other column of [E, H, 2I]: a slice of a transposition, and a
// transposition of a slice of a reshape. The argument goes.
// CHECK-LABEL: func.func @interleaved(
// CHECK-SAME: tensor<4x2x64x32x1xf32> {moe.name = "gate_up"
// CHECK-SAME: {dtype = "f32", first_expert = 0 : i64, name = "gate_up", part = 0 : i64, shape = [4, 64, 48], view = {offset = 0 : i64, sizes = [4, 24, 64], strides = [3072, 2, 48]}}
// CHECK-SAME: part = 1 : i64, shape = [4, 64, 48], view = {offset = 1 : i64, sizes = [4, 24, 64], strides = [3072, 2, 48]}}
// CHECK-SAME: }}) -> tensor<4x2x64x32x1xf32>
// CHECK-NEXT: return
func.func @interleaved(%w: tensor<4x64x48xf32> {moe.name = "gate_up"}) -> tensor<4x2x64x32x1xf32> {
  %e = tensor.empty() : tensor<4x48x64xf32>
  %t = linalg.transpose ins(%w : tensor<4x64x48xf32>) outs(%e : tensor<4x48x64xf32>) permutation = [0, 2, 1]
  %g = tensor.extract_slice %t[0, 0, 0] [4, 24, 64] [1, 2, 1] : tensor<4x48x64xf32> to tensor<4x24x64xf32>
  %s = tensor.expand_shape %w [[0], [1], [2, 3]] output_shape [4, 64, 24, 2] : tensor<4x64x48xf32> into tensor<4x64x24x2xf32>
  %o = tensor.extract_slice %s[0, 0, 0, 1] [4, 64, 24, 1] [1, 1, 1, 1] : tensor<4x64x24x2xf32> to tensor<4x64x24xf32>
  %f = tensor.empty() : tensor<4x24x64xf32>
  %u = linalg.generic {indexing_maps = [affine_map<(e, n, k) -> (e, k, n)>, affine_map<(e, n, k) -> (e, n, k)>], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%o : tensor<4x64x24xf32>) outs(%f : tensor<4x24x64xf32>) {
  ^bb0(%a: f32, %b: f32):
    linalg.yield %a : f32
  } -> tensor<4x24x64xf32>
  %p = moek.pack %g, %u parts(2) layout(#moe_cpu.panels<k_block = 1>) : tensor<4x24x64xf32>, tensor<4x24x64xf32> -> tensor<4x2x64x32x1xf32>
  return %p : tensor<4x2x64x32x1xf32>
}

// Put together along each dimension, cut across what was put together, and
// merged again. What is written over is not there, like the zeros below all.
// CHECK-LABEL: func.func @pieces(
// CHECK-SAME: sources = [{dtype = "f32", first_expert = 0 : i64, name = "a", part = 0 : i64, shape = [24, 64]},
// CHECK-SAME: {dtype = "f32", first_expert = 1 : i64, name = "b", part = 0 : i64, shape = [24, 60]}
// CHECK-SAME: {dtype = "f32", first_expert = 1 : i64, first_k = 60 : i64, name = "c", part = 0 : i64, shape = [4, 24], view = {offset = 0 : i64, sizes = [1, 24, 4], strides = [0, 1, 24]}}
// CHECK-SAME: {dtype = "f32", first_expert = 2 : i64, name = "d", part = 0 : i64, shape = [100, 64], view = {offset = 3072 : i64, sizes = [1, 20, 64], strides = [0, 64, 1]}}
// CHECK-SAME: {dtype = "f32", first_expert = 2 : i64, first_n = 20 : i64, name = "a", part = 0 : i64, shape = [24, 64], view = {offset = 0 : i64, sizes = [1, 4, 64], strides = [0, 64, 1]}}
// CHECK-NEXT: return
func.func @pieces(%a: tensor<24x64xf32> {moe.name = "a"}, %b: tensor<24x60xf32> {moe.name = "b"}, %c: tensor<4x24xf32> {moe.name = "c"},
    %d: tensor<100x64xf32> {moe.name = "d"}) -> tensor<3x1x64x32x1xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<3x24x64xf32>
  %e = linalg.fill ins(%zero : f32) outs(%empty : tensor<3x24x64xf32>) -> tensor<3x24x64xf32>
  %ct = tensor.empty() : tensor<24x4xf32>
  %t = linalg.transpose ins(%c : tensor<4x24xf32>) outs(%ct : tensor<24x4xf32>) permutation = [1, 0]
  %bc = tensor.concat dim(1) %b, %t : (tensor<24x60xf32>, tensor<24x4xf32>) -> tensor<24x64xf32>
  %ds = tensor.extract_slice %d[20, 0] [48, 64] [1, 1] : tensor<100x64xf32> to tensor<48x64xf32>
  %da = tensor.concat dim(0) %ds, %a : (tensor<48x64xf32>, tensor<24x64xf32>) -> tensor<72x64xf32>
  %last = tensor.extract_slice %da[28, 0] [24, 64] [1, 1] : tensor<72x64xf32> to tensor<24x64xf32>
  %0 = tensor.insert_slice %last into %e[0, 0, 0] [1, 24, 64] [1, 1, 1] : tensor<24x64xf32> into tensor<3x24x64xf32>
  %1 = tensor.insert_slice %last into %0[2, 0, 0] [1, 24, 64] [1, 1, 1] : tensor<24x64xf32> into tensor<3x24x64xf32>
  %2 = tensor.insert_slice %bc into %1[1, 0, 0] [1, 24, 64] [1, 1, 1] : tensor<24x64xf32> into tensor<3x24x64xf32>
  %3 = tensor.insert_slice %a into %2[0, 0, 0] [1, 24, 64] [1, 1, 1] : tensor<24x64xf32> into tensor<3x24x64xf32>
  %flat = tensor.collapse_shape %3 [[0, 1], [2]] : tensor<3x24x64xf32> into tensor<72x64xf32>
  %w = tensor.expand_shape %flat [[0, 1], [2]] output_shape [3, 24, 64] : tensor<72x64xf32> into tensor<3x24x64xf32>
  %p = moek.pack %w layout(#moe_cpu.panels<k_block = 1>) : tensor<3x24x64xf32> -> tensor<3x1x64x32x1xf32>
  return %p : tensor<3x1x64x32x1xf32>
}

// Views of constants are packed here and now.
// CHECK-LABEL: func.func @constants(
// The rows 1 4 9 and 2 5 9.
// CHECK-NEXT: arith.constant dense<"0x0000803F00008040000010410000000{{0+}}400000A040000010410000{{0+}}"> : tensor<1x1x8x32x1xf32>
// CHECK-NEXT: return
func.func @constants() -> tensor<1x1x8x32x1xf32> {
  %w = arith.constant dense<[[1., 2., 3.], [4., 5., 6.]]> : tensor<2x3xf32>
  %nine = arith.constant dense<9.> : tensor<1x2xf32>
  %s = tensor.extract_slice %w[0, 0] [2, 2] [1, 1] : tensor<2x3xf32> to tensor<2x2xf32>
  %n = tensor.concat dim(0) %s, %nine : (tensor<2x2xf32>, tensor<1x2xf32>) -> tensor<3x2xf32>
  %p = moek.pack %n layout(#moe_cpu.panels<k_block = 1>) : tensor<3x2xf32> -> tensor<1x1x8x32x1xf32>
  return %p : tensor<1x1x8x32x1xf32>
}

// -----

func.func @no_constant(%w: tensor<32x8x64xf32> {moe.name = "w"}, %i: index {moe.name = "i"}) -> tensor<1x1x64x32x1xf32> {
  // expected-note@+1 {{computed here}}
  %a = tensor.extract_slice %w[0, %i, 0] [32, 1, 64] [1, 1, 1] : tensor<32x8x64xf32> to tensor<32x64xf32>
  // expected-error@+1 {{operand #0 cannot be packed ahead of time: it is computed by tensor.extract_slice whose offsets, sizes or strides are no constants}}
  %p = moek.pack %a layout(#moe_cpu.panels<k_block = 1>) : tensor<32x64xf32> -> tensor<1x1x64x32x1xf32>
  return %p : tensor<1x1x64x32x1xf32>
}

// -----

func.func @uneven(%w: tensor<2x32x64xf32> {moe.name = "w"}) -> tensor<1x1x32x32x1xf32> {
  %a = tensor.extract_slice %w[0, 0, 0] [2, 32, 32] [1, 1, 1] : tensor<2x32x64xf32> to tensor<2x32x32xf32>
  %t = tensor.extract_slice %a[0, 0, 0] [2, 16, 32] [1, 1, 1] : tensor<2x32x32xf32> to tensor<2x16x32xf32>
  // expected-note@+1 {{computed here}}
  %b = tensor.collapse_shape %t [[0, 1], [2]] : tensor<2x16x32xf32> into tensor<32x32xf32>
  // expected-error@+1 {{it is computed by tensor.collapse_shape of dimensions whose elements are not evenly spaced together}}
  %p = moek.pack %b layout(#moe_cpu.panels<k_block = 1>) : tensor<32x32xf32> -> tensor<1x1x32x32x1xf32>
  return %p : tensor<1x1x32x32x1xf32>
}

// -----

func.func @not_all(%w: tensor<16x64xf32> {moe.name = "w"}) -> tensor<1x1x64x32x1xf32> {
  %e = tensor.empty() : tensor<32x64xf32>
  // expected-note@+1 {{computed here}}
  %a = tensor.insert_slice %w into %e[8, 0] [16, 64] [1, 1] : tensor<16x64xf32> into tensor<32x64xf32>
  // expected-error@+1 {{it has elements that nothing writes}}
  %p = moek.pack %a layout(#moe_cpu.panels<k_block = 1>) : tensor<32x64xf32> -> tensor<1x1x64x32x1xf32>
  return %p : tensor<1x1x64x32x1xf32>
}

// -----

func.func @written_over(%w: tensor<16x64xf32> {moe.name = "w"}, %v: tensor<32x64xf32> {moe.name = "v"}) -> tensor<1x1x64x32x1xf32> {
  // expected-note@+1 {{computed here}}
  %a = tensor.insert_slice %w into %v[8, 0] [16, 64] [1, 1] : tensor<16x64xf32> into tensor<32x64xf32>
  // expected-error@+1 {{it is computed by tensor.insert_slice that writes over a part of another}}
  %p = moek.pack %a layout(#moe_cpu.panels<k_block = 1>) : tensor<32x64xf32> -> tensor<1x1x64x32x1xf32>
  return %p : tensor<1x1x64x32x1xf32>
}

// -----

func.func @half_constant(%w: tensor<16x64xf32> {moe.name = "w"}) -> tensor<1x1x64x32x1xf32> {
  %c = arith.constant dense<1.0> : tensor<16x64xf32>
  // expected-note@+1 {{computed here}}
  %a = tensor.concat dim(0) %w, %c : (tensor<16x64xf32>, tensor<16x64xf32>) -> tensor<32x64xf32>
  // expected-error@+1 {{it is made of constants and arguments}}
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
