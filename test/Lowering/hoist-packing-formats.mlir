// RUN: moe-opt %s --split-input-file --moek-hoist-packing --verify-diagnostics | FileCheck %s

// Weights that are stored in blocks stay what they are: the argument is said to
// be made of what they are stored in, as if that were the matrices.
// CHECK-LABEL: func.func @gate_and_up(
// CHECK-SAME: %[[P:[^:]*]]: tensor<8x4x4x576xi8> {moe.name = "experts.gate_proj", moe.packed = {block = 32 : i64, columns = 32 : i64, dtype = "i8", experts = 8 : i64,
// CHECK-SAME: fields = [{bytes = 2 : i64, float = "f16", offset = 0 : i64, range = {center = {{[^,]*}}, dtype = "f16", has_size = 1 : i64, spread = {{[^}]*}}}, storage = 0 : i64, unit = 2 : i64}, {bytes = 16 : i64, offset = 2 : i64, storage = 0 : i64, unit = 4 : i64}],
// CHECK-SAME: interleave = 16 : i64, k_padded = 128 : i64, layout = "blocks", n_padded = 128 : i64,
// CHECK-SAME: sources = [{dtype = "f32", first_expert = 0 : i64, name = "experts.gate_proj", part = 0 : i64, shape = [8, 64, 128], storage = [{dtype = "i8", name = "experts.gate_proj", shape = [8, 64, 4, 18]}]},
// CHECK-SAME: {dtype = "f32", first_expert = 0 : i64, name = "experts.up_proj", part = 1 : i64, shape = [8, 64, 128], storage = [{dtype = "i8", name = "experts.up_proj", shape = [8, 64, 72]}]}],
// CHECK-SAME: storage = [{blocks = 1 : i64, bytes = 18 : i64, name = "blocks", rows = 1 : i64}]}
// CHECK-SAME: attributes {moe.model_interface = [{name = "experts.gate_proj", type = tensor<8x64x4x18xi8>}, {name = "experts.up_proj", type = tensor<8x64x72xi8>}]}
// CHECK-NEXT: return %[[P]]
func.func @gate_and_up(%g: tensor<8x64x4x18xi8> {moe.name = "experts.gate_proj"},
    %u: tensor<8x64x72xi8> {moe.name = "experts.up_proj"}) -> tensor<8x4x4x576xi8> {
  %wg = moe.dequantize #moe.q4_0 (%g : tensor<8x64x4x18xi8>) : tensor<8x64x128xf32>
  %wu = moe.dequantize #moe.q4_0 (%u : tensor<8x64x72xi8>) : tensor<8x64x128xf32>
  %p = moek.pack %wg, %wu parts(2) layout(#moe_cpu.blocks<#moe.q4_0>)
      : tensor<8x64x128xf32>, tensor<8x64x128xf32> -> tensor<8x4x4x576xi8>
  return %p : tensor<8x4x4x576xi8>
}

// Gate and up in one tensor, some of the experts, and a stack of matrices.
// CHECK-LABEL: func.func @views(
// CHECK-SAME: sources = [{dtype = "f32", first_expert = 0 : i64, name = "gate_up", part = 0 : i64, shape = [8, 128, 64], storage = [{dtype = "i8", name = "gate_up", shape = [8, 128, 2, 34]}], view = {offset = 16384 : i64, sizes = [3, 64, 64], strides = [8192, 64, 1]}},
// CHECK-SAME: {dtype = "f32", first_expert = 3 : i64, name = "shared", part = 0 : i64, shape = [64, 128], storage = [{dtype = "i8", name = "shared", shape = [64, 4, 34]}], view = {offset = 32 : i64, sizes = [1, 64, 64], strides = [0, 128, 1]}},
// CHECK-SAME: {dtype = "f32", first_expert = 4 : i64, name = "odd", part = 0 : i64, shape = [8, 8, 64], {{.*}}view = {offset = 0 : i64, sizes = [1, 64, 64], strides = [0, 64, 1]}}]
// CHECK-NEXT: return
func.func @views(%a: tensor<8x128x2x34xi8> {moe.name = "gate_up"}, %b: tensor<64x4x34xi8> {moe.name = "shared"},
    %c: tensor<8x8x2x34xi8> {moe.name = "odd"}) -> tensor<5x2x2x1088xi8> {
  %wa = moe.dequantize #moe.q8_0 (%a : tensor<8x128x2x34xi8>) : tensor<8x128x64xf32>
  %wb = moe.dequantize #moe.q8_0 (%b : tensor<64x4x34xi8>) : tensor<64x128xf32>
  %wc = moe.dequantize #moe.q8_0 (%c : tensor<8x8x2x34xi8>) : tensor<8x8x64xf32>
  %sa = tensor.extract_slice %wa[2, 0, 0] [3, 64, 64] [1, 1, 1] : tensor<8x128x64xf32> to tensor<3x64x64xf32>
  %sb = tensor.extract_slice %wb[0, 32] [64, 64] [1, 1] : tensor<64x128xf32> to tensor<64x64xf32>
  %eb = tensor.expand_shape %sb [[0, 1], [2]] output_shape [1, 64, 64] : tensor<64x64xf32> into tensor<1x64x64xf32>
  %sc = tensor.collapse_shape %wc [[0, 1], [2]] : tensor<8x8x64xf32> into tensor<64x64xf32>
  %all = tensor.concat dim(0) %sa, %eb : (tensor<3x64x64xf32>, tensor<1x64x64xf32>) -> tensor<4x64x64xf32>
  %p = moek.pack %all, %sc layout(#moe_cpu.blocks<#moe.q8_0>)
      : tensor<4x64x64xf32>, tensor<64x64xf32> -> tensor<5x2x2x1088xi8>
  return %p : tensor<5x2x2x1088xi8>
}

// Every other row, as gpt-oss has them: rows may be anywhere.
// CHECK-LABEL: func.func @every_other_row(
// CHECK-SAME: view = {offset = 32 : i64, sizes = [2, 32, 32], strides = [2048, 64, 1]}}
func.func @every_other_row(%a: tensor<2x64x18xi8> {moe.name = "gate_up"}) -> tensor<2x1x1x576xi8> {
  %w = moe.dequantize #moe.q4_0 (%a : tensor<2x64x18xi8>) : tensor<2x64x32xf32>
  %s = tensor.extract_slice %w[0, 1, 0] [2, 32, 32] [1, 2, 1] : tensor<2x64x32xf32> to tensor<2x32x32xf32>
  %p = moek.pack %s layout(#moe_cpu.blocks<#moe.q4_0>) : tensor<2x32x32xf32> -> tensor<2x1x1x576xi8>
  return %p : tensor<2x1x1x576xi8>
}

// What else needs the weights keeps their argument.
// CHECK-LABEL: func.func @kept(
// CHECK-SAME: tensor<1x1x1x576xi8> {moe.name = "w.packed"
// CHECK-SAME: tensor<8x18xi8> {moe.name = "w"}
// CHECK-NEXT: moe.dequantize
func.func @kept(%a: tensor<8x18xi8> {moe.name = "w"}) -> (tensor<1x1x1x576xi8>, tensor<8x32xf32>) {
  %w = moe.dequantize #moe.q4_0 (%a : tensor<8x18xi8>) : tensor<8x32xf32>
  %p = moek.pack %w layout(#moe_cpu.blocks<#moe.q4_0>) : tensor<8x32xf32> -> tensor<1x1x1x576xi8>
  return %p, %w : tensor<1x1x1x576xi8>, tensor<8x32xf32>
}

// Constants are packed here and now: two rows whose scales are 1 and 2, and
// whose codes are 1 and 2 in all bytes.
// CHECK-LABEL: func.func @constants(
// CHECK-NEXT: arith.constant dense<"0x003C0040{{0+}}0101010102020202{{0+}}0101010102020202
// CHECK-NEXT: return
func.func @constants() -> tensor<1x1x1x576xi8> {
  %a = arith.constant dense<[[0, 60, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
                             [0, 64, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]]> : tensor<2x18xi8>
  %w = moe.dequantize #moe.q4_0 (%a : tensor<2x18xi8>) : tensor<2x32xf32>
  %p = moek.pack %w layout(#moe_cpu.blocks<#moe.q4_0>) : tensor<2x32xf32> -> tensor<1x1x1x576xi8>
  return %p : tensor<1x1x1x576xi8>
}

// -----

func.func @transposed(%a: tensor<32x18xi8> {moe.name = "w"}) -> tensor<1x1x1x576xi8> {
  %w = moe.dequantize #moe.q4_0 (%a : tensor<32x18xi8>) : tensor<32x32xf32>
  %e = tensor.empty() : tensor<32x32xf32>
  // expected-note@+1 {{computed here}}
  %t = linalg.transpose ins(%w : tensor<32x32xf32>) outs(%e : tensor<32x32xf32>) permutation = [1, 0]
  // expected-error@+1 {{operand #0 cannot be packed ahead of time: it is a view of moe.dequantize #moe.q4_0 whose rows are not those that it is stored by}}
  %p = moek.pack %t layout(#moe_cpu.blocks<#moe.q4_0>) : tensor<32x32xf32> -> tensor<1x1x1x576xi8>
  return %p : tensor<1x1x1x576xi8>
}

// -----

func.func @cut(%a: tensor<8x2x18xi8> {moe.name = "w"}) -> tensor<1x1x1x576xi8> {
  %w = moe.dequantize #moe.q4_0 (%a : tensor<8x2x18xi8>) : tensor<8x64xf32>
  // expected-note@+1 {{computed here}}
  %t = tensor.extract_slice %w[0, 16] [8, 32] [1, 1] : tensor<8x64xf32> to tensor<8x32xf32>
  // expected-error@+1 {{it is a view of moe.dequantize #moe.q4_0 that cuts its blocks of 32: columns 16 to 48, used from column 0 on}}
  %p = moek.pack %t layout(#moe_cpu.blocks<#moe.q4_0>) : tensor<8x32xf32> -> tensor<1x1x1x576xi8>
  return %p : tensor<1x1x1x576xi8>
}

// -----

func.func @folded_rows(%a: tensor<8x2x18xi8> {moe.name = "w"}) -> tensor<1x1x1x576xi8> {
  %w = moe.dequantize #moe.q4_0 (%a : tensor<8x2x18xi8>) : tensor<8x64xf32>
  %t = tensor.expand_shape %w [[0], [1, 2]] output_shape [8, 2, 32] : tensor<8x64xf32> into tensor<8x2x32xf32>
  // expected-note@+1 {{computed here}}
  %f = tensor.collapse_shape %t [[0, 1], [2]] : tensor<8x2x32xf32> into tensor<16x32xf32>
  // expected-error@+1 {{it is a view of moe.dequantize #moe.q4_0 with rows of 32 that are not parts of its rows of 64}}
  %p = moek.pack %f layout(#moe_cpu.blocks<#moe.q4_0>) : tensor<16x32xf32> -> tensor<1x1x1x576xi8>
  return %p : tensor<1x1x1x576xi8>
}

// -----

func.func @formats(%a: tensor<8x18xi8> {moe.name = "a"}, %b: tensor<8x34xi8> {moe.name = "b"}) -> tensor<1x1x1x576xi8> {
  %wa = moe.dequantize #moe.q4_0 (%a : tensor<8x18xi8>) : tensor<8x32xf32>
  %wb = moe.dequantize #moe.q8_0 (%b : tensor<8x34xi8>) : tensor<8x32xf32>
  // expected-note@+1 {{computed here}}
  %w = tensor.concat dim(0) %wa, %wb : (tensor<8x32xf32>, tensor<8x32xf32>) -> tensor<16x32xf32>
  // expected-error@+1 {{it is made of weights that are stored in different formats, #moe.q4_0 and #moe.q8_0}}
  %p = moek.pack %w layout(#moe_cpu.blocks<#moe.q4_0>) : tensor<16x32xf32> -> tensor<1x1x1x576xi8>
  return %p : tensor<1x1x1x576xi8>
}

// -----

func.func @half_constant(%a: tensor<8x18xi8> {moe.name = "a"}) -> tensor<1x1x1x576xi8> {
  %c = arith.constant dense<1> : tensor<8x18xi8>
  %wa = moe.dequantize #moe.q4_0 (%a : tensor<8x18xi8>) : tensor<8x32xf32>
  %wb = moe.dequantize #moe.q4_0 (%c : tensor<8x18xi8>) : tensor<8x32xf32>
  // expected-note@+1 {{computed here}}
  %w = tensor.concat dim(0) %wa, %wb : (tensor<8x32xf32>, tensor<8x32xf32>) -> tensor<16x32xf32>
  // expected-error@+1 {{it is made of constants and arguments}}
  %p = moek.pack %w layout(#moe_cpu.blocks<#moe.q4_0>) : tensor<16x32xf32> -> tensor<1x1x1x576xi8>
  return %p : tensor<1x1x1x576xi8>
}

// -----

func.func @bad_constant() -> tensor<1x1x1x576xi8> {
  %c = arith.constant dense<124> : tensor<8x18xi8>
  %w = moe.dequantize #moe.q4_0 (%c : tensor<8x18xi8>) : tensor<8x32xf32>
  // expected-error@+1 {{tensor 'constant 1' has nan for expert 0, row 0, block 0, which stands for no weights}}
  %p = moek.pack %w layout(#moe_cpu.blocks<#moe.q4_0>) : tensor<8x32xf32> -> tensor<1x1x1x576xi8>
  return %p : tensor<1x1x1x576xi8>
}

// -----

func.func @view_of_storage(%a: tensor<2x8x18xi8> {moe.name = "a"}) -> tensor<1x1x1x576xi8> {
  %s = tensor.extract_slice %a[1, 0, 0] [1, 8, 18] [1, 1, 1] : tensor<2x8x18xi8> to tensor<8x18xi8>
  // expected-note@+1 {{computed here}}
  %w = moe.dequantize #moe.q4_0 (%s : tensor<8x18xi8>) : tensor<8x32xf32>
  // expected-error@+1 {{it is computed by moe.dequantize of views of tensors; dequantize them as they are and take the views of the weights}}
  %p = moek.pack %w layout(#moe_cpu.blocks<#moe.q4_0>) : tensor<8x32xf32> -> tensor<1x1x1x576xi8>
  return %p : tensor<1x1x1x576xi8>
}

// -----

func.func @plain(%a: tensor<8x32xf32> {moe.name = "a"}) -> tensor<1x1x1x576xi8> {
  // expected-error@+1 {{operand #0 is plain numbers, and the layout of the pack is one of blocks}}
  %p = moek.pack %a layout(#moe_cpu.blocks<#moe.q4_0>) : tensor<8x32xf32> -> tensor<1x1x1x576xi8>
  return %p : tensor<1x1x1x576xi8>
}

// -----

func.func @logical(%a: tensor<8x18xi8> {moe.name = "a"}) -> tensor<1x1x8x32xf32> {
  %w = moe.dequantize #moe.q4_0 (%a : tensor<8x18xi8>) : tensor<8x32xf32>
  // expected-error@+1 {{operand #0 is stored in #moe.q4_0, which the layout of the pack does not keep}}
  %p = moek.pack %w : tensor<8x32xf32> -> tensor<1x1x8x32xf32>
  return %p : tensor<1x1x8x32xf32>
}

// -----

func.func @other_format(%a: tensor<8x34xi8> {moe.name = "a"}) -> tensor<1x1x1x576xi8> {
  %w = moe.dequantize #moe.q8_0 (%a : tensor<8x34xi8>) : tensor<8x32xf32>
  // expected-error@+1 {{source 'a' is stored in 'a' of i8[8x34], which has not the bytes of f32[8x32]}}
  %p = moek.pack %w layout(#moe_cpu.blocks<#moe.q4_0>) : tensor<8x32xf32> -> tensor<1x1x1x576xi8>
  return %p : tensor<1x1x1x576xi8>
}
