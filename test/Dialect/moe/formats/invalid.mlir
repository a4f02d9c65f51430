// RUN: moe-opt %s --split-input-file --verify-diagnostics

func.func @f(%s0: tensor<3x2x18xi8>) {
  // expected-error@+1 {{rows of 48 weights are no whole blocks of #moe.q4_0, which are of 32}}
  %w = moe.dequantize #moe.q4_0 (%s0 : tensor<3x2x18xi8>) : tensor<3x48xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x19xi8>) {
  // expected-error@+1 {{'blocks' of 'tensor<3x64xf32>' in #moe.q4_0 must be 'tensor<3x2x18xi8>', got 'tensor<3x2x19xi8>'}}
  %w = moe.dequantize #moe.q4_0 (%s0 : tensor<3x2x19xi8>) : tensor<3x64xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x20xi8>) {
  // expected-error@+1 {{rows of 48 weights are no whole blocks of #moe.q4_1, which are of 32}}
  %w = moe.dequantize #moe.q4_1 (%s0 : tensor<3x2x20xi8>) : tensor<3x48xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x21xi8>) {
  // expected-error@+1 {{'blocks' of 'tensor<3x64xf32>' in #moe.q4_1 must be 'tensor<3x2x20xi8>', got 'tensor<3x2x21xi8>'}}
  %w = moe.dequantize #moe.q4_1 (%s0 : tensor<3x2x21xi8>) : tensor<3x64xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x22xi8>) {
  // expected-error@+1 {{rows of 48 weights are no whole blocks of #moe.q5_0, which are of 32}}
  %w = moe.dequantize #moe.q5_0 (%s0 : tensor<3x2x22xi8>) : tensor<3x48xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x23xi8>) {
  // expected-error@+1 {{'blocks' of 'tensor<3x64xf32>' in #moe.q5_0 must be 'tensor<3x2x22xi8>', got 'tensor<3x2x23xi8>'}}
  %w = moe.dequantize #moe.q5_0 (%s0 : tensor<3x2x23xi8>) : tensor<3x64xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x24xi8>) {
  // expected-error@+1 {{rows of 48 weights are no whole blocks of #moe.q5_1, which are of 32}}
  %w = moe.dequantize #moe.q5_1 (%s0 : tensor<3x2x24xi8>) : tensor<3x48xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x25xi8>) {
  // expected-error@+1 {{'blocks' of 'tensor<3x64xf32>' in #moe.q5_1 must be 'tensor<3x2x24xi8>', got 'tensor<3x2x25xi8>'}}
  %w = moe.dequantize #moe.q5_1 (%s0 : tensor<3x2x25xi8>) : tensor<3x64xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x34xi8>) {
  // expected-error@+1 {{rows of 48 weights are no whole blocks of #moe.q8_0, which are of 32}}
  %w = moe.dequantize #moe.q8_0 (%s0 : tensor<3x2x34xi8>) : tensor<3x48xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x35xi8>) {
  // expected-error@+1 {{'blocks' of 'tensor<3x64xf32>' in #moe.q8_0 must be 'tensor<3x2x34xi8>', got 'tensor<3x2x35xi8>'}}
  %w = moe.dequantize #moe.q8_0 (%s0 : tensor<3x2x35xi8>) : tensor<3x64xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x18xi8>) {
  // expected-error@+1 {{rows of 48 weights are no whole blocks of #moe.iq4_nl, which are of 32}}
  %w = moe.dequantize #moe.iq4_nl (%s0 : tensor<3x2x18xi8>) : tensor<3x48xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x19xi8>) {
  // expected-error@+1 {{'blocks' of 'tensor<3x64xf32>' in #moe.iq4_nl must be 'tensor<3x2x18xi8>', got 'tensor<3x2x19xi8>'}}
  %w = moe.dequantize #moe.iq4_nl (%s0 : tensor<3x2x19xi8>) : tensor<3x64xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x17xi8>) {
  // expected-error@+1 {{rows of 48 weights are no whole blocks of #moe.mxfp4_blocks, which are of 32}}
  %w = moe.dequantize #moe.mxfp4_blocks (%s0 : tensor<3x2x17xi8>) : tensor<3x48xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x18xi8>) {
  // expected-error@+1 {{'blocks' of 'tensor<3x64xf32>' in #moe.mxfp4_blocks must be 'tensor<3x2x17xi8>', got 'tensor<3x2x18xi8>'}}
  %w = moe.dequantize #moe.mxfp4_blocks (%s0 : tensor<3x2x18xi8>) : tensor<3x64xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x36xi8>) {
  // expected-error@+1 {{rows of 96 weights are no whole blocks of #moe.nvfp4, which are of 64}}
  %w = moe.dequantize #moe.nvfp4 (%s0 : tensor<3x2x36xi8>) : tensor<3x96xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x37xi8>) {
  // expected-error@+1 {{'blocks' of 'tensor<3x128xf32>' in #moe.nvfp4 must be 'tensor<3x2x36xi8>', got 'tensor<3x2x37xi8>'}}
  %w = moe.dequantize #moe.nvfp4 (%s0 : tensor<3x2x37xi8>) : tensor<3x128xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x84xi8>) {
  // expected-error@+1 {{rows of 384 weights are no whole blocks of #moe.q2_k, which are of 256}}
  %w = moe.dequantize #moe.q2_k (%s0 : tensor<3x2x84xi8>) : tensor<3x384xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x85xi8>) {
  // expected-error@+1 {{'blocks' of 'tensor<3x512xf32>' in #moe.q2_k must be 'tensor<3x2x84xi8>', got 'tensor<3x2x85xi8>'}}
  %w = moe.dequantize #moe.q2_k (%s0 : tensor<3x2x85xi8>) : tensor<3x512xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x110xi8>) {
  // expected-error@+1 {{rows of 384 weights are no whole blocks of #moe.q3_k, which are of 256}}
  %w = moe.dequantize #moe.q3_k (%s0 : tensor<3x2x110xi8>) : tensor<3x384xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x111xi8>) {
  // expected-error@+1 {{'blocks' of 'tensor<3x512xf32>' in #moe.q3_k must be 'tensor<3x2x110xi8>', got 'tensor<3x2x111xi8>'}}
  %w = moe.dequantize #moe.q3_k (%s0 : tensor<3x2x111xi8>) : tensor<3x512xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x144xi8>) {
  // expected-error@+1 {{rows of 384 weights are no whole blocks of #moe.q4_k, which are of 256}}
  %w = moe.dequantize #moe.q4_k (%s0 : tensor<3x2x144xi8>) : tensor<3x384xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x145xi8>) {
  // expected-error@+1 {{'blocks' of 'tensor<3x512xf32>' in #moe.q4_k must be 'tensor<3x2x144xi8>', got 'tensor<3x2x145xi8>'}}
  %w = moe.dequantize #moe.q4_k (%s0 : tensor<3x2x145xi8>) : tensor<3x512xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x176xi8>) {
  // expected-error@+1 {{rows of 384 weights are no whole blocks of #moe.q5_k, which are of 256}}
  %w = moe.dequantize #moe.q5_k (%s0 : tensor<3x2x176xi8>) : tensor<3x384xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x177xi8>) {
  // expected-error@+1 {{'blocks' of 'tensor<3x512xf32>' in #moe.q5_k must be 'tensor<3x2x176xi8>', got 'tensor<3x2x177xi8>'}}
  %w = moe.dequantize #moe.q5_k (%s0 : tensor<3x2x177xi8>) : tensor<3x512xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x210xi8>) {
  // expected-error@+1 {{rows of 384 weights are no whole blocks of #moe.q6_k, which are of 256}}
  %w = moe.dequantize #moe.q6_k (%s0 : tensor<3x2x210xi8>) : tensor<3x384xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x211xi8>) {
  // expected-error@+1 {{'blocks' of 'tensor<3x512xf32>' in #moe.q6_k must be 'tensor<3x2x210xi8>', got 'tensor<3x2x211xi8>'}}
  %w = moe.dequantize #moe.q6_k (%s0 : tensor<3x2x211xi8>) : tensor<3x512xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x136xi8>) {
  // expected-error@+1 {{rows of 384 weights are no whole blocks of #moe.iq4_xs, which are of 256}}
  %w = moe.dequantize #moe.iq4_xs (%s0 : tensor<3x2x136xi8>) : tensor<3x384xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x137xi8>) {
  // expected-error@+1 {{'blocks' of 'tensor<3x512xf32>' in #moe.iq4_xs must be 'tensor<3x2x136xi8>', got 'tensor<3x2x137xi8>'}}
  %w = moe.dequantize #moe.iq4_xs (%s0 : tensor<3x2x137xi8>) : tensor<3x512xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x48xf16>) {
  // expected-error@+1 {{rows of 48 weights are no whole blocks of #moe.f16, which are of 32}}
  %w = moe.dequantize #moe.f16 (%s0 : tensor<3x48xf16>) : tensor<3x48xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x64xbf16>) {
  // expected-error@+1 {{'values' of 'tensor<3x64xf32>' in #moe.f16 must be 'tensor<3x2x32xf16>', got 'tensor<3x64xbf16>'}}
  %w = moe.dequantize #moe.f16 (%s0 : tensor<3x64xbf16>) : tensor<3x64xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x24xi8>, %s1: tensor<3x1xi8>) {
  // expected-error@+1 {{rows of 48 weights are no whole blocks of #moe.mxfp4, which are of 32}}
  %w = moe.dequantize #moe.mxfp4 (%s0, %s1 : tensor<3x24xi8>, tensor<3x1xi8>) : tensor<3x48xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x32xi8>) {
  // expected-error@+1 {{#moe.mxfp4 is stored in 2 tensors (blocks, scales), got 1}}
  %w = moe.dequantize #moe.mxfp4 (%s0 : tensor<3x32xi8>) : tensor<3x64xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x32xi8>, %s1: tensor<3x2xf32>) {
  // expected-error@+1 {{'scales' of 'tensor<3x64xf32>' in #moe.mxfp4 must be 'tensor<3x2xi8>', got 'tensor<3x2xf32>'}}
  %w = moe.dequantize #moe.mxfp4 (%s0, %s1 : tensor<3x32xi8>, tensor<3x2xf32>) : tensor<3x64xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x48xf8E4M3FN>, %s1: tensor<1x1xf32>) {
  // expected-error@+1 {{rows of 48 weights are no multiple of 32, as those of #moe.fp8 have to be}}
  %w = moe.dequantize #moe.fp8 (%s0, %s1 : tensor<3x48xf8E4M3FN>, tensor<1x1xf32>) : tensor<3x48xf32>
  return
}

// -----

func.func @f(%s0: tensor<130x160xf8E4M3FN>, %s1: tensor<1x2xf32>) {
  // expected-error@+1 {{'scales' of 'tensor<130x160xf32>' in #moe.fp8 must be 'tensor<2x2xf32>', got 'tensor<1x2xf32>'}}
  %w = moe.dequantize #moe.fp8 (%s0, %s1 : tensor<130x160xf8E4M3FN>, tensor<1x2xf32>) : tensor<130x160xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x64xf8E4M3FN>) {
  // expected-error@+1 {{#moe.fp8 is stored in 2 tensors (values, scales), got 1}}
  %w = moe.dequantize #moe.fp8 (%s0 : tensor<3x64xf8E4M3FN>) : tensor<3x64xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x42xi8>, %s1: tensor<3xf32>) {
  // expected-error@+1 {{rows of 42 weights are no multiple of 32, as those of #moe.int8 have to be}}
  %w = moe.dequantize #moe.int8 (%s0, %s1 : tensor<3x42xi8>, tensor<3xf32>) : tensor<3x42xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x64xi8>, %s1: tensor<3x2xf32>) {
  // expected-error@+1 {{'scales' of 'tensor<3x64xf32>' in #moe.int8 must be 'tensor<3xf32>', got 'tensor<3x2xf32>'}}
  %w = moe.dequantize #moe.int8 (%s0, %s1 : tensor<3x64xi8>, tensor<3x2xf32>) : tensor<3x64xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x24xi8>, %s1: tensor<3x1xf16>) {
  // expected-error@+1 {{rows of 48 weights are no whole blocks of #moe.int4<group = 32, scales = f16>, which are of 32}}
  %w = moe.dequantize #moe.int4<group = 32, scales = f16> (%s0, %s1 : tensor<3x24xi8>, tensor<3x1xf16>) : tensor<3x48xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x32xi8>, %s1: tensor<3x2xf16>) {
  // expected-error@+1 {{is stored in 3 tensors (q, scales, zeros), got 2}}
  %w = moe.dequantize #moe.int4<group = 32, scales = f16, zeros = true> (%s0, %s1 : tensor<3x32xi8>, tensor<3x2xf16>) : tensor<3x64xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x32xi8>, %s1: tensor<3x2xbf16>) {
  // expected-error@+1 {{'scales' of 'tensor<3x64xf32>' in #moe.int4<group = 32, scales = f16> must be 'tensor<3x2xf16>', got 'tensor<3x2xbf16>'}}
  %w = moe.dequantize #moe.int4<group = 32, scales = f16> (%s0, %s1 : tensor<3x32xi8>, tensor<3x2xbf16>) : tensor<3x64xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x18xi8>) {
  // expected-error@+1 {{gives weights [N, K] or [E, N, K] of f32, not 'tensor<3x64xf16>'}}
  %w = moe.dequantize #moe.q4_0 (%s0 : tensor<3x2x18xi8>) : tensor<3x64xf16>
  return
}

// -----

// expected-error@+1 {{groups of int4 are of a multiple of 32 weights, not of 12}}
func.func private @f() attributes {format = #moe.int4<group = 12, scales = f16>}

// -----

// expected-error@+1 {{scales of int4 are f16, bf16 or f32, not 'i8'}}
func.func private @f() attributes {format = #moe.int4<group = 32, scales = i8>}

// -----

// expected-error@+1 {{a scale of fp8 is of at least one row and of a multiple of 32 columns, or of 0 for all, not of 0 and 128}}
func.func private @f() attributes {format = #moe.fp8<rows = 0>}

// -----

// expected-error@+1 {{not of 128 and 16}}
func.func private @f() attributes {format = #moe.fp8<columns = 16>}

// -----

func.func @f(%s0: tensor<3x2x54xi8>) {
  // expected-error@+1 {{rows of 384 weights are no whole blocks of #moe.tq1_0, which are of 256}}
  %w = moe.dequantize #moe.tq1_0 (%s0 : tensor<3x2x54xi8>) : tensor<3x384xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x67xi8>) {
  // expected-error@+1 {{'blocks' of 'tensor<3x512xf32>' in #moe.tq2_0 must be 'tensor<3x2x66xi8>', got 'tensor<3x2x67xi8>'}}
  %w = moe.dequantize #moe.tq2_0 (%s0 : tensor<3x2x67xi8>) : tensor<3x512xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x160xf8E4M3FN>, %s1: tensor<1x2xf32>) {
  // expected-error@+1 {{'scales' of 'tensor<3x160xf32>' in #moe.fp8<exponents = true> must be 'tensor<1x2xi8>', got 'tensor<1x2xf32>'}}
  %w = moe.dequantize #moe.fp8<exponents = true> (%s0, %s1 : tensor<3x160xf8E4M3FN>, tensor<1x2xf32>) : tensor<3x160xf32>
  return
}

// -----

// Words of eight rows, and rows that are no eights.
func.func @f(%q: tensor<64x1xi32>, %s: tensor<1x12xf16>, %z: tensor<1x1xi32>) {
  // expected-error@+1 {{'q' in #moe.int4<group = 64, scales = f16, zeros = true, order = awq> has 8 rows together, and there are 12}}
  %w = moe.dequantize #moe.int4<group = 64, scales = f16, zeros = true, order = awq> (%q, %s, %z : tensor<64x1xi32>, tensor<1x12xf16>, tensor<1x1xi32>) : tensor<12x64xf32>
  return
}

// -----

// The matrix of a file, transposed.
func.func @f(%q: tensor<2x8x16xi32>, %s: tensor<2x2x16xf16>, %z: tensor<2x2x2xi32>) {
  // expected-error@+1 {{'q' of 'tensor<2x16x128xf32>' in #moe.int4<group = 64, scales = f16, zeros = true, order = gptq> must be 'tensor<2x16x16xi32>', got 'tensor<2x8x16xi32>'}}
  %w = moe.dequantize #moe.int4<group = 64, scales = f16, zeros = true, order = gptq> (%q, %s, %z : tensor<2x8x16xi32>, tensor<2x2x16xf16>, tensor<2x2x2xi32>) : tensor<2x16x128xf32>
  return
}

// -----

// expected-error@+1 {{int4 in the order of awq has zeros: say zeros = true}}
func.func private @f() attributes {format = #moe.int4<group = 64, scales = f16, order = awq>}

// -----

func.func @f(%s0: tensor<3x2x66xi8>) {
  // expected-error@+1 {{rows of 384 weights are no whole blocks of #moe.iq2_xxs, which are of 256}}
  %w = moe.dequantize #moe.iq2_xxs (%s0 : tensor<3x2x66xi8>) : tensor<3x384xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x67xi8>) {
  // expected-error@+1 {{'blocks' of 'tensor<3x512xf32>' in #moe.iq2_xxs must be 'tensor<3x2x66xi8>', got 'tensor<3x2x67xi8>'}}
  %w = moe.dequantize #moe.iq2_xxs (%s0 : tensor<3x2x67xi8>) : tensor<3x512xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x74xi8>) {
  // expected-error@+1 {{rows of 384 weights are no whole blocks of #moe.iq2_xs, which are of 256}}
  %w = moe.dequantize #moe.iq2_xs (%s0 : tensor<3x2x74xi8>) : tensor<3x384xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x75xi8>) {
  // expected-error@+1 {{'blocks' of 'tensor<3x512xf32>' in #moe.iq2_xs must be 'tensor<3x2x74xi8>', got 'tensor<3x2x75xi8>'}}
  %w = moe.dequantize #moe.iq2_xs (%s0 : tensor<3x2x75xi8>) : tensor<3x512xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x82xi8>) {
  // expected-error@+1 {{rows of 384 weights are no whole blocks of #moe.iq2_s, which are of 256}}
  %w = moe.dequantize #moe.iq2_s (%s0 : tensor<3x2x82xi8>) : tensor<3x384xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x83xi8>) {
  // expected-error@+1 {{'blocks' of 'tensor<3x512xf32>' in #moe.iq2_s must be 'tensor<3x2x82xi8>', got 'tensor<3x2x83xi8>'}}
  %w = moe.dequantize #moe.iq2_s (%s0 : tensor<3x2x83xi8>) : tensor<3x512xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x98xi8>) {
  // expected-error@+1 {{rows of 384 weights are no whole blocks of #moe.iq3_xxs, which are of 256}}
  %w = moe.dequantize #moe.iq3_xxs (%s0 : tensor<3x2x98xi8>) : tensor<3x384xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x99xi8>) {
  // expected-error@+1 {{'blocks' of 'tensor<3x512xf32>' in #moe.iq3_xxs must be 'tensor<3x2x98xi8>', got 'tensor<3x2x99xi8>'}}
  %w = moe.dequantize #moe.iq3_xxs (%s0 : tensor<3x2x99xi8>) : tensor<3x512xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x110xi8>) {
  // expected-error@+1 {{rows of 384 weights are no whole blocks of #moe.iq3_s, which are of 256}}
  %w = moe.dequantize #moe.iq3_s (%s0 : tensor<3x2x110xi8>) : tensor<3x384xf32>
  return
}

// -----

func.func @f(%s0: tensor<3x2x111xi8>) {
  // expected-error@+1 {{'blocks' of 'tensor<3x512xf32>' in #moe.iq3_s must be 'tensor<3x2x110xi8>', got 'tensor<3x2x111xi8>'}}
  %w = moe.dequantize #moe.iq3_s (%s0 : tensor<3x2x111xi8>) : tensor<3x512xf32>
  return
}

// -----

// expected-error@+1 {{values of sparse24 are f32, bf16 or f16, not 'f64'}}
func.func private @f() attributes {a = #moe.sparse24<f64>}

// -----

func.func @f(%v: tensor<3x24xbf16>, %p: tensor<3x6xi8>) {
  // expected-error@+1 {{rows of 48 weights are no whole blocks of #moe.sparse24<bf16>, which are of 32}}
  %w = moe.dequantize #moe.sparse24<bf16> (%v, %p : tensor<3x24xbf16>, tensor<3x6xi8>) : tensor<3x48xf32>
  return
}

// -----

func.func @f(%v: tensor<3x64xbf16>, %p: tensor<3x16xi8>) {
  // expected-error@+1 {{'values' of 'tensor<3x64xf32>' in #moe.sparse24<bf16> must be 'tensor<3x2x16xbf16>', got 'tensor<3x64xbf16>'}}
  %w = moe.dequantize #moe.sparse24<bf16> (%v, %p : tensor<3x64xbf16>, tensor<3x16xi8>) : tensor<3x64xf32>
  return
}

// -----

// expected-error@+1 {{sparse_blocks keeps at least one block, of a multiple of 8 columns, not 0 of 32}}
func.func private @f() attributes {a = #moe.sparse_blocks<values = f32, kept = 0>}

// -----

// expected-error@+1 {{sparse_blocks keeps at least one block, of a multiple of 8 columns, not 2 of 12}}
func.func private @f() attributes {a = #moe.sparse_blocks<values = f32, kept = 2, columns = 12>}

// -----

func.func @f(%v: tensor<16x160xf32>, %b: tensor<1x5xi32>) {
  // expected-error@+1 {{rows of 128 weights have 4 blocks of 32, fewer than #moe.sparse_blocks<values = f32, kept = 5> keeps}}
  %w = moe.dequantize #moe.sparse_blocks<values = f32, kept = 5> (%v, %b : tensor<16x160xf32>, tensor<1x5xi32>) : tensor<16x128xf32>
  return
}

// -----

func.func @f(%v: tensor<16x48xf32>, %b: tensor<1x1xi32>) {
  // expected-error@+1 {{rows of 48 weights are no multiple of 96, as those of #moe.sparse_blocks<values = f32, kept = 1, columns = 48> have to be}}
  %w = moe.dequantize #moe.sparse_blocks<values = f32, kept = 1, columns = 48> (%v, %b : tensor<16x48xf32>, tensor<1x1xi32>) : tensor<16x48xf32>
  return
}
