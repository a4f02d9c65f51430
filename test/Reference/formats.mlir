// Weights in every format, as others decode them: exactly. Written by
// gen_format_fixtures.py, with the decoders of gguf, torch and compressed-tensors, and the packers of vllm and hqq.

// RUN: moe-interpret %s --entry=f16 --inputs=%S/Inputs/format-f16.safetensors --expect=%S/Inputs/format-f16.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=q4_0 --inputs=%S/Inputs/format-q4_0.safetensors --expect=%S/Inputs/format-q4_0.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=q4_1 --inputs=%S/Inputs/format-q4_1.safetensors --expect=%S/Inputs/format-q4_1.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=q5_0 --inputs=%S/Inputs/format-q5_0.safetensors --expect=%S/Inputs/format-q5_0.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=q5_1 --inputs=%S/Inputs/format-q5_1.safetensors --expect=%S/Inputs/format-q5_1.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=q8_0 --inputs=%S/Inputs/format-q8_0.safetensors --expect=%S/Inputs/format-q8_0.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=iq4_nl --inputs=%S/Inputs/format-iq4_nl.safetensors --expect=%S/Inputs/format-iq4_nl.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=mxfp4_blocks --inputs=%S/Inputs/format-mxfp4_blocks.safetensors --expect=%S/Inputs/format-mxfp4_blocks.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=nvfp4 --inputs=%S/Inputs/format-nvfp4.safetensors --expect=%S/Inputs/format-nvfp4.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=q2_k --inputs=%S/Inputs/format-q2_k.safetensors --expect=%S/Inputs/format-q2_k.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=q3_k --inputs=%S/Inputs/format-q3_k.safetensors --expect=%S/Inputs/format-q3_k.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=q4_k --inputs=%S/Inputs/format-q4_k.safetensors --expect=%S/Inputs/format-q4_k.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=q5_k --inputs=%S/Inputs/format-q5_k.safetensors --expect=%S/Inputs/format-q5_k.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=q6_k --inputs=%S/Inputs/format-q6_k.safetensors --expect=%S/Inputs/format-q6_k.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=iq4_xs --inputs=%S/Inputs/format-iq4_xs.safetensors --expect=%S/Inputs/format-iq4_xs.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=mxfp4 --inputs=%S/Inputs/format-mxfp4.safetensors --expect=%S/Inputs/format-mxfp4.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=fp8 --inputs=%S/Inputs/format-fp8.safetensors --expect=%S/Inputs/format-fp8.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=fp8_tiles --inputs=%S/Inputs/format-fp8-tiles.safetensors --expect=%S/Inputs/format-fp8-tiles.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=fp8_rows --inputs=%S/Inputs/format-fp8-rows.safetensors --expect=%S/Inputs/format-fp8-rows.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=int8 --inputs=%S/Inputs/format-int8.safetensors --expect=%S/Inputs/format-int8.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=int4 --inputs=%S/Inputs/format-int4.safetensors --expect=%S/Inputs/format-int4.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=int4_zeros --inputs=%S/Inputs/format-int4-zeros.safetensors --expect=%S/Inputs/format-int4-zeros.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=tq1_0 --inputs=%S/Inputs/format-tq1_0.safetensors --expect=%S/Inputs/format-tq1_0.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=tq2_0 --inputs=%S/Inputs/format-tq2_0.safetensors --expect=%S/Inputs/format-tq2_0.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=fp8_exponents --inputs=%S/Inputs/format-fp8-exponents.safetensors --expect=%S/Inputs/format-fp8-exponents.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=pack_quantized --inputs=%S/Inputs/format-int4-pack_quantized.safetensors --expect=%S/Inputs/format-int4-pack_quantized.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=awq --inputs=%S/Inputs/format-int4-awq.safetensors --expect=%S/Inputs/format-int4-awq.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=gptq --inputs=%S/Inputs/format-int4-gptq.safetensors --expect=%S/Inputs/format-int4-gptq.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=gptq_v2 --inputs=%S/Inputs/format-int4-gptq_v2.safetensors --expect=%S/Inputs/format-int4-gptq_v2.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=hqq --inputs=%S/Inputs/format-int4-hqq.safetensors --expect=%S/Inputs/format-int4-hqq.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=iq2_xxs --inputs=%S/Inputs/format-iq2_xxs.safetensors --expect=%S/Inputs/format-iq2_xxs.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=iq2_xs --inputs=%S/Inputs/format-iq2_xs.safetensors --expect=%S/Inputs/format-iq2_xs.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=iq2_s --inputs=%S/Inputs/format-iq2_s.safetensors --expect=%S/Inputs/format-iq2_s.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=iq3_xxs --inputs=%S/Inputs/format-iq3_xxs.safetensors --expect=%S/Inputs/format-iq3_xxs.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=iq3_s --inputs=%S/Inputs/format-iq3_s.safetensors --expect=%S/Inputs/format-iq3_s.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=sparse24 --inputs=%S/Inputs/format-sparse24.safetensors --expect=%S/Inputs/format-sparse24.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=sparse24_f32 --inputs=%S/Inputs/format-sparse24-f32.safetensors --expect=%S/Inputs/format-sparse24-f32.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=sparse24_f16 --inputs=%S/Inputs/format-sparse24-f16.safetensors --expect=%S/Inputs/format-sparse24-f16.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=sparse_blocks --inputs=%S/Inputs/format-sparse_blocks.safetensors --expect=%S/Inputs/format-sparse_blocks.safetensors --tolerance=0
// RUN: moe-interpret %s --entry=sparse_blocks_f32 --inputs=%S/Inputs/format-sparse_blocks-f32.safetensors --expect=%S/Inputs/format-sparse_blocks-f32.safetensors --tolerance=0

// Storage that was computed is converted to what is stored.
// RUN: moe-interpret %s --entry=computed --print | FileCheck %s
// CHECK: computed result0: f64[1x32] [-0.75, -0.75, {{.*}}, -0.625]

// The scale of a block that is none: the other block stays.
// RUN: moe-interpret %s --entry=nan --print | FileCheck %s --check-prefix=NAN
// NAN: nan result0: f64[1x64] [nan, {{.*}}, nan, 1, {{.*}}, 1]

func.func @f16(%values: tensor<2x3x64xf16> {moe.name = "values"}) -> (tensor<2x3x64xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.f16 (%values : tensor<2x3x64xf16>) : tensor<2x3x64xf32>
  return %w : tensor<2x3x64xf32>
}

func.func @q4_0(%blocks: tensor<2x3x2x18xi8> {moe.name = "blocks"}) -> (tensor<2x3x64xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.q4_0 (%blocks : tensor<2x3x2x18xi8>) : tensor<2x3x64xf32>
  return %w : tensor<2x3x64xf32>
}

func.func @q4_1(%blocks: tensor<2x3x2x20xi8> {moe.name = "blocks"}) -> (tensor<2x3x64xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.q4_1 (%blocks : tensor<2x3x2x20xi8>) : tensor<2x3x64xf32>
  return %w : tensor<2x3x64xf32>
}

func.func @q5_0(%blocks: tensor<2x3x2x22xi8> {moe.name = "blocks"}) -> (tensor<2x3x64xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.q5_0 (%blocks : tensor<2x3x2x22xi8>) : tensor<2x3x64xf32>
  return %w : tensor<2x3x64xf32>
}

func.func @q5_1(%blocks: tensor<2x3x2x24xi8> {moe.name = "blocks"}) -> (tensor<2x3x64xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.q5_1 (%blocks : tensor<2x3x2x24xi8>) : tensor<2x3x64xf32>
  return %w : tensor<2x3x64xf32>
}

func.func @q8_0(%blocks: tensor<2x3x2x34xi8> {moe.name = "blocks"}) -> (tensor<2x3x64xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.q8_0 (%blocks : tensor<2x3x2x34xi8>) : tensor<2x3x64xf32>
  return %w : tensor<2x3x64xf32>
}

func.func @iq4_nl(%blocks: tensor<2x3x2x18xi8> {moe.name = "blocks"}) -> (tensor<2x3x64xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.iq4_nl (%blocks : tensor<2x3x2x18xi8>) : tensor<2x3x64xf32>
  return %w : tensor<2x3x64xf32>
}

func.func @mxfp4_blocks(%blocks: tensor<2x3x2x17xi8> {moe.name = "blocks"}) -> (tensor<2x3x64xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.mxfp4_blocks (%blocks : tensor<2x3x2x17xi8>) : tensor<2x3x64xf32>
  return %w : tensor<2x3x64xf32>
}

func.func @nvfp4(%blocks: tensor<2x3x2x36xi8> {moe.name = "blocks"}) -> (tensor<2x3x128xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.nvfp4 (%blocks : tensor<2x3x2x36xi8>) : tensor<2x3x128xf32>
  return %w : tensor<2x3x128xf32>
}

func.func @q2_k(%blocks: tensor<2x1x2x84xi8> {moe.name = "blocks"}) -> (tensor<2x1x512xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.q2_k (%blocks : tensor<2x1x2x84xi8>) : tensor<2x1x512xf32>
  return %w : tensor<2x1x512xf32>
}

func.func @q3_k(%blocks: tensor<2x1x2x110xi8> {moe.name = "blocks"}) -> (tensor<2x1x512xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.q3_k (%blocks : tensor<2x1x2x110xi8>) : tensor<2x1x512xf32>
  return %w : tensor<2x1x512xf32>
}

func.func @q4_k(%blocks: tensor<2x1x2x144xi8> {moe.name = "blocks"}) -> (tensor<2x1x512xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.q4_k (%blocks : tensor<2x1x2x144xi8>) : tensor<2x1x512xf32>
  return %w : tensor<2x1x512xf32>
}

func.func @q5_k(%blocks: tensor<2x1x2x176xi8> {moe.name = "blocks"}) -> (tensor<2x1x512xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.q5_k (%blocks : tensor<2x1x2x176xi8>) : tensor<2x1x512xf32>
  return %w : tensor<2x1x512xf32>
}

func.func @q6_k(%blocks: tensor<2x1x2x210xi8> {moe.name = "blocks"}) -> (tensor<2x1x512xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.q6_k (%blocks : tensor<2x1x2x210xi8>) : tensor<2x1x512xf32>
  return %w : tensor<2x1x512xf32>
}

func.func @iq4_xs(%blocks: tensor<2x1x2x136xi8> {moe.name = "blocks"}) -> (tensor<2x1x512xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.iq4_xs (%blocks : tensor<2x1x2x136xi8>) : tensor<2x1x512xf32>
  return %w : tensor<2x1x512xf32>
}

func.func @mxfp4(%blocks: tensor<2x3x2x16xi8> {moe.name = "blocks"}, %scales: tensor<2x3x2xi8> {moe.name = "scales"}) -> (tensor<2x3x64xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.mxfp4 (%blocks, %scales : tensor<2x3x2x16xi8>, tensor<2x3x2xi8>) : tensor<2x3x64xf32>
  return %w : tensor<2x3x64xf32>
}

func.func @fp8(%values: tensor<2x3x160xf8E4M3FN> {moe.name = "values"}, %scales: tensor<2x1x2xf32> {moe.name = "scales"}) -> (tensor<2x3x160xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.fp8 (%values, %scales : tensor<2x3x160xf8E4M3FN>, tensor<2x1x2xf32>) : tensor<2x3x160xf32>
  return %w : tensor<2x3x160xf32>
}

func.func @fp8_tiles(%values: tensor<2x5x96xf8E4M3FN> {moe.name = "values"}, %scales: tensor<2x3x2xf32> {moe.name = "scales"}) -> (tensor<2x5x96xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.fp8<rows = 2, columns = 64> (%values, %scales : tensor<2x5x96xf8E4M3FN>, tensor<2x3x2xf32>) : tensor<2x5x96xf32>
  return %w : tensor<2x5x96xf32>
}

func.func @fp8_rows(%values: tensor<2x3x32xf8E4M3FN> {moe.name = "values"}, %scales: tensor<2x3xf32> {moe.name = "scales"}) -> (tensor<2x3x32xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.fp8<rows = 1, columns = 0> (%values, %scales : tensor<2x3x32xf8E4M3FN>, tensor<2x3xf32>) : tensor<2x3x32xf32>
  return %w : tensor<2x3x32xf32>
}

func.func @int8(%q: tensor<2x3x32xi8> {moe.name = "q"}, %scales: tensor<2x3xf32> {moe.name = "scales"}) -> (tensor<2x3x32xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.int8 (%q, %scales : tensor<2x3x32xi8>, tensor<2x3xf32>) : tensor<2x3x32xf32>
  return %w : tensor<2x3x32xf32>
}

func.func @int4(%q: tensor<2x3x32xi8> {moe.name = "q"}, %scales: tensor<2x3x2xf16> {moe.name = "scales"}) -> (tensor<2x3x64xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.int4<group = 32, scales = f16> (%q, %scales : tensor<2x3x32xi8>, tensor<2x3x2xf16>) : tensor<2x3x64xf32>
  return %w : tensor<2x3x64xf32>
}

func.func @int4_zeros(%q: tensor<2x3x32xi8> {moe.name = "q"}, %scales: tensor<2x3x1xbf16> {moe.name = "scales"}, %zeros: tensor<2x3x1xbf16> {moe.name = "zeros"}) -> (tensor<2x3x64xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.int4<group = 64, scales = bf16, zeros = true> (%q, %scales, %zeros : tensor<2x3x32xi8>, tensor<2x3x1xbf16>, tensor<2x3x1xbf16>) : tensor<2x3x64xf32>
  return %w : tensor<2x3x64xf32>
}

func.func @nan() -> tensor<1x64xf32> {
  %blocks = arith.constant dense<0x22> : tensor<1x2x16xi8>
  %scales = arith.constant dense<[[255, 127]]> : tensor<1x2xi8>
  %w = moe.dequantize #moe.mxfp4 (%blocks, %scales : tensor<1x2x16xi8>, tensor<1x2xi8>) : tensor<1x64xf32>
  return %w : tensor<1x64xf32>
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

func.func @tq1_0(%blocks: tensor<2x1x2x54xi8> {moe.name = "blocks"}) -> (tensor<2x1x512xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.tq1_0 (%blocks : tensor<2x1x2x54xi8>) : tensor<2x1x512xf32>
  return %w : tensor<2x1x512xf32>
}

func.func @tq2_0(%blocks: tensor<2x1x2x66xi8> {moe.name = "blocks"}) -> (tensor<2x1x512xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.tq2_0 (%blocks : tensor<2x1x2x66xi8>) : tensor<2x1x512xf32>
  return %w : tensor<2x1x512xf32>
}

func.func @fp8_exponents(%values: tensor<2x3x160xf8E4M3FN> {moe.name = "values"}, %scales: tensor<2x1x2xi8> {moe.name = "scales"}) -> (tensor<2x3x160xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.fp8<exponents = true> (%values, %scales : tensor<2x3x160xf8E4M3FN>, tensor<2x1x2xi8>) : tensor<2x3x160xf32>
  return %w : tensor<2x3x160xf32>
}

func.func @pack_quantized(%q: tensor<2x16x16xi32> {moe.name = "q"}, %scales: tensor<2x16x2xf16> {moe.name = "scales"}, %zeros: tensor<2x2x2xi32> {moe.name = "zeros"}) -> (tensor<2x16x128xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.int4<group = 64, scales = f16, zeros = true, order = pack_quantized> (%q, %scales, %zeros : tensor<2x16x16xi32>, tensor<2x16x2xf16>, tensor<2x2x2xi32>) : tensor<2x16x128xf32>
  return %w : tensor<2x16x128xf32>
}

func.func @awq(%q: tensor<2x128x2xi32> {moe.name = "q"}, %scales: tensor<2x2x16xf16> {moe.name = "scales"}, %zeros: tensor<2x2x2xi32> {moe.name = "zeros"}) -> (tensor<2x16x128xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.int4<group = 64, scales = f16, zeros = true, order = awq> (%q, %scales, %zeros : tensor<2x128x2xi32>, tensor<2x2x16xf16>, tensor<2x2x2xi32>) : tensor<2x16x128xf32>
  return %w : tensor<2x16x128xf32>
}

func.func @gptq(%q: tensor<2x16x16xi32> {moe.name = "q"}, %scales: tensor<2x2x16xf16> {moe.name = "scales"}, %zeros: tensor<2x2x2xi32> {moe.name = "zeros"}) -> (tensor<2x16x128xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.int4<group = 64, scales = f16, zeros = true, order = gptq> (%q, %scales, %zeros : tensor<2x16x16xi32>, tensor<2x2x16xf16>, tensor<2x2x2xi32>) : tensor<2x16x128xf32>
  return %w : tensor<2x16x128xf32>
}

func.func @gptq_v2(%q: tensor<2x16x16xi32> {moe.name = "q"}, %scales: tensor<2x2x16xf16> {moe.name = "scales"}, %zeros: tensor<2x2x2xi32> {moe.name = "zeros"}) -> (tensor<2x16x128xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.int4<group = 64, scales = f16, zeros = true, order = gptq_v2> (%q, %scales, %zeros : tensor<2x16x16xi32>, tensor<2x2x16xf16>, tensor<2x2x2xi32>) : tensor<2x16x128xf32>
  return %w : tensor<2x16x128xf32>
}

func.func @hqq(%q: tensor<2x16x64xi8> {moe.name = "q"}, %scales: tensor<2x32x1xf16> {moe.name = "scales"}, %zeros: tensor<2x32x1xf16> {moe.name = "zeros"}) -> (tensor<2x16x128xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.int4<group = 64, scales = f16, zeros = true, order = hqq> (%q, %scales, %zeros : tensor<2x16x64xi8>, tensor<2x32x1xf16>, tensor<2x32x1xf16>) : tensor<2x16x128xf32>
  return %w : tensor<2x16x128xf32>
}

func.func @iq2_xxs(%blocks: tensor<2x1x2x66xi8> {moe.name = "blocks"}) -> (tensor<2x1x512xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.iq2_xxs (%blocks : tensor<2x1x2x66xi8>) : tensor<2x1x512xf32>
  return %w : tensor<2x1x512xf32>
}

func.func @iq2_xs(%blocks: tensor<2x1x2x74xi8> {moe.name = "blocks"}) -> (tensor<2x1x512xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.iq2_xs (%blocks : tensor<2x1x2x74xi8>) : tensor<2x1x512xf32>
  return %w : tensor<2x1x512xf32>
}

func.func @iq2_s(%blocks: tensor<2x1x2x82xi8> {moe.name = "blocks"}) -> (tensor<2x1x512xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.iq2_s (%blocks : tensor<2x1x2x82xi8>) : tensor<2x1x512xf32>
  return %w : tensor<2x1x512xf32>
}

func.func @iq3_xxs(%blocks: tensor<2x1x2x98xi8> {moe.name = "blocks"}) -> (tensor<2x1x512xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.iq3_xxs (%blocks : tensor<2x1x2x98xi8>) : tensor<2x1x512xf32>
  return %w : tensor<2x1x512xf32>
}

func.func @iq3_s(%blocks: tensor<2x1x2x110xi8> {moe.name = "blocks"}) -> (tensor<2x1x512xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.iq3_s (%blocks : tensor<2x1x2x110xi8>) : tensor<2x1x512xf32>
  return %w : tensor<2x1x512xf32>
}

func.func @sparse24(%values: tensor<2x3x32xbf16> {moe.name = "values"}, %places: tensor<2x3x8xi8> {moe.name = "places"}) -> (tensor<2x3x64xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.sparse24<bf16> (%values, %places : tensor<2x3x32xbf16>, tensor<2x3x8xi8>) : tensor<2x3x64xf32>
  return %w : tensor<2x3x64xf32>
}

func.func @sparse24_f32(%values: tensor<2x3x32xf32> {moe.name = "values"}, %places: tensor<2x3x8xi8> {moe.name = "places"}) -> (tensor<2x3x64xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.sparse24<f32> (%values, %places : tensor<2x3x32xf32>, tensor<2x3x8xi8>) : tensor<2x3x64xf32>
  return %w : tensor<2x3x64xf32>
}

func.func @sparse24_f16(%values: tensor<2x3x32xf16> {moe.name = "values"}, %places: tensor<2x3x8xi8> {moe.name = "places"}) -> (tensor<2x3x64xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.sparse24<f16> (%values, %places : tensor<2x3x32xf16>, tensor<2x3x8xi8>) : tensor<2x3x64xf32>
  return %w : tensor<2x3x64xf32>
}

func.func @sparse_blocks(%values: tensor<2x20x64xbf16> {moe.name = "values"}, %blocks: tensor<2x2x2xi32> {moe.name = "blocks"}) -> (tensor<2x20x128xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.sparse_blocks<values = bf16, kept = 2> (%values, %blocks : tensor<2x20x64xbf16>, tensor<2x2x2xi32>) : tensor<2x20x128xf32>
  return %w : tensor<2x20x128xf32>
}

func.func @sparse_blocks_f32(%values: tensor<2x20x40xf32> {moe.name = "values"}, %blocks: tensor<2x2x5xi32> {moe.name = "blocks"}) -> (tensor<2x20x128xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #moe.sparse_blocks<values = f32, kept = 5, columns = 8> (%values, %blocks : tensor<2x20x40xf32>, tensor<2x2x5xi32>) : tensor<2x20x128xf32>
  return %w : tensor<2x20x128xf32>
}
