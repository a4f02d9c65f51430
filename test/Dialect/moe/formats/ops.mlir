// Every format as it is printed, and stored as its dialect page says.
// RUN: moe-opt %s | moe-opt | FileCheck %s

// CHECK-LABEL: @f16
func.func @f16(%values: tensor<2x3x64xf16>) -> tensor<2x3x64xf32> {
  // CHECK: moe.dequantize #moe.f16(%{{.*}} : tensor<2x3x64xf16>) : tensor<2x3x64xf32>
  %w = moe.dequantize #moe.f16 (%values : tensor<2x3x64xf16>) : tensor<2x3x64xf32>
  return %w : tensor<2x3x64xf32>
}

// CHECK-LABEL: @q4_0
func.func @q4_0(%blocks: tensor<2x3x2x18xi8>) -> tensor<2x3x64xf32> {
  // CHECK: moe.dequantize #moe.q4_0(%{{.*}} : tensor<2x3x2x18xi8>) : tensor<2x3x64xf32>
  %w = moe.dequantize #moe.q4_0 (%blocks : tensor<2x3x2x18xi8>) : tensor<2x3x64xf32>
  return %w : tensor<2x3x64xf32>
}

// CHECK-LABEL: @q4_1
func.func @q4_1(%blocks: tensor<2x3x2x20xi8>) -> tensor<2x3x64xf32> {
  // CHECK: moe.dequantize #moe.q4_1(%{{.*}} : tensor<2x3x2x20xi8>) : tensor<2x3x64xf32>
  %w = moe.dequantize #moe.q4_1 (%blocks : tensor<2x3x2x20xi8>) : tensor<2x3x64xf32>
  return %w : tensor<2x3x64xf32>
}

// CHECK-LABEL: @q5_0
func.func @q5_0(%blocks: tensor<2x3x2x22xi8>) -> tensor<2x3x64xf32> {
  // CHECK: moe.dequantize #moe.q5_0(%{{.*}} : tensor<2x3x2x22xi8>) : tensor<2x3x64xf32>
  %w = moe.dequantize #moe.q5_0 (%blocks : tensor<2x3x2x22xi8>) : tensor<2x3x64xf32>
  return %w : tensor<2x3x64xf32>
}

// CHECK-LABEL: @q5_1
func.func @q5_1(%blocks: tensor<2x3x2x24xi8>) -> tensor<2x3x64xf32> {
  // CHECK: moe.dequantize #moe.q5_1(%{{.*}} : tensor<2x3x2x24xi8>) : tensor<2x3x64xf32>
  %w = moe.dequantize #moe.q5_1 (%blocks : tensor<2x3x2x24xi8>) : tensor<2x3x64xf32>
  return %w : tensor<2x3x64xf32>
}

// CHECK-LABEL: @q8_0
func.func @q8_0(%blocks: tensor<2x3x2x34xi8>) -> tensor<2x3x64xf32> {
  // CHECK: moe.dequantize #moe.q8_0(%{{.*}} : tensor<2x3x2x34xi8>) : tensor<2x3x64xf32>
  %w = moe.dequantize #moe.q8_0 (%blocks : tensor<2x3x2x34xi8>) : tensor<2x3x64xf32>
  return %w : tensor<2x3x64xf32>
}

// CHECK-LABEL: @iq4_nl
func.func @iq4_nl(%blocks: tensor<2x3x2x18xi8>) -> tensor<2x3x64xf32> {
  // CHECK: moe.dequantize #moe.iq4_nl(%{{.*}} : tensor<2x3x2x18xi8>) : tensor<2x3x64xf32>
  %w = moe.dequantize #moe.iq4_nl (%blocks : tensor<2x3x2x18xi8>) : tensor<2x3x64xf32>
  return %w : tensor<2x3x64xf32>
}

// CHECK-LABEL: @mxfp4_blocks
func.func @mxfp4_blocks(%blocks: tensor<2x3x2x17xi8>) -> tensor<2x3x64xf32> {
  // CHECK: moe.dequantize #moe.mxfp4_blocks(%{{.*}} : tensor<2x3x2x17xi8>) : tensor<2x3x64xf32>
  %w = moe.dequantize #moe.mxfp4_blocks (%blocks : tensor<2x3x2x17xi8>) : tensor<2x3x64xf32>
  return %w : tensor<2x3x64xf32>
}

// CHECK-LABEL: @nvfp4
func.func @nvfp4(%blocks: tensor<2x3x2x36xi8>) -> tensor<2x3x128xf32> {
  // CHECK: moe.dequantize #moe.nvfp4(%{{.*}} : tensor<2x3x2x36xi8>) : tensor<2x3x128xf32>
  %w = moe.dequantize #moe.nvfp4 (%blocks : tensor<2x3x2x36xi8>) : tensor<2x3x128xf32>
  return %w : tensor<2x3x128xf32>
}

// CHECK-LABEL: @q2_k
func.func @q2_k(%blocks: tensor<2x1x2x84xi8>) -> tensor<2x1x512xf32> {
  // CHECK: moe.dequantize #moe.q2_k(%{{.*}} : tensor<2x1x2x84xi8>) : tensor<2x1x512xf32>
  %w = moe.dequantize #moe.q2_k (%blocks : tensor<2x1x2x84xi8>) : tensor<2x1x512xf32>
  return %w : tensor<2x1x512xf32>
}

// CHECK-LABEL: @q3_k
func.func @q3_k(%blocks: tensor<2x1x2x110xi8>) -> tensor<2x1x512xf32> {
  // CHECK: moe.dequantize #moe.q3_k(%{{.*}} : tensor<2x1x2x110xi8>) : tensor<2x1x512xf32>
  %w = moe.dequantize #moe.q3_k (%blocks : tensor<2x1x2x110xi8>) : tensor<2x1x512xf32>
  return %w : tensor<2x1x512xf32>
}

// CHECK-LABEL: @q4_k
func.func @q4_k(%blocks: tensor<2x1x2x144xi8>) -> tensor<2x1x512xf32> {
  // CHECK: moe.dequantize #moe.q4_k(%{{.*}} : tensor<2x1x2x144xi8>) : tensor<2x1x512xf32>
  %w = moe.dequantize #moe.q4_k (%blocks : tensor<2x1x2x144xi8>) : tensor<2x1x512xf32>
  return %w : tensor<2x1x512xf32>
}

// CHECK-LABEL: @q5_k
func.func @q5_k(%blocks: tensor<2x1x2x176xi8>) -> tensor<2x1x512xf32> {
  // CHECK: moe.dequantize #moe.q5_k(%{{.*}} : tensor<2x1x2x176xi8>) : tensor<2x1x512xf32>
  %w = moe.dequantize #moe.q5_k (%blocks : tensor<2x1x2x176xi8>) : tensor<2x1x512xf32>
  return %w : tensor<2x1x512xf32>
}

// CHECK-LABEL: @q6_k
func.func @q6_k(%blocks: tensor<2x1x2x210xi8>) -> tensor<2x1x512xf32> {
  // CHECK: moe.dequantize #moe.q6_k(%{{.*}} : tensor<2x1x2x210xi8>) : tensor<2x1x512xf32>
  %w = moe.dequantize #moe.q6_k (%blocks : tensor<2x1x2x210xi8>) : tensor<2x1x512xf32>
  return %w : tensor<2x1x512xf32>
}

// CHECK-LABEL: @iq4_xs
func.func @iq4_xs(%blocks: tensor<2x1x2x136xi8>) -> tensor<2x1x512xf32> {
  // CHECK: moe.dequantize #moe.iq4_xs(%{{.*}} : tensor<2x1x2x136xi8>) : tensor<2x1x512xf32>
  %w = moe.dequantize #moe.iq4_xs (%blocks : tensor<2x1x2x136xi8>) : tensor<2x1x512xf32>
  return %w : tensor<2x1x512xf32>
}

// CHECK-LABEL: @mxfp4
func.func @mxfp4(%blocks: tensor<2x3x2x16xi8>, %scales: tensor<2x3x2xi8>) -> tensor<2x3x64xf32> {
  // CHECK: moe.dequantize #moe.mxfp4(%{{.*}}, %{{.*}} : tensor<2x3x2x16xi8>, tensor<2x3x2xi8>) : tensor<2x3x64xf32>
  %w = moe.dequantize #moe.mxfp4 (%blocks, %scales : tensor<2x3x2x16xi8>, tensor<2x3x2xi8>) : tensor<2x3x64xf32>
  return %w : tensor<2x3x64xf32>
}

// CHECK-LABEL: @fp8
func.func @fp8(%values: tensor<2x3x160xf8E4M3FN>, %scales: tensor<2x1x2xf32>) -> tensor<2x3x160xf32> {
  // CHECK: moe.dequantize #moe.fp8(%{{.*}}, %{{.*}} : tensor<2x3x160xf8E4M3FN>, tensor<2x1x2xf32>) : tensor<2x3x160xf32>
  %w = moe.dequantize #moe.fp8 (%values, %scales : tensor<2x3x160xf8E4M3FN>, tensor<2x1x2xf32>) : tensor<2x3x160xf32>
  return %w : tensor<2x3x160xf32>
}

// CHECK-LABEL: @fp8_tiles
func.func @fp8_tiles(%values: tensor<2x5x96xf8E4M3FN>, %scales: tensor<2x3x2xf32>) -> tensor<2x5x96xf32> {
  // CHECK: moe.dequantize #moe.fp8<rows = 2, columns = 64>(%{{.*}}, %{{.*}} : tensor<2x5x96xf8E4M3FN>, tensor<2x3x2xf32>) : tensor<2x5x96xf32>
  %w = moe.dequantize #moe.fp8<rows = 2, columns = 64> (%values, %scales : tensor<2x5x96xf8E4M3FN>, tensor<2x3x2xf32>) : tensor<2x5x96xf32>
  return %w : tensor<2x5x96xf32>
}

// CHECK-LABEL: @fp8_rows
func.func @fp8_rows(%values: tensor<2x3x32xf8E4M3FN>, %scales: tensor<2x3xf32>) -> tensor<2x3x32xf32> {
  // CHECK: moe.dequantize #moe.fp8<rows = 1, columns = 0>(%{{.*}}, %{{.*}} : tensor<2x3x32xf8E4M3FN>, tensor<2x3xf32>) : tensor<2x3x32xf32>
  %w = moe.dequantize #moe.fp8<rows = 1, columns = 0> (%values, %scales : tensor<2x3x32xf8E4M3FN>, tensor<2x3xf32>) : tensor<2x3x32xf32>
  return %w : tensor<2x3x32xf32>
}

// CHECK-LABEL: @int8
func.func @int8(%q: tensor<2x3x32xi8>, %scales: tensor<2x3xf32>) -> tensor<2x3x32xf32> {
  // CHECK: moe.dequantize #moe.int8(%{{.*}}, %{{.*}} : tensor<2x3x32xi8>, tensor<2x3xf32>) : tensor<2x3x32xf32>
  %w = moe.dequantize #moe.int8 (%q, %scales : tensor<2x3x32xi8>, tensor<2x3xf32>) : tensor<2x3x32xf32>
  return %w : tensor<2x3x32xf32>
}

// CHECK-LABEL: @int4
func.func @int4(%q: tensor<2x3x32xi8>, %scales: tensor<2x3x2xf16>) -> tensor<2x3x64xf32> {
  // CHECK: moe.dequantize #moe.int4<group = 32, scales = f16>(%{{.*}}, %{{.*}} : tensor<2x3x32xi8>, tensor<2x3x2xf16>) : tensor<2x3x64xf32>
  %w = moe.dequantize #moe.int4<group = 32, scales = f16> (%q, %scales : tensor<2x3x32xi8>, tensor<2x3x2xf16>) : tensor<2x3x64xf32>
  return %w : tensor<2x3x64xf32>
}

// CHECK-LABEL: @int4_zeros
func.func @int4_zeros(%q: tensor<2x3x32xi8>, %scales: tensor<2x3x1xbf16>, %zeros: tensor<2x3x1xbf16>) -> tensor<2x3x64xf32> {
  // CHECK: moe.dequantize #moe.int4<group = 64, scales = bf16, zeros = true>(%{{.*}}, %{{.*}}, %{{.*}} : tensor<2x3x32xi8>, tensor<2x3x1xbf16>, tensor<2x3x1xbf16>) : tensor<2x3x64xf32>
  %w = moe.dequantize #moe.int4<group = 64, scales = bf16, zeros = true> (%q, %scales, %zeros : tensor<2x3x32xi8>, tensor<2x3x1xbf16>, tensor<2x3x1xbf16>) : tensor<2x3x64xf32>
  return %w : tensor<2x3x64xf32>
}

// CHECK-LABEL: @tq1_0
func.func @tq1_0(%blocks: tensor<2x1x2x54xi8>) -> tensor<2x1x512xf32> {
  // CHECK: moe.dequantize #moe.tq1_0(%{{.*}} : tensor<2x1x2x54xi8>) : tensor<2x1x512xf32>
  %w = moe.dequantize #moe.tq1_0 (%blocks : tensor<2x1x2x54xi8>) : tensor<2x1x512xf32>
  return %w : tensor<2x1x512xf32>
}

// CHECK-LABEL: @tq2_0
func.func @tq2_0(%blocks: tensor<2x1x2x66xi8>) -> tensor<2x1x512xf32> {
  // CHECK: moe.dequantize #moe.tq2_0(%{{.*}} : tensor<2x1x2x66xi8>) : tensor<2x1x512xf32>
  %w = moe.dequantize #moe.tq2_0 (%blocks : tensor<2x1x2x66xi8>) : tensor<2x1x512xf32>
  return %w : tensor<2x1x512xf32>
}

// CHECK-LABEL: @fp8_exponents
func.func @fp8_exponents(%values: tensor<2x3x160xf8E4M3FN>, %scales: tensor<2x1x2xi8>) -> tensor<2x3x160xf32> {
  // CHECK: moe.dequantize #moe.fp8<exponents = true>(%{{.*}}, %{{.*}} : tensor<2x3x160xf8E4M3FN>, tensor<2x1x2xi8>) : tensor<2x3x160xf32>
  %w = moe.dequantize #moe.fp8<exponents = true> (%values, %scales : tensor<2x3x160xf8E4M3FN>, tensor<2x1x2xi8>) : tensor<2x3x160xf32>
  return %w : tensor<2x3x160xf32>
}

// CHECK-LABEL: @pack_quantized
func.func @pack_quantized(%q: tensor<2x16x16xi32>, %scales: tensor<2x16x2xf16>, %zeros: tensor<2x2x2xi32>) -> tensor<2x16x128xf32> {
  // CHECK: moe.dequantize #moe.int4<group = 64, scales = f16, zeros = true, order = pack_quantized>(%{{.*}}, %{{.*}}, %{{.*}} : tensor<2x16x16xi32>, tensor<2x16x2xf16>, tensor<2x2x2xi32>) : tensor<2x16x128xf32>
  %w = moe.dequantize #moe.int4<group = 64, scales = f16, zeros = true, order = pack_quantized> (%q, %scales, %zeros : tensor<2x16x16xi32>, tensor<2x16x2xf16>, tensor<2x2x2xi32>) : tensor<2x16x128xf32>
  return %w : tensor<2x16x128xf32>
}

// CHECK-LABEL: @awq
func.func @awq(%q: tensor<2x128x2xi32>, %scales: tensor<2x2x16xf16>, %zeros: tensor<2x2x2xi32>) -> tensor<2x16x128xf32> {
  // CHECK: moe.dequantize #moe.int4<group = 64, scales = f16, zeros = true, order = awq>(%{{.*}}, %{{.*}}, %{{.*}} : tensor<2x128x2xi32>, tensor<2x2x16xf16>, tensor<2x2x2xi32>) : tensor<2x16x128xf32>
  %w = moe.dequantize #moe.int4<group = 64, scales = f16, zeros = true, order = awq> (%q, %scales, %zeros : tensor<2x128x2xi32>, tensor<2x2x16xf16>, tensor<2x2x2xi32>) : tensor<2x16x128xf32>
  return %w : tensor<2x16x128xf32>
}

// CHECK-LABEL: @gptq
func.func @gptq(%q: tensor<2x16x16xi32>, %scales: tensor<2x2x16xf16>, %zeros: tensor<2x2x2xi32>) -> tensor<2x16x128xf32> {
  // CHECK: moe.dequantize #moe.int4<group = 64, scales = f16, zeros = true, order = gptq>(%{{.*}}, %{{.*}}, %{{.*}} : tensor<2x16x16xi32>, tensor<2x2x16xf16>, tensor<2x2x2xi32>) : tensor<2x16x128xf32>
  %w = moe.dequantize #moe.int4<group = 64, scales = f16, zeros = true, order = gptq> (%q, %scales, %zeros : tensor<2x16x16xi32>, tensor<2x2x16xf16>, tensor<2x2x2xi32>) : tensor<2x16x128xf32>
  return %w : tensor<2x16x128xf32>
}

// CHECK-LABEL: @gptq_v2
func.func @gptq_v2(%q: tensor<2x16x16xi32>, %scales: tensor<2x2x16xf16>, %zeros: tensor<2x2x2xi32>) -> tensor<2x16x128xf32> {
  // CHECK: moe.dequantize #moe.int4<group = 64, scales = f16, zeros = true, order = gptq_v2>(%{{.*}}, %{{.*}}, %{{.*}} : tensor<2x16x16xi32>, tensor<2x2x16xf16>, tensor<2x2x2xi32>) : tensor<2x16x128xf32>
  %w = moe.dequantize #moe.int4<group = 64, scales = f16, zeros = true, order = gptq_v2> (%q, %scales, %zeros : tensor<2x16x16xi32>, tensor<2x2x16xf16>, tensor<2x2x2xi32>) : tensor<2x16x128xf32>
  return %w : tensor<2x16x128xf32>
}

// CHECK-LABEL: @hqq
func.func @hqq(%q: tensor<2x16x64xi8>, %scales: tensor<2x32x1xf16>, %zeros: tensor<2x32x1xf16>) -> tensor<2x16x128xf32> {
  // CHECK: moe.dequantize #moe.int4<group = 64, scales = f16, zeros = true, order = hqq>(%{{.*}}, %{{.*}}, %{{.*}} : tensor<2x16x64xi8>, tensor<2x32x1xf16>, tensor<2x32x1xf16>) : tensor<2x16x128xf32>
  %w = moe.dequantize #moe.int4<group = 64, scales = f16, zeros = true, order = hqq> (%q, %scales, %zeros : tensor<2x16x64xi8>, tensor<2x32x1xf16>, tensor<2x32x1xf16>) : tensor<2x16x128xf32>
  return %w : tensor<2x16x128xf32>
}

// CHECK-LABEL: @iq2_xxs
func.func @iq2_xxs(%blocks: tensor<2x1x2x66xi8>) -> tensor<2x1x512xf32> {
  // CHECK: moe.dequantize #moe.iq2_xxs(%{{.*}} : tensor<2x1x2x66xi8>) : tensor<2x1x512xf32>
  %w = moe.dequantize #moe.iq2_xxs (%blocks : tensor<2x1x2x66xi8>) : tensor<2x1x512xf32>
  return %w : tensor<2x1x512xf32>
}

// CHECK-LABEL: @iq2_xs
func.func @iq2_xs(%blocks: tensor<2x1x2x74xi8>) -> tensor<2x1x512xf32> {
  // CHECK: moe.dequantize #moe.iq2_xs(%{{.*}} : tensor<2x1x2x74xi8>) : tensor<2x1x512xf32>
  %w = moe.dequantize #moe.iq2_xs (%blocks : tensor<2x1x2x74xi8>) : tensor<2x1x512xf32>
  return %w : tensor<2x1x512xf32>
}

// CHECK-LABEL: @iq2_s
func.func @iq2_s(%blocks: tensor<2x1x2x82xi8>) -> tensor<2x1x512xf32> {
  // CHECK: moe.dequantize #moe.iq2_s(%{{.*}} : tensor<2x1x2x82xi8>) : tensor<2x1x512xf32>
  %w = moe.dequantize #moe.iq2_s (%blocks : tensor<2x1x2x82xi8>) : tensor<2x1x512xf32>
  return %w : tensor<2x1x512xf32>
}

// CHECK-LABEL: @iq3_xxs
func.func @iq3_xxs(%blocks: tensor<2x1x2x98xi8>) -> tensor<2x1x512xf32> {
  // CHECK: moe.dequantize #moe.iq3_xxs(%{{.*}} : tensor<2x1x2x98xi8>) : tensor<2x1x512xf32>
  %w = moe.dequantize #moe.iq3_xxs (%blocks : tensor<2x1x2x98xi8>) : tensor<2x1x512xf32>
  return %w : tensor<2x1x512xf32>
}

// CHECK-LABEL: @iq3_s
func.func @iq3_s(%blocks: tensor<2x1x2x110xi8>) -> tensor<2x1x512xf32> {
  // CHECK: moe.dequantize #moe.iq3_s(%{{.*}} : tensor<2x1x2x110xi8>) : tensor<2x1x512xf32>
  %w = moe.dequantize #moe.iq3_s (%blocks : tensor<2x1x2x110xi8>) : tensor<2x1x512xf32>
  return %w : tensor<2x1x512xf32>
}

// CHECK-LABEL: @sparse24
func.func @sparse24(%v: tensor<2x3x64xbf16>, %p: tensor<2x3x16xi8>) -> tensor<2x3x128xf32> {
  // CHECK: moe.dequantize #moe.sparse24<bf16>(%{{.*}}, %{{.*}} : tensor<2x3x64xbf16>, tensor<2x3x16xi8>) : tensor<2x3x128xf32>
  %w = moe.dequantize #moe.sparse24<bf16> (%v, %p : tensor<2x3x64xbf16>, tensor<2x3x16xi8>) : tensor<2x3x128xf32>
  return %w : tensor<2x3x128xf32>
}

// A list for each 16 rows, the last of which are fewer.
// CHECK-LABEL: @sparse_blocks
func.func @sparse_blocks(%v: tensor<2x20x48xf16>, %b: tensor<2x2x3xi32>) -> tensor<2x20x128xf32> {
  // CHECK: moe.dequantize #moe.sparse_blocks<values = f16, kept = 3, columns = 16>(%{{.*}}, %{{.*}} : tensor<2x20x48xf16>, tensor<2x2x3xi32>) : tensor<2x20x128xf32>
  %w = moe.dequantize #moe.sparse_blocks<values = f16, kept = 3, columns = 16> (%v, %b : tensor<2x20x48xf16>, tensor<2x2x3xi32>) : tensor<2x20x128xf32>
  return %w : tensor<2x20x128xf32>
}

// The dimensions behind the rows may be joined or taken apart; one matrix is enough.
// CHECK-LABEL: @joined
func.func @joined(%blocks: tensor<3x72xi8>, %q: tensor<3x4x8xi8>, %scales: tensor<3x1xf16>) -> (tensor<3x128xf32>, tensor<3x64xf32>) {
  // CHECK: moe.dequantize #moe.q4_0(%{{.*}} : tensor<3x72xi8>) : tensor<3x128xf32>
  %0 = moe.dequantize #moe.q4_0 (%blocks : tensor<3x72xi8>) : tensor<3x128xf32>
  // CHECK: moe.dequantize #moe.int4<group = 64, scales = f16>
  %1 = moe.dequantize #moe.int4<group = 64, scales = f16, zeros = false> (%q, %scales : tensor<3x4x8xi8>, tensor<3x1xf16>) : tensor<3x64xf32>
  return %0, %1 : tensor<3x128xf32>, tensor<3x64xf32>
}

// Parameters that are not said.
// CHECK-LABEL: @defaults
// CHECK-SAME: a = #moe.fp8, b = #moe.fp8<rows = 1>, c = #moe.fp8<columns = 0>, d = #moe.sparse_blocks<values = f32, kept = 2>
func.func private @defaults() attributes {a = #moe.fp8<rows = 128>, b = #moe.fp8<rows = 1, columns = 128>, c = #moe.fp8<columns = 0>, d = #moe.sparse_blocks<values = f32, kept = 2, columns = 32>}
