// Attention that goes over its keys once, compared with softmax of all scores in
// the interpreter: masks of any kind, also of whole rows and blocks, heads that
// share keys, sizes that cross every tile, and no keys at all.

// RUN: moe-compile %s --emit=shared,manifest --target=native -o %t.native
// RUN: moe-compile %s --emit=shared,manifest --target=x86-64-v3 -o %t.v3

// DEFINE: %{native} = moe-run %t.native.json --model=%s --random=1 --verify
// DEFINE: %{v3} = moe-run %t.v3.json --model=%s --random=1 --verify

// RUN: %{native} --entry=masked --size=B=1,T=1,L=1 | FileCheck %s
// RUN: %{native} --entry=masked --size=B=1,T=1,L=200 | FileCheck %s
// RUN: %{native} --entry=masked --size=B=2,T=33,L=65 | FileCheck %s
// RUN: %{v3} --entry=masked --size=B=2,T=33,L=65 | FileCheck %s
// RUN: %{native} --entry=masked --size=B=3,T=67,L=131 | FileCheck %s
// RUN: %{native} --entry=masked --size=B=3,T=67,L=131 --threads=1 | FileCheck %s
// RUN: %{native} --entry=causal --size=T=1,L=0 | FileCheck %s
// RUN: %{native} --entry=causal --size=T=70,L=0 | FileCheck %s
// RUN: %{v3} --entry=causal --size=T=70,L=0 | FileCheck %s
// RUN: %{native} --entry=causal --size=T=5,L=97 | FileCheck %s
// RUN: %{native} --entry=window --size=T=150 | FileCheck %s
// RUN: %{native} --entry=repeated --size=T=37,L=70 | FileCheck %s
// RUN: %{v3} --entry=repeated --size=T=37,L=70 | FileCheck %s
// RUN: %{native} --entry=last_first --size=T=37 | FileCheck %s
// RUN: %{native} --entry=nothing_seen --size=T=9 | FileCheck %s
// CHECK: PASS
// CHECK-NOT: FAIL

// The rows of a token do not depend on the others of the call, and not on threads.
// Without keys nothing is summed.
// RUN: moe-run %t.native.json --random=1 --entry=masked --size=B=1,T=2,L=0 | FileCheck %s --check-prefix=NONE
// NONE: y: f32[1x2x4x24], mean magnitude 0, largest 0
// RUN: moe-run %t.native.json --random=1 --entry=masked --size=B=1,T=0,L=5 | FileCheck %s --check-prefix=EMPTY
// EMPTY: y: f32[1x0x4x24]

// No scores are stored: none of the buffers is of both sizes but the mask.
// RUN: moe-compile %s --target=native --compile-to=planned -o - | FileCheck %s --check-prefix=PLANNED --implicit-check-not=linalg.softmax
// PLANNED-COUNT-7: scf.forall (

// [B, T, 4, 16] and [B, L, 4, 16], values of 24; the mask has no heads.
func.func @masked(%q: tensor<?x?x4x16xf32> {moe.name = "q", moe.dims = ["B", "T"]},
                  %k: tensor<?x?x4x16xf32> {moe.name = "k", moe.dims = ["B", "L"]},
                  %v: tensor<?x?x4x24xf32> {moe.name = "v", moe.dims = ["B", "L"]},
                  %mask: tensor<?x?x?xf32> {moe.name = "mask", moe.dims = ["B", "T", "L"]})
    -> (tensor<?x?x4x24xf32> {moe.name = "y", moe.dims = ["B", "T"]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %scale = arith.constant 0.25 : f32
  %B = tensor.dim %q, %c0 : tensor<?x?x4x16xf32>
  %T = tensor.dim %q, %c1 : tensor<?x?x4x16xf32>
  %L = tensor.dim %k, %c1 : tensor<?x?x4x16xf32>
  %eq = tensor.empty(%B, %T) : tensor<?x4x?x16xf32>
  %qh = linalg.transpose ins(%q : tensor<?x?x4x16xf32>) outs(%eq : tensor<?x4x?x16xf32>) permutation = [0, 2, 1, 3]
  %ek = tensor.empty(%B, %L) : tensor<?x4x16x?xf32>
  %kh = linalg.transpose ins(%k : tensor<?x?x4x16xf32>) outs(%ek : tensor<?x4x16x?xf32>) permutation = [0, 2, 3, 1]
  %es = tensor.empty(%B, %T, %L) : tensor<?x4x?x?xf32>
  %zs = linalg.fill ins(%zero : f32) outs(%es : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %s = linalg.contract indexing_maps = [affine_map<(b, h, t, l, d) -> (b, h, t, d)>, affine_map<(b, h, t, l, d) -> (b, h, d, l)>, affine_map<(b, h, t, l, d) -> (b, h, t, l)>]
      ins(%qh, %kh : tensor<?x4x?x16xf32>, tensor<?x4x16x?xf32>) outs(%zs : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %m = linalg.generic {indexing_maps = [affine_map<(b, h, t, l) -> (b, h, t, l)>, affine_map<(b, h, t, l) -> (b, t, l)>, affine_map<(b, h, t, l) -> (b, h, t, l)>],
                       iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%s, %mask : tensor<?x4x?x?xf32>, tensor<?x?x?xf32>) outs(%es : tensor<?x4x?x?xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %scaled = arith.mulf %a, %scale : f32
    %sum = arith.addf %scaled, %b : f32
    linalg.yield %sum : f32
  } -> tensor<?x4x?x?xf32>
  %p = linalg.softmax dimension(3) ins(%m : tensor<?x4x?x?xf32>) outs(%es : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %eo = tensor.empty(%B, %T) : tensor<?x4x?x24xf32>
  %zo = linalg.fill ins(%zero : f32) outs(%eo : tensor<?x4x?x24xf32>) -> tensor<?x4x?x24xf32>
  %o = linalg.contract indexing_maps = [affine_map<(b, h, t, d, l) -> (b, h, t, l)>, affine_map<(b, h, t, d, l) -> (b, l, h, d)>, affine_map<(b, h, t, d, l) -> (b, h, t, d)>]
      ins(%p, %v : tensor<?x4x?x?xf32>, tensor<?x?x4x24xf32>) outs(%zo : tensor<?x4x?x24xf32>) -> tensor<?x4x?x24xf32>
  %ey = tensor.empty(%B, %T) : tensor<?x?x4x24xf32>
  %y = linalg.transpose ins(%o : tensor<?x4x?x24xf32>) outs(%ey : tensor<?x?x4x24xf32>) permutation = [0, 2, 1, 3]
  return %y : tensor<?x?x4x24xf32>
}

// Token t sees the L before and the new ones up to itself: a mask by positions,
// with -infinity. Two query heads share one of keys.
func.func @causal(%q: tensor<?x4x2x16xf32> {moe.name = "q", moe.dims = ["T"]},
                  %old: tensor<?x4x16xf32> {moe.name = "cache", moe.dims = ["L"]},
                  %new: tensor<?x4x16xf32> {moe.name = "k", moe.dims = ["T"]})
    -> (tensor<?x4x2x16xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %none = arith.constant 0xFF800000 : f32
  %T = tensor.dim %q, %c0 : tensor<?x4x2x16xf32>
  %L = tensor.dim %old, %c0 : tensor<?x4x16xf32>
  %k = tensor.concat dim(0) %old, %new : (tensor<?x4x16xf32>, tensor<?x4x16xf32>) -> tensor<?x4x16xf32>
  %P = arith.addi %L, %T : index
  %es = tensor.empty(%T, %P) : tensor<4x2x?x?xf32>
  %zs = linalg.fill ins(%zero : f32) outs(%es : tensor<4x2x?x?xf32>) -> tensor<4x2x?x?xf32>
  %s = linalg.generic {indexing_maps = [affine_map<(h, g, t, l, d) -> (t, h, g, d)>, affine_map<(h, g, t, l, d) -> (l, h, d)>, affine_map<(h, g, t, l, d) -> (h, g, t, l)>],
                       iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %k : tensor<?x4x2x16xf32>, tensor<?x4x16xf32>) outs(%zs : tensor<4x2x?x?xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %m = arith.mulf %a, %b : f32
    %sum = arith.addf %o, %m : f32
    linalg.yield %sum : f32
  } -> tensor<4x2x?x?xf32>
  %m = linalg.generic {indexing_maps = [affine_map<(h, g, t, l) -> (h, g, t, l)>, affine_map<(h, g, t, l) -> (h, g, t, l)>],
                       iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%s : tensor<4x2x?x?xf32>) outs(%es : tensor<4x2x?x?xf32>) {
  ^bb0(%a: f32, %o: f32):
    %t = linalg.index 2 : index
    %l = linalg.index 3 : index
    %last = arith.addi %L, %t : index
    %seen = arith.cmpi ule, %l, %last : index
    %v = arith.select %seen, %a, %none : f32
    linalg.yield %v : f32
  } -> tensor<4x2x?x?xf32>
  %p = linalg.softmax dimension(3) ins(%m : tensor<4x2x?x?xf32>) outs(%es : tensor<4x2x?x?xf32>) -> tensor<4x2x?x?xf32>
  %eo = tensor.empty(%T) : tensor<?x4x2x16xf32>
  %zo = linalg.fill ins(%zero : f32) outs(%eo : tensor<?x4x2x16xf32>) -> tensor<?x4x2x16xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(h, g, t, d, l) -> (h, g, t, l)>, affine_map<(h, g, t, d, l) -> (l, h, d)>, affine_map<(h, g, t, d, l) -> (t, h, g, d)>],
                       iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
      ins(%p, %k : tensor<4x2x?x?xf32>, tensor<?x4x16xf32>) outs(%zo : tensor<?x4x2x16xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %m2 = arith.mulf %a, %b : f32
    %sum = arith.addf %o, %m2 : f32
    linalg.yield %sum : f32
  } -> tensor<?x4x2x16xf32>
  return %y : tensor<?x4x2x16xf32>
}

#q = affine_map<(h, t, l, d) -> (h, t, d)>
#k = affine_map<(h, t, l, d) -> (h, l, d)>
#s = affine_map<(h, t, l, d) -> (h, t, l)>
#p = affine_map<(h, t, d, l) -> (h, t, l)>
#v = affine_map<(h, t, d, l) -> (h, l, d)>
#o = affine_map<(h, t, d, l) -> (h, t, d)>
#id = affine_map<(h, t, l) -> (h, t, l)>
#o3 = affine_map<(h, t, d) -> (h, t, d)>
#ht = affine_map<(h, t, d) -> (h, t)>

// A token sees 10 keys: the first blocks of most tokens are masked from end to end,
// by the lowest float, and by -infinity, for which the interpreter has no bound of
// errors. How many of these results differ from the others is an integer.
func.func @window(%q: tensor<3x?x16xf32> {moe.name = "q", moe.dims = ["T"]}, %k: tensor<3x?x16xf32> {moe.name = "k", moe.dims = ["T"]},
                  %v: tensor<3x?x16xf32> {moe.name = "v", moe.dims = ["T"]})
    -> (tensor<3x?x16xf32> {moe.name = "y", moe.dims = ["T"]}, tensor<3x?xi32> {moe.name = "differ", moe.dims = ["T"]}) {
  %c1 = arith.constant 1 : index
  %c10 = arith.constant 10 : index
  %zero = arith.constant 0.0 : f32
  %lowest = arith.constant -3.4028234663852886E+38 : f32
  %none = arith.constant 0xFF800000 : f32
  %little = arith.constant 1.0e-5 : f32
  %T = tensor.dim %q, %c1 : tensor<3x?x16xf32>
  %es = tensor.empty(%T, %T) : tensor<3x?x?xf32>
  %eo = tensor.empty(%T) : tensor<3x?x16xf32>
  %zo = linalg.fill ins(%zero : f32) outs(%eo : tensor<3x?x16xf32>) -> tensor<3x?x16xf32>
  %zs = linalg.fill ins(%zero : f32) outs(%es : tensor<3x?x?xf32>) -> tensor<3x?x?xf32>
  %s1 = linalg.contract indexing_maps = [#q, #k, #s] ins(%q, %k : tensor<3x?x16xf32>, tensor<3x?x16xf32>) outs(%zs : tensor<3x?x?xf32>) -> tensor<3x?x?xf32>
  %m1 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%s1 : tensor<3x?x?xf32>) outs(%es : tensor<3x?x?xf32>) {
  ^bb0(%a: f32, %o: f32):
    %t = linalg.index 1 : index
    %l = linalg.index 2 : index
    %before = arith.cmpi ule, %l, %t : index
    %age = arith.subi %t, %l : index
    %near = arith.cmpi slt, %age, %c10 : index
    %seen = arith.andi %before, %near : i1
    %w = arith.select %seen, %a, %lowest : f32
    linalg.yield %w : f32
  } -> tensor<3x?x?xf32>
  %p1 = linalg.softmax dimension(2) ins(%m1 : tensor<3x?x?xf32>) outs(%es : tensor<3x?x?xf32>) -> tensor<3x?x?xf32>
  %y1 = linalg.contract indexing_maps = [#p, #v, #o] ins(%p1, %v : tensor<3x?x?xf32>, tensor<3x?x16xf32>) outs(%zo : tensor<3x?x16xf32>) -> tensor<3x?x16xf32>
  // Other products than the first, or they would be one that is read twice.
  %k2 = arith.negf %k : tensor<3x?x16xf32>
  %q2 = arith.negf %q : tensor<3x?x16xf32>
  %s2 = linalg.contract indexing_maps = [#q, #k, #s] ins(%q2, %k2 : tensor<3x?x16xf32>, tensor<3x?x16xf32>) outs(%zs : tensor<3x?x?xf32>) -> tensor<3x?x?xf32>
  %m2 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%s2 : tensor<3x?x?xf32>) outs(%es : tensor<3x?x?xf32>) {
  ^bb0(%a: f32, %o: f32):
    %t = linalg.index 1 : index
    %l = linalg.index 2 : index
    %before = arith.cmpi ule, %l, %t : index
    %age = arith.subi %t, %l : index
    %near = arith.cmpi slt, %age, %c10 : index
    %seen = arith.andi %before, %near : i1
    %w = arith.select %seen, %a, %none : f32
    linalg.yield %w : f32
  } -> tensor<3x?x?xf32>
  %p2 = linalg.softmax dimension(2) ins(%m2 : tensor<3x?x?xf32>) outs(%es : tensor<3x?x?xf32>) -> tensor<3x?x?xf32>
  %y2 = linalg.contract indexing_maps = [#p, #v, #o] ins(%p2, %v : tensor<3x?x?xf32>, tensor<3x?x16xf32>) outs(%zo : tensor<3x?x16xf32>) -> tensor<3x?x16xf32>
  %ei = tensor.empty(%T) : tensor<3x?xi32>
  %no = arith.constant 0 : i32
  %zi = linalg.fill ins(%no : i32) outs(%ei : tensor<3x?xi32>) -> tensor<3x?xi32>
  %differ = linalg.generic {indexing_maps = [#o3, #o3, #ht], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%y1, %y2 : tensor<3x?x16xf32>, tensor<3x?x16xf32>) outs(%zi : tensor<3x?xi32>) {
  ^bb0(%a: f32, %b: f32, %o: i32):
    %difference = arith.subf %a, %b : f32
    %size = math.absf %difference : f32
    %isLarge = arith.cmpf ugt, %size, %little : f32
    %n = arith.extui %isLarge : i1 to i32
    %sum = arith.addi %o, %n : i32
    linalg.yield %sum : i32
  } -> tensor<3x?xi32>
  return %y1, %differ : tensor<3x?x16xf32>, tensor<3x?xi32>
}

// Keys and values of 2 heads, each repeated for 3 of queries, as exporters do it.
func.func @repeated(%q: tensor<6x?x16xf32> {moe.name = "q", moe.dims = ["T"]}, %k: tensor<2x?x16xf32> {moe.name = "k", moe.dims = ["L"]},
                    %v: tensor<2x?x16xf32> {moe.name = "v", moe.dims = ["L"]}) -> (tensor<6x?x16xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %q, %c1 : tensor<6x?x16xf32>
  %L = tensor.dim %k, %c1 : tensor<2x?x16xf32>
  %er = tensor.empty(%L) : tensor<2x3x?x16xf32>
  %kr = linalg.broadcast ins(%k : tensor<2x?x16xf32>) outs(%er : tensor<2x3x?x16xf32>) dimensions = [1]
  %vr = linalg.broadcast ins(%v : tensor<2x?x16xf32>) outs(%er : tensor<2x3x?x16xf32>) dimensions = [1]
  %k6 = tensor.collapse_shape %kr [[0, 1], [2], [3]] : tensor<2x3x?x16xf32> into tensor<6x?x16xf32>
  %v6 = tensor.collapse_shape %vr [[0, 1], [2], [3]] : tensor<2x3x?x16xf32> into tensor<6x?x16xf32>
  %es = tensor.empty(%T, %L) : tensor<6x?x?xf32>
  %zs = linalg.fill ins(%zero : f32) outs(%es : tensor<6x?x?xf32>) -> tensor<6x?x?xf32>
  %s = linalg.contract indexing_maps = [#q, #k, #s] ins(%q, %k6 : tensor<6x?x16xf32>, tensor<6x?x16xf32>) outs(%zs : tensor<6x?x?xf32>) -> tensor<6x?x?xf32>
  %p = linalg.softmax dimension(2) ins(%s : tensor<6x?x?xf32>) outs(%es : tensor<6x?x?xf32>) -> tensor<6x?x?xf32>
  %eo = tensor.empty(%T) : tensor<6x?x16xf32>
  %zo = linalg.fill ins(%zero : f32) outs(%eo : tensor<6x?x16xf32>) -> tensor<6x?x16xf32>
  %y = linalg.contract indexing_maps = [#p, #v, #o] ins(%p, %v6 : tensor<6x?x?xf32>, tensor<6x?x16xf32>) outs(%zo : tensor<6x?x16xf32>) -> tensor<6x?x16xf32>
  return %y : tensor<6x?x16xf32>
}

// Scores with keys in front, and a result with columns in front.
func.func @last_first(%q: tensor<3x?x16xf32> {moe.name = "q", moe.dims = ["T"]}, %k: tensor<3x?x16xf32> {moe.name = "k", moe.dims = ["T"]},
                      %v: tensor<3x?x16xf32> {moe.name = "v", moe.dims = ["T"]}) -> (tensor<16x?x3xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %q, %c1 : tensor<3x?x16xf32>
  %es = tensor.empty(%T, %T) : tensor<?x3x?xf32>
  %zs = linalg.fill ins(%zero : f32) outs(%es : tensor<?x3x?xf32>) -> tensor<?x3x?xf32>
  %s = linalg.contract indexing_maps = [#k, #q, affine_map<(h, t, l, d) -> (l, h, t)>] ins(%k, %q : tensor<3x?x16xf32>, tensor<3x?x16xf32>) outs(%zs : tensor<?x3x?xf32>) -> tensor<?x3x?xf32>
  %p = linalg.softmax dimension(0) ins(%s : tensor<?x3x?xf32>) outs(%es : tensor<?x3x?xf32>) -> tensor<?x3x?xf32>
  %eo = tensor.empty(%T) : tensor<16x?x3xf32>
  %zo = linalg.fill ins(%zero : f32) outs(%eo : tensor<16x?x3xf32>) -> tensor<16x?x3xf32>
  %y = linalg.contract indexing_maps = [affine_map<(h, t, d, l) -> (l, h, t)>, #v, affine_map<(h, t, d, l) -> (d, t, h)>] ins(%p, %v : tensor<?x3x?xf32>, tensor<3x?x16xf32>) outs(%zo : tensor<16x?x3xf32>) -> tensor<16x?x3xf32>
  return %y : tensor<16x?x3xf32>
}

// Token 2 sees nothing: its row is NaN, and the others are not.
func.func @nothing_seen(%q: tensor<2x?x16xf32> {moe.name = "q", moe.dims = ["T"]}, %k: tensor<2x?x16xf32> {moe.name = "k", moe.dims = ["T"]})
    -> (tensor<2x?xi32> {moe.name = "y", moe.dims = ["T"]}) {
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %zero = arith.constant 0.0 : f32
  %none = arith.constant 0xFF800000 : f32
  %T = tensor.dim %q, %c1 : tensor<2x?x16xf32>
  %es = tensor.empty(%T, %T) : tensor<2x?x?xf32>
  %zs = linalg.fill ins(%zero : f32) outs(%es : tensor<2x?x?xf32>) -> tensor<2x?x?xf32>
  %s = linalg.contract indexing_maps = [#q, #k, #s] ins(%q, %k : tensor<2x?x16xf32>, tensor<2x?x16xf32>) outs(%zs : tensor<2x?x?xf32>) -> tensor<2x?x?xf32>
  %m = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%s : tensor<2x?x?xf32>) outs(%es : tensor<2x?x?xf32>) {
  ^bb0(%a: f32, %o: f32):
    %t = linalg.index 1 : index
    %hidden = arith.cmpi eq, %t, %c2 : index
    %w = arith.select %hidden, %none, %a : f32
    linalg.yield %w : f32
  } -> tensor<2x?x?xf32>
  %p = linalg.softmax dimension(2) ins(%m : tensor<2x?x?xf32>) outs(%es : tensor<2x?x?xf32>) -> tensor<2x?x?xf32>
  %eo = tensor.empty(%T) : tensor<2x?x16xf32>
  %zo = linalg.fill ins(%zero : f32) outs(%eo : tensor<2x?x16xf32>) -> tensor<2x?x16xf32>
  %y = linalg.contract indexing_maps = [#p, #v, #o] ins(%p, %k : tensor<2x?x?xf32>, tensor<2x?x16xf32>) outs(%zo : tensor<2x?x16xf32>) -> tensor<2x?x16xf32>
  %ei = tensor.empty(%T) : tensor<2x?xi32>
  %zi32 = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %zi = linalg.fill ins(%zi32 : i32) outs(%ei : tensor<2x?xi32>) -> tensor<2x?xi32>
  %count = linalg.generic {indexing_maps = [affine_map<(h, t, d) -> (h, t, d)>, affine_map<(h, t, d) -> (h, t)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%y : tensor<2x?x16xf32>) outs(%zi : tensor<2x?xi32>) {
  ^bb0(%a: f32, %o: i32):
    %isnan = arith.cmpf uno, %a, %a : f32
    %n = arith.extui %isnan : i1 to i32
    %sum = arith.addi %o, %n : i32
    linalg.yield %sum : i32
  } -> tensor<2x?xi32>
  return %count : tensor<2x?xi32>
}
