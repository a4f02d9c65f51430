// Scores that a mask makes -infinity are no reason to allow everything: rounding
// changes no infinity. The wrong model differs in rows that have some.

// REQUIRES: x86-64
// RUN: moe-run %s --random=1 --size=S=12 --verify | FileCheck %s
// RUN: sed 's/cmpi uge, %j/cmpi ugt, %j/' %s > %t.wrong.mlir
// RUN: moe-compile %t.wrong.mlir -o %t.wrong
// RUN: not moe-run %t.wrong.so --model=%s --random=1 --size=S=12 --verify | FileCheck %s --check-prefix=WRONG

// CHECK: verify y: 12 tokens, largest error {{[0-9.e-]+}} of {{[0-9.e-]+}} allowed: PASS
// WRONG: verify y: 12 tokens, {{.*}}: FAIL
#rows = affine_map<(s, t, d) -> (s, d)>
#keys = affine_map<(s, t, d) -> (t, d)>
#scores = affine_map<(s, t, d) -> (s, t)>
func.func @attention(%q: tensor<?x16xf32> {moe.name = "q", moe.dims = ["S"]},
    %k: tensor<12x16xf32> {moe.name = "k"}, %v: tensor<12x16xf32> {moe.name = "v"})
    -> (tensor<?x16xf32> {moe.name = "y", moe.dims = ["S"]}) {
  %c0 = arith.constant 0 : index
  %one = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %infinite = arith.constant 0xFF800000 : f32
  %S = tensor.dim %q, %c0 : tensor<?x16xf32>
  %e = tensor.empty(%S) : tensor<?x12xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x12xf32>) -> tensor<?x12xf32>
  %z = linalg.generic {indexing_maps = [#rows, #keys, #scores],
      iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%q, %k : tensor<?x16xf32>, tensor<12x16xf32>) outs(%f : tensor<?x12xf32>) {
  ^bb0(%a: f32, %b: f32, %s: f32):
    %p = arith.mulf %a, %b : f32
    %n = arith.addf %s, %p : f32
    linalg.yield %n : f32
  } -> tensor<?x12xf32>
  %masked = linalg.generic {indexing_maps = [affine_map<(s, t) -> (s, t)>, affine_map<(s, t) -> (s, t)>],
      iterator_types = ["parallel", "parallel"]}
      ins(%z : tensor<?x12xf32>) outs(%e : tensor<?x12xf32>) {
  ^bb0(%a: f32, %o: f32):
    %i = linalg.index 0 : index
    %j = linalg.index 1 : index
    %next = arith.addi %i, %one : index
    %later = arith.cmpi uge, %j, %next : index
    %m = arith.select %later, %infinite, %zero : f32
    %n = arith.addf %a, %m : f32
    linalg.yield %n : f32
  } -> tensor<?x12xf32>
  %w = linalg.generic {indexing_maps = [affine_map<(s, t) -> (s, t)>, affine_map<(s, t) -> (s, t)>],
      iterator_types = ["parallel", "parallel"]}
      ins(%masked : tensor<?x12xf32>) outs(%e : tensor<?x12xf32>) {
  ^bb0(%a: f32, %o: f32):
    %x = math.exp %a : f32
    linalg.yield %x : f32
  } -> tensor<?x12xf32>
  %o = tensor.empty(%S) : tensor<?x16xf32>
  %g = linalg.fill ins(%zero : f32) outs(%o : tensor<?x16xf32>) -> tensor<?x16xf32>
  %y = linalg.matmul ins(%w, %v : tensor<?x12xf32>, tensor<12x16xf32>) outs(%g : tensor<?x16xf32>) -> tensor<?x16xf32>
  return %y : tensor<?x16xf32>
}
