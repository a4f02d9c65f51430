// Ordinary products with weights, on the packed kernels of experts, compared with
// the interpreter: rows of any number and of several dimensions, weights in any
// order, in formats of numbers, shared and used otherwise, too.

// RUN: moe-compile %s --emit=shared,manifest --target=native -o %t.native
// RUN: moe-compile %s --emit=shared,manifest --target=x86-64-v3 -o %t.v3

// DEFINE: %{native} = moe-run %t.native.json --model=%s --random=1 --verify
// DEFINE: %{v3} = moe-run %t.v3.json --model=%s --random=1 --verify

// RUN: %{native} --entry=sequences --size=B=1,S=1 | FileCheck %s
// RUN: %{v3} --entry=sequences --size=B=1,S=1 | FileCheck %s
// RUN: %{native} --entry=sequences --size=B=3,S=13 | FileCheck %s
// RUN: %{v3} --entry=sequences --size=B=3,S=13 | FileCheck %s
// RUN: %{native} --entry=sequences --size=B=2,S=67 --threads=1 | FileCheck %s
// RUN: %{native} --entry=heads --size=S=1 | FileCheck %s
// RUN: %{native} --entry=heads --size=S=29 | FileCheck %s
// RUN: %{v3} --entry=heads --size=S=29 | FileCheck %s
// RUN: %{native} --entry=seven_rows | FileCheck %s
// RUN: %{native} --entry=vector | FileCheck %s
// RUN: %{native} --entry=narrow --size=S=9 | FileCheck %s
// RUN: %{v3} --entry=narrow --size=S=9 | FileCheck %s
// RUN: %{native} --entry=tied --size=S=5 | FileCheck %s
// RUN: %{native} --entry=in_loop --size=S=5 | FileCheck %s
// RUN: %{native} --entry=dense_ffn --size=S=21 | FileCheck %s
// RUN: %{v3} --entry=dense_ffn --size=S=21 | FileCheck %s
// RUN: %{native} --entry=stored --size=S=1 | FileCheck %s
// RUN: %{native} --entry=stored --size=S=19 | FileCheck %s
// RUN: %{v3} --entry=stored --size=S=19 | FileCheck %s
// CHECK: PASS
// CHECK-NOT: FAIL

// No rows are no work.
// RUN: moe-run %t.native.json --random=1 --entry=sequences --size=B=2,S=0 | FileCheck %s --check-prefix=NONE
// NONE: y: f32[2x0x37]

// All of them are packed, and no product is left beside the kernels.
// RUN: moe-compile %s --target=native --compile-to=fused -o - | FileCheck %s --check-prefix=FUSED --implicit-check-not=linalg.matmul --implicit-check-not=linalg.contract --implicit-check-not=linalg.vecmat
// FUSED-COUNT-10: moek.grouped_matmul
// FUSED: moek.grouped_matmul {{.*}} format(#moe.q4_0)
// FUSED: moek.grouped_matmul {{.*}} format(#moe.q6_k)

#bsk = affine_map<(b, s, n, k) -> (b, s, k)>
#kn = affine_map<(b, s, n, k) -> (k, n)>
#nk = affine_map<(b, s, n, k) -> (n, k)>
#bsn = affine_map<(b, s, n, k) -> (b, s, n)>
#id = affine_map<(i, j) -> (i, j)>
#col = affine_map<(i, j) -> (j)>

// 37 columns and 51 values a row cross every tile; the bias is the start.
func.func @sequences(%x: tensor<?x?x51xf32> {moe.name = "x", moe.dims = ["B", "S"]},
                     %w: tensor<37x51xf32> {moe.name = "w"}, %bias: tensor<37xf32> {moe.name = "b"})
    -> (tensor<?x?x37xf32> {moe.name = "y", moe.dims = ["B", "S"]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %x, %c0 : tensor<?x?x51xf32>
  %s = tensor.dim %x, %c1 : tensor<?x?x51xf32>
  %e = tensor.empty(%b, %s) : tensor<?x?x37xf32>
  %start = linalg.broadcast ins(%bias : tensor<37xf32>) outs(%e : tensor<?x?x37xf32>) dimensions = [0, 1]
  %y = linalg.contract indexing_maps = [#bsk, #nk, #bsn]
      ins(%x, %w : tensor<?x?x51xf32>, tensor<37x51xf32>) outs(%start : tensor<?x?x37xf32>) -> tensor<?x?x37xf32>
  return %y : tensor<?x?x37xf32>
}

// x is [2, S, 24], and the weight [4, 12, 2, 24]: the result is [4, 12, S].
func.func @heads(%w: tensor<4x12x2x24xf32> {moe.name = "w"}, %x: tensor<2x?x24xf32> {moe.name = "x", moe.dims = ["S"]})
    -> (tensor<4x12x?xf32> {moe.name = "y", moe.dims = ["S"]}) {
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %n = tensor.dim %x, %c1 : tensor<2x?x24xf32>
  %e = tensor.empty(%n) : tensor<4x12x?xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<4x12x?xf32>) -> tensor<4x12x?xf32>
  %y = linalg.generic
      {indexing_maps = [affine_map<(a, c, s, i, k) -> (a, c, i, k)>, affine_map<(a, c, s, i, k) -> (i, s, k)>, affine_map<(a, c, s, i, k) -> (a, c, s)>],
       iterator_types = ["parallel", "parallel", "parallel", "reduction", "reduction"]}
      ins(%w, %x : tensor<4x12x2x24xf32>, tensor<2x?x24xf32>) outs(%z : tensor<4x12x?xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %o, %p : f32
    linalg.yield %s : f32
  } -> tensor<4x12x?xf32>
  return %y : tensor<4x12x?xf32>
}

func.func @seven_rows(%x: tensor<7x40xf32> {moe.name = "x"}, %w: tensor<40x48xf32> {moe.name = "w"})
    -> (tensor<7x48xf32> {moe.name = "y"}) {
  %zero = arith.constant 0.0 : f32
  %a = math.absf %x : tensor<7x40xf32>
  %e = tensor.empty() : tensor<7x48xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<7x48xf32>) -> tensor<7x48xf32>
  %y = linalg.matmul ins(%a, %w : tensor<7x40xf32>, tensor<40x48xf32>) outs(%z : tensor<7x48xf32>) -> tensor<7x48xf32>
  return %y : tensor<7x48xf32>
}

func.func @vector(%x: tensor<40xf32> {moe.name = "x"}, %w: tensor<40x48xf32> {moe.name = "w"})
    -> (tensor<48xf32> {moe.name = "y"}) {
  %zero = arith.constant 0.0 : f32
  %a = math.absf %x : tensor<40xf32>
  %e = tensor.empty() : tensor<48xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<48xf32>) -> tensor<48xf32>
  %y = linalg.vecmat ins(%a, %w : tensor<40xf32>, tensor<40x48xf32>) outs(%z : tensor<48xf32>) -> tensor<48xf32>
  return %y : tensor<48xf32>
}

func.func @narrow(%x: tensor<?x64xbf16> {moe.name = "x", moe.dims = ["S"]}, %w: tensor<33x64xbf16> {moe.name = "w"})
    -> (tensor<?x33xbf16> {moe.name = "y", moe.dims = ["S"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : bf16
  %s = tensor.dim %x, %c0 : tensor<?x64xbf16>
  %e = tensor.empty(%s) : tensor<?x33xbf16>
  %z = linalg.fill ins(%zero : bf16) outs(%e : tensor<?x33xbf16>) -> tensor<?x33xbf16>
  %y = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%x, %w : tensor<?x64xbf16>, tensor<33x64xbf16>) outs(%z : tensor<?x33xbf16>) -> tensor<?x33xbf16>
  return %y : tensor<?x33xbf16>
}

// One tensor is the table that tokens are looked up in, and the weight of the head.
func.func @tied(%ids: tensor<?xi32> {moe.name = "ids", moe.dims = ["S"]}, %table: tensor<50x32xf32> {moe.name = "table"})
    -> (tensor<?x50xf32> {moe.name = "y", moe.dims = ["S"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %s = tensor.dim %ids, %c0 : tensor<?xi32>
  %ex = tensor.empty(%s) : tensor<?x32xf32>
  %x = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i)>, #id], iterator_types = ["parallel", "parallel"]}
      ins(%ids : tensor<?xi32>) outs(%ex : tensor<?x32xf32>) {
  ^bb0(%id: i32, %o: f32):
    %i = arith.index_cast %id : i32 to index
    %j = linalg.index 1 : index
    %v = tensor.extract %table[%i, %j] : tensor<50x32xf32>
    linalg.yield %v : f32
  } -> tensor<?x32xf32>
  %e = tensor.empty(%s) : tensor<?x50xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<?x50xf32>) -> tensor<?x50xf32>
  %y = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%x, %table : tensor<?x32xf32>, tensor<50x32xf32>) outs(%z : tensor<?x50xf32>) -> tensor<?x50xf32>
  return %y : tensor<?x50xf32>
}

func.func @in_loop(%x: tensor<?x32xf32> {moe.name = "x", moe.dims = ["S"]}, %w: tensor<32x32xf32> {moe.name = "w"})
    -> (tensor<?x32xf32> {moe.name = "y", moe.dims = ["S"]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %zero = arith.constant 0.0 : f32
  %s = tensor.dim %x, %c0 : tensor<?x32xf32>
  %y = scf.for %i = %c0 to %c3 step %c1 iter_args(%h = %x) -> (tensor<?x32xf32>) {
    %e = tensor.empty(%s) : tensor<?x32xf32>
    %z = linalg.fill ins(%zero : f32) outs(%e : tensor<?x32xf32>) -> tensor<?x32xf32>
    %p = linalg.matmul ins(%h, %w : tensor<?x32xf32>, tensor<32x32xf32>) outs(%z : tensor<?x32xf32>) -> tensor<?x32xf32>
    %t = linalg.tanh ins(%p : tensor<?x32xf32>) outs(%e : tensor<?x32xf32>) -> tensor<?x32xf32>
    scf.yield %t : tensor<?x32xf32>
  }
  return %y : tensor<?x32xf32>
}

// A dense FFN with biases in one batch, and the residual behind it.
func.func @dense_ffn(%x: tensor<1x?x40xf32> {moe.name = "x", moe.dims = ["S"]}, %wg: tensor<40x56xf32> {moe.name = "gate"},
                     %wu: tensor<40x56xf32> {moe.name = "up"}, %wd: tensor<56x40xf32> {moe.name = "down"},
                     %bias: tensor<56xf32> {moe.name = "gate_bias"})
    -> (tensor<1x?x40xf32> {moe.name = "y", moe.dims = ["S"]}) {
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %s = tensor.dim %x, %c1 : tensor<1x?x40xf32>
  %e = tensor.empty(%s) : tensor<1x?x56xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<1x?x56xf32>) -> tensor<1x?x56xf32>
  %g = linalg.contract indexing_maps = [#bsk, #kn, #bsn]
      ins(%x, %wg : tensor<1x?x40xf32>, tensor<40x56xf32>) outs(%z : tensor<1x?x56xf32>) -> tensor<1x?x56xf32>
  %u = linalg.contract indexing_maps = [#bsk, #kn, #bsn]
      ins(%x, %wu : tensor<1x?x40xf32>, tensor<40x56xf32>) outs(%z : tensor<1x?x56xf32>) -> tensor<1x?x56xf32>
  %h = linalg.generic
      {indexing_maps = [affine_map<(b, s, c) -> (b, s, c)>, affine_map<(b, s, c) -> (b, s, c)>, affine_map<(b, s, c) -> (c)>, affine_map<(b, s, c) -> (b, s, c)>],
       iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%g, %u, %bias : tensor<1x?x56xf32>, tensor<1x?x56xf32>, tensor<56xf32>) outs(%e : tensor<1x?x56xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32, %o: f32):
    %ab = arith.addf %a, %c : f32
    %n = arith.negf %ab : f32
    %exp = math.exp %n : f32
    %plus = arith.addf %exp, %one : f32
    %silu = arith.divf %ab, %plus : f32
    %v = arith.mulf %silu, %b : f32
    linalg.yield %v : f32
  } -> tensor<1x?x56xf32>
  %eo = tensor.empty(%s) : tensor<1x?x40xf32>
  %zo = linalg.fill ins(%zero : f32) outs(%eo : tensor<1x?x40xf32>) -> tensor<1x?x40xf32>
  %d = linalg.contract indexing_maps = [#bsk, #kn, #bsn]
      ins(%h, %wd : tensor<1x?x56xf32>, tensor<56x40xf32>) outs(%zo : tensor<1x?x40xf32>) -> tensor<1x?x40xf32>
  %y = arith.addf %x, %d : tensor<1x?x40xf32>
  return %y : tensor<1x?x40xf32>
}

// Weights in blocks, as their moe.format says.
func.func @stored(%x: tensor<1x?x256xf32> {moe.name = "x", moe.dims = ["S"]},
                  %up: tensor<48x256xf32> {moe.name = "up", moe.format = #moe.q4_0},
                  %down: tensor<32x256xf32> {moe.name = "down", moe.format = #moe.q6_k})
    -> (tensor<1x?x48xf32> {moe.name = "y", moe.dims = ["S"]}, tensor<1x?x32xf32> {moe.name = "z", moe.dims = ["S"]}) {
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %s = tensor.dim %x, %c1 : tensor<1x?x256xf32>
  %e = tensor.empty(%s) : tensor<1x?x48xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<1x?x48xf32>) -> tensor<1x?x48xf32>
  %y = linalg.contract indexing_maps = [#bsk, #nk, #bsn]
      ins(%x, %up : tensor<1x?x256xf32>, tensor<48x256xf32>) outs(%f : tensor<1x?x48xf32>) -> tensor<1x?x48xf32>
  %e2 = tensor.empty(%s) : tensor<1x?x32xf32>
  %f2 = linalg.fill ins(%zero : f32) outs(%e2 : tensor<1x?x32xf32>) -> tensor<1x?x32xf32>
  %z = linalg.contract indexing_maps = [#bsk, #nk, #bsn]
      ins(%x, %down : tensor<1x?x256xf32>, tensor<32x256xf32>) outs(%f2 : tensor<1x?x32xf32>) -> tensor<1x?x32xf32>
  return %y, %z : tensor<1x?x48xf32>, tensor<1x?x32xf32>
}
