// RUN: moe-opt %s --moe-skip-zero-activations="finite-weights=true max-density=0.25" --verify-roundtrip | FileCheck %s
// RUN: moe-opt %s --moe-skip-zero-activations="finite-weights=true max-density=0.25" --remarks-filter=moe-skip-zero-activations -o %t 2>&1 | FileCheck %s --check-prefix=SAID
// RUN: moe-opt %s --moe-skip-zero-activations --remarks-filter=moe-skip-zero-activations 2>&1 | FileCheck %s --check-prefix=INFINITE

// The decision reaches the kernels, and a schedule what pays of it.
// RUN: moe-opt %t --moe-fusion-pipeline | FileCheck %s --check-prefix=FUSED
// RUN: moe-opt %t --moe-fusion-pipeline --moe-set-target=chip=x86-64-v4 --moek-select-schedule --remarks-filter=moek-select-schedule 2>&1 | FileCheck %s --check-prefix=SCHEDULE

// What makes exact zeros is found by what it does, not by its name.
// CHECK-LABEL: func @ffns(
// INFINITE: [Missed] not-skipped{{.*}}all weights of this product are read: a weight that is an infinity or NaN would make its product with 0 NaN; finite-weights=true says that there is none" (7 times: ffns, written)
// INFINITE-NOT: moe.skip_zeros = 2
func.func @ffns(%x: tensor<4x8xf32>, %g: tensor<16x8xf32>, %u: tensor<16x8xf32>, %d: tensor<8x16xf32>) -> tensor<4x8xf32> {
  // CHECK: moe.ffn {{.*}} activation(#moe.relu) {moe.skip_zeros = 2.500000e-01 : f64}
  // SAID: :[[@LINE+1]]:{{.*}} [Passed] skips{{.*}}weights that meet zeros alone need not be read" (7 times: ffns, written)
  %a = moe.ffn %x up(%u) down(%d) activation(#moe.relu)
      : (tensor<4x8xf32>, tensor<16x8xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
  // CHECK: moe.ffn {{.*}} activation(#moe.relu2) {moe.skip_zeros = 2.500000e-01 : f64}
  %b = moe.ffn %a up(%u) down(%d) activation(#moe.relu2)
      : (tensor<4x8xf32>, tensor<16x8xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
  // A gate of a ReLU with a threshold.
  // CHECK: moe.ffn {{.*}} {moe.skip_zeros = 2.500000e-01 : f64}
  %c = moe.ffn %b gate(%g) up(%u) down(%d)
      : (tensor<4x8xf32>, tensor<16x8xf32>, tensor<16x8xf32>, tensor<8x16xf32>) -> tensor<4x8xf32> body {
  ^bb0(%v: f32, %w: f32):
    %t = arith.constant 0.5 : f32
    %none = arith.constant 0.0 : f32
    %over = arith.subf %v, %t : f32
    %is = arith.cmpf ogt, %over, %none : f32
    %kept = arith.select %is, %v, %none : f32
    %h = arith.mulf %kept, %w : f32
    moe.yield %h : f32
  }
  // A hard swish: v * min(max(v + 3, 0), 6) / 6, of which the first choice is at -3.
  // CHECK: moe.ffn {{.*}} {moe.skip_zeros = 2.500000e-01 : f64}
  %e = moe.ffn %c up(%u) down(%d)
      : (tensor<4x8xf32>, tensor<16x8xf32>, tensor<8x16xf32>) -> tensor<4x8xf32> body {
  ^bb0(%v: f32):
    %low = arith.constant -3.0 : f32
    %high = arith.constant 3.0 : f32
    %sixth = arith.constant 0.16666667 : f32
    %least = arith.maximumf %v, %low : f32
    %clamped = arith.minimumf %least, %high : f32
    %moved = arith.addf %clamped, %high : f32
    %scaled = arith.mulf %moved, %sixth : f32
    %h = arith.mulf %v, %scaled : f32
    moe.yield %h : f32
  }
  // Near zero is not zero.
  // CHECK: moe.ffn {{.*}} activation(#moe.silu) : (
  // SAID: :[[@LINE+1]]:{{.*}} [Missed] not-skipped{{.*}}all weights of this product are read: nothing that its rows are computed by makes exact zeros, as a maximum with 0 does" (2 times: ffns)
  %f = moe.ffn %e gate(%g) up(%u) down(%d) activation(#moe.silu)
      : (tensor<4x8xf32>, tensor<16x8xf32>, tensor<16x8xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
  // |v| is 0 where v is: nowhere but at a point. Nor is what is 1 there.
  // CHECK: moe.ffn {{.*}}) -> tensor<4x8xf32> body {
  %h = moe.ffn %f gate(%g) up(%u) down(%d)
      : (tensor<4x8xf32>, tensor<16x8xf32>, tensor<16x8xf32>, tensor<8x16xf32>) -> tensor<4x8xf32> body {
  ^bb0(%v: f32, %w: f32):
    %none = arith.constant 0.0 : f32
    %minus = arith.negf %v : f32
    %up = arith.maximumf %v, %none : f32
    %down = arith.maximumf %minus, %none : f32
    %size = arith.addf %up, %down : f32
    %q = arith.maximumf %w, %none : f32
    %p = math.exp %q : f32
    %o = arith.mulf %size, %p : f32
    moe.yield %o : f32
  }
  // What is there stays.
  // CHECK: moe.ffn {{.*}} {moe.skip_zeros = 7.500000e-01 : f64}
  %i = moe.ffn %h up(%u) down(%d) activation(#moe.relu) {moe.skip_zeros = 0.75}
      : (tensor<4x8xf32>, tensor<16x8xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
  return %i : tensor<4x8xf32>
}

#xk = affine_map<(t, n, k) -> (t, k)>
#wk = affine_map<(t, n, k) -> (n, k)>
#z = affine_map<(t, n, k) -> (t, n)>
#tk = affine_map<(t, k) -> (t, k)>

// In a body of linalg the product with the rows of tokens is none of them.
// CHECK-LABEL: func @written(
// CHECK: linalg.matmul indexing_maps = [{{[^{]*}}] ins(
// CHECK: linalg.matmul {{.*}}moe.skip_zeros = 2.500000e-01 : f64
// FUSED-LABEL: func @written(
// FUSED: moek.grouped_matmul n(32) k(8)
// FUSED-NOT: skip_zeros
// FUSED: moek.grouped_matmul n(8) k(32) {{.*}} phase("matmul") skip_zeros(2.500000e-01)
// SCHEDULE: [Passed] zeros-skipped{{.*}}a few rows with values in at most 4 of 16 steps of k are multiplied by these alone" (5 times: ffns, written)
// SCHEDULE: [Passed] zeros-skipped{{.*}}a few rows with values in at most 8 of 32 steps of k are multiplied by these alone
// SCHEDULE: [Missed] zeros-multiplied{{.*}}zeros of its rows are multiplied: decode takes several k at once; fma, widen and dot_bf16, of weights of f32 and bf16, leave them out
// SCHEDULE-LABEL: func @written(
// SCHEDULE: skip_zeros(2.500000e-01) schedule(#moe_cpu.schedule<fma, {{.*}}, listed = 8>)
// SCHEDULE: skip_zeros(2.500000e-01) schedule(#moe_cpu.schedule<widen, {{.*}}, listed = 4>)
// SCHEDULE: skip_zeros(2.500000e-01) schedule(#moe_cpu.schedule<decode,
// SCHEDULE-NOT: listed
func.func @written(%x: tensor<4x8xf32>, %i: tensor<4x1xi32>, %w: tensor<4x1xf32>, %up: tensor<4x32x8xf32>,
    %down: tensor<4x8x32xf32>, %narrow: tensor<4x8x32xbf16>, %codes: tensor<4x8x1x34xi8>) -> (tensor<4x8xf32>) {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %few = moe.dequantize #moe.q8_0 (%codes : tensor<4x8x1x34xi8>) : tensor<4x8x32xf32>
  %r = moe.routing.make %i, %w : tensor<4x1xi32>, tensor<4x1xf32> -> !moe.routing<4 x 1>
  %rows = moe.dispatch %x by %r : tensor<4x8xf32>, !moe.routing<4 x 1> -> tensor<?x8xf32>
  %out = moe.expert %rows by %r : (tensor<?x8xf32>, !moe.routing<4 x 1>) -> tensor<?x8xf32>
  experts 0 to 4 weights(%up, %down, %narrow, %few : tensor<4x32x8xf32>, tensor<4x8x32xf32>, tensor<4x8x32xbf16>, tensor<4x8x32xf32>) {
  ^bb0(%t: tensor<?x8xf32>, %u: tensor<32x8xf32>, %d: tensor<8x32xf32>, %b: tensor<8x32xbf16>, %q: tensor<8x32xf32>):
    %n = tensor.dim %t, %c0 : tensor<?x8xf32>
    %e = tensor.empty(%n) : tensor<?x32xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x32xf32>) -> tensor<?x32xf32>
    %p = linalg.matmul indexing_maps = [#xk, #wk, #z] ins(%t, %u : tensor<?x8xf32>, tensor<32x8xf32>) outs(%f : tensor<?x32xf32>) -> tensor<?x32xf32>
    %h = linalg.generic {indexing_maps = [#tk, #tk], iterator_types = ["parallel", "parallel"]}
        ins(%p : tensor<?x32xf32>) outs(%e : tensor<?x32xf32>) {
    ^bb0(%v: f32, %o: f32):
      %m = arith.maxnumf %v, %zero : f32
      linalg.yield %m : f32
    } -> tensor<?x32xf32>
    %eo = tensor.empty(%n) : tensor<?x8xf32>
    %fo = linalg.fill ins(%zero : f32) outs(%eo : tensor<?x8xf32>) -> tensor<?x8xf32>
    %y1 = linalg.matmul indexing_maps = [#xk, #wk, #z] ins(%h, %d : tensor<?x32xf32>, tensor<8x32xf32>) outs(%fo : tensor<?x8xf32>) -> tensor<?x8xf32>
    %y2 = linalg.matmul indexing_maps = [#xk, #wk, #z] ins(%h, %b : tensor<?x32xf32>, tensor<8x32xbf16>) outs(%y1 : tensor<?x8xf32>) -> tensor<?x8xf32>
    %y3 = linalg.matmul indexing_maps = [#xk, #wk, #z] ins(%h, %q : tensor<?x32xf32>, tensor<8x32xf32>) outs(%y2 : tensor<?x8xf32>) -> tensor<?x8xf32>
    moe.yield %y3 : tensor<?x8xf32>
  }
  %y = moe.combine %out by %r : tensor<?x8xf32>, !moe.routing<4 x 1> -> tensor<4x8xf32>
  return %y : tensor<4x8xf32>
}

// Options that make no sense.
// RUN: not moe-opt %s --moe-skip-zero-activations=max-density=0 2>&1 | FileCheck %s --check-prefix=DENSITY
// RUN: not moe-opt %s --moe-skip-zero-activations=max-density=nan 2>&1 | FileCheck %s --check-prefix=DENSITY
// DENSITY: error: moe-skip-zero-activations: max-density has to be a share of values, above 0 and at most 1
// RUN: not moe-opt %s --moe-skip-zero-activations="finite-weights=true profile=%t.none" 2>&1 | FileCheck %s --check-prefix=NOFILE
// NOFILE: error: moe-skip-zero-activations: {{.*}}.none
