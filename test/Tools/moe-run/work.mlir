// What a layer has to do is counted on its IR, whatever the IR is; numbers are
// those of a pencil.

#mk = affine_map<(m, n, k) -> (m, k)>
#nk = affine_map<(m, n, k) -> (n, k)>
#mn = affine_map<(m, n, k) -> (m, n)>
!routing = !moe.routing<4 x 1>

// Scores of 4 experts: 2 * 4 * 8 operations a token, 4 * 4 * 8 bytes of weights.
func.func private @scores(%x: tensor<?x8xf32>, %w: tensor<4x8xf32>) -> tensor<?x4xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x8xf32>
  %e = tensor.empty(%T) : tensor<?x4xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x4xf32>) -> tensor<?x4xf32>
  %z = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%x, %w : tensor<?x8xf32>, tensor<4x8xf32>) outs(%f : tensor<?x4xf32>) -> tensor<?x4xf32>
  return %z : tensor<?x4xf32>
}

// A body that is no moe.ffn, one expert of 4 for the one token; the helper is
// counted where it is called. 2 * (4 * 8 + 8 * 8), 4 * (4 * 8 + 8 * 8).
// RUN: moe-run %s --entry=body --random=1 --tokens=1 --bench=1 | FileCheck %s --check-prefix=BODY
// BODY: bench: 192 FLOP, 384 B of weights, 64 B of activations
func.func @body(%x: tensor<?x8xf32> {moe.name = "x", moe.dims = ["T"]}, %w: tensor<4x8xf32> {moe.name = "router"},
                %m: tensor<4x8x8xf32> {moe.name = "m"}) -> (tensor<?x8xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %z = func.call @scores(%x, %w) : (tensor<?x8xf32>, tensor<4x8xf32>) -> tensor<?x4xf32>
  %r = moe.router #moe.top_k<1> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x4xf32> -> !routing
  %rows = moe.dispatch %x by %r : tensor<?x8xf32>, !routing -> tensor<?x8xf32>
  %out = moe.expert %rows by %r : (tensor<?x8xf32>, !routing) -> tensor<?x8xf32>
  experts 0 to 4 weights(%m : tensor<4x8x8xf32>) {
  ^bb0(%t: tensor<?x8xf32>, %a: tensor<8x8xf32>):
    %c0 = arith.constant 0 : index
    %zero = arith.constant 0.0 : f32
    %n = tensor.dim %t, %c0 : tensor<?x8xf32>
    %e = tensor.empty(%n) : tensor<?x8xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
    %p = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%t, %a : tensor<?x8xf32>, tensor<8x8xf32>) outs(%f : tensor<?x8xf32>) -> tensor<?x8xf32>
    moe.yield %p : tensor<?x8xf32>
  }
  %y = moe.combine %out by %r : tensor<?x8xf32>, !routing -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// A shared expert that all 3 tokens visit, and no router's: 16 bits a weight.
// 2 * 3 * (8 * 16 * 2), 2 * (8 * 16 * 2).
// RUN: moe-run %s --entry=shared --random=1 --tokens=3 --bench=1 | FileCheck %s --check-prefix=SHARED
// SHARED: bench: 1.54 kFLOP, 512 B of weights, 192 B of activations
func.func @shared(%x: tensor<?x8xf32> {moe.name = "x", moe.dims = ["T"]}, %u: tensor<16x8xbf16> {moe.name = "up"},
                  %d: tensor<8x16xbf16> {moe.name = "down"}) -> (tensor<?x8xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %y = moe.ffn %x up(%u) down(%d) activation(#moe.relu) : (tensor<?x8xf32>, tensor<16x8xbf16>, tensor<8x16xbf16>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// Each expert keeps one of 5 tokens, which is seen in the run: 3 experts get one.
// One more gets all. 2 * (8 * 16 * 2 * 8 + 5 * 4 * 8), 4 * (4 * 256 + 4 * 8).
// RUN: moe-run %s --entry=limited --random=1 --tokens=5 --bench=1 --trace 2>&1 | FileCheck %s --check-prefix=LIMITED
// LIMITED-DAG: routing of 5 tokens to 4 experts, at most 1 each: 3 assignments
// LIMITED-DAG: bench: 4.42 kFLOP, 4.22 kB of weights, 320 B of activations
func.func @limited(%x: tensor<?x8xf32> {moe.name = "x", moe.dims = ["T"]}, %w: tensor<4x8xf32> {moe.name = "router"},
                   %u: tensor<5x16x8xf32> {moe.name = "up"}, %d: tensor<5x8x16xf32> {moe.name = "down"})
    -> (tensor<?x8xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %z = func.call @scores(%x, %w) : (tensor<?x8xf32>, tensor<4x8xf32>) -> tensor<?x4xf32>
  %r0 = moe.router #moe.top_k<1> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x4xf32> -> !routing
  %r1 = moe.routing.limit %r0 capacity 1 : !routing
  %r = moe.routing.append %r1 : !routing -> !moe.routing<5 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x8xf32>, !moe.routing<5 x 2> -> tensor<?x8xf32>
  %out = moe.expert %rows by %r : (tensor<?x8xf32>, !moe.routing<5 x 2>) -> tensor<?x8xf32>
  experts 0 to 5 weights(%u, %d : tensor<5x16x8xf32>, tensor<5x8x16xf32>) {
  ^bb0(%t: tensor<?x8xf32>, %a: tensor<16x8xf32>, %b: tensor<8x16xf32>):
    %f = moe.ffn %t up(%a) down(%b) activation(#moe.relu) : (tensor<?x8xf32>, tensor<16x8xf32>, tensor<8x16xf32>) -> tensor<?x8xf32>
    moe.yield %f : tensor<?x8xf32>
  }
  %y = moe.combine %out by %r : tensor<?x8xf32>, !moe.routing<5 x 2> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// 3 times 2 * 2 * 8 * 8; what cannot be counted is said.
// RUN: moe-run %s --entry=loop --random=1 --tokens=2 --bench=1 | FileCheck %s --check-prefix=LOOP
// LOOP: bench: 768 FLOP, 256 B of weights, 128 B of activations
// LOOP-NOT: not counted
// RUN: moe-run %s --entry=branch --random=1 --tokens=2 --bench=1 | FileCheck %s --check-prefix=BRANCH
// BRANCH: bench: not counted: scf.if: which of its bodies runs is not known
func.func @loop(%x: tensor<?x8xf32> {moe.name = "x", moe.dims = ["T"]}, %w: tensor<8x8xf32> {moe.name = "w"})
    -> (tensor<?x8xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x8xf32>
  %y = scf.for %i = %c0 to %c3 step %c1 iter_args(%a = %x) -> tensor<?x8xf32> {
    %e = tensor.empty(%T) : tensor<?x8xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
    %p = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%a, %w : tensor<?x8xf32>, tensor<8x8xf32>) outs(%f : tensor<?x8xf32>) -> tensor<?x8xf32>
    scf.yield %p : tensor<?x8xf32>
  }
  return %y : tensor<?x8xf32>
}

func.func @branch(%x: tensor<?x8xf32> {moe.name = "x", moe.dims = ["T"]}) -> (tensor<?x8xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %c9 = arith.constant 9 : index
  %T = tensor.dim %x, %c0 : tensor<?x8xf32>
  %few = arith.cmpi ult, %T, %c9 : index
  %y = scf.if %few -> tensor<?x8xf32> {
    %n = arith.negf %x : tensor<?x8xf32>
    scf.yield %n : tensor<?x8xf32>
  } else {
    scf.yield %x : tensor<?x8xf32>
  }
  return %y : tensor<?x8xf32>
}
