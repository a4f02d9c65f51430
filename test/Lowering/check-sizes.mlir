// RUN: moe-opt %s --moe-check-sizes --split-input-file --verify-diagnostics | FileCheck %s

// A size that only a result has becomes an argument, and is compared at once.
// CHECK-LABEL: func.func @result(
// CHECK-SAME: %[[X:.*]]: tensor<?x4xf32> {{.*}}, %[[U:.*]]: index {moe.dims = ["U"], moe.role = "size"})
// CHECK: %[[T:.*]] = tensor.dim %[[X]]
// CHECK: %[[N:.*]] = affine.apply {{.*}}[%[[T]]]
// CHECK: %[[OK:.*]] = arith.cmpi eq, %[[U]], %[[N]]
// CHECK-NEXT: moe_rt.check %[[OK]], bad_size, "U has to equal T * 2: dimension 0 of result 'y'"
// CHECK: tensor.concat
func.func @result(%x: tensor<?x4xf32> {moe.name = "x", moe.dims = ["T"]})
    -> (tensor<?x4xf32> {moe.name = "y", moe.dims = ["U"]}) {
  %y = tensor.concat dim(0) %x, %x : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

// What holds always needs no check: half of twice as many rows, and slices of
// loops.
// CHECK-LABEL: func.func @holds(
// CHECK-NOT: moe_rt.check
func.func @holds(%x: tensor<?x2x4xf32> {moe.name = "x", moe.dims = ["T"]})
    -> (tensor<?x2x4xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %c8 = arith.constant 8 : index
  %flat = tensor.collapse_shape %x [[0, 1], [2]] : tensor<?x2x4xf32> into tensor<?x4xf32>
  %n = tensor.dim %flat, %c0 : tensor<?x4xf32>
  %e = tensor.empty(%n) : tensor<?x4xf32>
  %r = scf.for %i = %c0 to %n step %c8 iter_args(%acc = %e) -> tensor<?x4xf32> {
    %left = arith.subi %n, %i : index
    %size = affine.min affine_map<()[s] -> (s, 8)>()[%left]
    %s = tensor.extract_slice %flat[%i, 0] [%size, 4] [1, 1] : tensor<?x4xf32> to tensor<?x4xf32>
    %d = arith.addf %s, %s : tensor<?x4xf32>
    %next = tensor.insert_slice %d into %acc[%i, 0] [%size, 4] [1, 1] : tensor<?x4xf32> into tensor<?x4xf32>
    scf.yield %next : tensor<?x4xf32>
  }
  %sum = arith.addf %r, %flat : tensor<?x4xf32>
  %h = arith.divsi %n, %c2 : index
  %y = tensor.expand_shape %sum [[0, 1], [2]] output_shape [%h, 2, 4] : tensor<?x4xf32> into tensor<?x2x4xf32>
  return %y : tensor<?x2x4xf32>
}

// -----

// Equal checks are one, in front of everything.
// CHECK-LABEL: func.func @once(
// CHECK: moe_rt.check %{{.*}}, bad_size, "U has to equal T: 'arith.addf' needs one shape"
// CHECK-NOT: moe_rt.check
func.func @once(%x: tensor<?xf32> {moe.name = "x", moe.dims = ["T"]},
                %y: tensor<?xf32> {moe.name = "y", moe.dims = ["U"]})
    -> (tensor<?xf32> {moe.name = "z", moe.dims = ["T"]}) {
  %a = arith.addf %x, %y : tensor<?xf32>
  %b = arith.addf %a, %y : tensor<?xf32>
  return %b : tensor<?xf32>
}

// -----

// Two dynamic factors; those of scalars may overflow.
// CHECK-LABEL: func.func @factors(
// CHECK: moe_rt.check %{{.*}}, bad_size, "0 has to be at most b: 'tensor.expand_shape' gives a size"
// CHECK: moe_rt.check %{{.*}}, bad_size, "0 has to be at most s: 'tensor.expand_shape' gives a size"
// CHECK: arith.mulsi_extended
// CHECK: moe_rt.check %{{.*}}, bad_size, "the product b * s is too large"
// CHECK: moe_rt.check %{{.*}}, bad_size, "b * s has to equal N: 'tensor.expand_shape' keeps the number of elements"
// CHECK: moe_rt.check %{{.*}}, bad_size, "B has to equal b: dimension 0 of result 'y'"
// CHECK: moe_rt.check %{{.*}}, bad_size, "S has to equal s: dimension 1 of result 'y'"
func.func @factors(%x: tensor<?xf32> {moe.name = "x", moe.dims = ["N"]},
                   %b: index {moe.name = "b"}, %s: index {moe.name = "s"})
    -> (tensor<?x?xf32> {moe.name = "y", moe.dims = ["B", "S"]}) {
  %y = tensor.expand_shape %x [[0, 1]] output_shape [%b, %s] : tensor<?xf32> into tensor<?x?xf32>
  return %y : tensor<?x?xf32>
}

// -----

// A branch may not run: its check is inside.
// CHECK-LABEL: func.func @branch(
// CHECK-NOT: moe_rt.check
// CHECK: scf.if
// CHECK: moe_rt.check %{{.*}}, bad_size, "n has to be at most T: 'tensor.extract_slice' has to be within its tensor"
func.func @branch(%x: tensor<?xf32> {moe.name = "x", moe.dims = ["T"]},
                  %n: index {moe.name = "n"}, %p: i1 {moe.name = "p"}) -> (f32 {moe.name = "y"}) {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %y = scf.if %p -> f32 {
    %s = tensor.extract_slice %x[0] [%n] [1] : tensor<?xf32> to tensor<?xf32>
    %v = tensor.extract %s[%c0] : tensor<?xf32>
    scf.yield %v : f32
  } else {
    scf.yield %zero : f32
  }
  return %y : f32
}

// -----

// CHECK-LABEL: func.func @routing(
// CHECK: %[[MOST:.*]] = arith.constant 268435455
// CHECK: %[[OK:.*]] = arith.cmpi sle, %{{.*}}, %[[MOST]]
// CHECK: moe_rt.check %[[OK]], bad_size, "T has to be at most 268435455: a routing has at most 2147483647 assignments, and each token 8"
func.func @routing(%z: tensor<?x64xf32> {moe.name = "z", moe.dims = ["T"]})
    -> (tensor<65xi32> {moe.name = "y"}) {
  %r = moe.router #moe.top_k<8> select(%z) : tensor<?x64xf32> -> !moe.routing<64 x 8>
  %o = moe.routing.offsets %r : !moe.routing<64 x 8> -> tensor<65xi32>
  return %o : tensor<65xi32>
}

// -----

// Loops that read by their indices: y has to have all of them.
// CHECK-LABEL: func.func @indices(
// CHECK: moe_rt.check %{{.*}}, bad_size, "T + 1 has to be at most U - 1: 'tensor.extract' has to be within its tensor"
// CHECK-NOT: moe_rt.check
func.func @indices(%x: tensor<?xf32> {moe.name = "x", moe.dims = ["T"]},
                   %y: tensor<?xf32> {moe.name = "y", moe.dims = ["U"]})
    -> (tensor<?xf32> {moe.name = "z", moe.dims = ["T"]}) {
  %c2 = arith.constant 2 : index
  %z = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
      outs(%x : tensor<?xf32>) {
  ^bb0(%a: f32):
    %i = linalg.index 0 : index
    %j = arith.addi %i, %c2 : index
    %v = tensor.extract %y[%j] : tensor<?xf32>
    %w = tensor.extract %x[%i] : tensor<?xf32>
    %s = arith.addf %v, %w : f32
    linalg.yield %s : f32
  } -> tensor<?xf32>
  return %z : tensor<?xf32>
}

// -----

func.func @never(%x: tensor<?xf32> {moe.name = "x", moe.dims = ["T"]})
    -> (tensor<?xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %y = tensor.pad %x low[1] high[0] {
  ^bb0(%i: index):
    %zero = arith.constant 0.0 : f32
    tensor.yield %zero : f32
  } : tensor<?xf32> to tensor<?xf32>
  // expected-error@+1 {{can never run: T has to equal T + 1: dimension 0 of result 'y'}}
  return %y : tensor<?xf32>
}

// -----

func.func @threads(%x: tensor<?xf32> {moe.name = "x", moe.dims = ["T"]},
                   %n: tensor<4xindex> {moe.name = "n"})
    -> (tensor<4xf32> {moe.name = "y"}) {
  %c0 = arith.constant 0 : index
  %e = tensor.empty() : tensor<4xf32>
  %y = scf.forall (%i) in (4) shared_outs(%acc = %e) -> tensor<4xf32> {
    %at = tensor.extract %n[%i] : tensor<4xindex>
    // expected-error@+1 {{which 'scf.forall' around it does not allow; take the sizes from one tensor, or bound them by it}}
    %s = tensor.extract_slice %x[%at] [1] [1] : tensor<?xf32> to tensor<1xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %s into %acc[%i] [1] [1] : tensor<1xf32> into tensor<4xf32>
    }
  }
  return %y : tensor<4xf32>
}

// -----

// A name without a dimension names nothing: T is a size of the result alone.
// CHECK-LABEL: func.func @surplus_name(
// CHECK-SAME: %[[T:[^:]*]]: index {moe.dims = ["T"], moe.role = "size"})
func.func @surplus_name(%w: tensor<3xf32> {moe.name = "w", moe.dims = ["T"]}, %x: tensor<?xf32> {moe.name = "x", moe.dims = ["U"]})
    -> (tensor<?xf32> {moe.name = "y", moe.dims = ["T"]}) {
  return %x : tensor<?xf32>
}

// -----

func.func @no_dimension(%x: tensor<?x4xf32> {moe.name = "x", moe.dims = ["T"]})
    -> (tensor<?x4xf32> {moe.name = "y", moe.dims = ["U"]}) {
  %c-1 = arith.constant -1 : index
  // expected-error@+1 {{'tensor.dim' op asks for a dimension that there is not}}
  %n = tensor.dim %x, %c-1 : tensor<?x4xf32>
  %e = tensor.empty(%n) : tensor<?x4xf32>
  return %e : tensor<?x4xf32>
}
