// What looks like a layer, or shares something with one: raised, or left as it
// is with a reason, and the same results.

// RUN: split-file %s %t
// RUN: moe-raise --check=1 --explain %t/shared.mlir -o %t/shared.out.mlir 2>&1 | FileCheck %t/shared.mlir --check-prefix=SAYS
// RUN: FileCheck %t/shared.mlir --input-file=%t/shared.out.mlir
// RUN: moe-raise --check=1 --explain %t/neighbour.mlir -o %t/neighbour.out.mlir 2>&1 | FileCheck %t/neighbour.mlir --check-prefix=SAYS
// RUN: FileCheck %t/neighbour.mlir --input-file=%t/neighbour.out.mlir
// RUN: moe-raise --explain %t/few.mlir -o %t/few.out.mlir 2>&1 | FileCheck %t/few.mlir --check-prefix=SAYS
// RUN: FileCheck %t/few.mlir --input-file=%t/few.out.mlir
// RUN: moe-raise --check=1 --explain %t/loop.mlir -o %t/loop.out.mlir
// RUN: FileCheck %t/loop.mlir --input-file=%t/loop.out.mlir
// RUN: moe-raise %t/while.mlir -o %t/while.out.mlir 2>&1 | FileCheck %t/while.mlir --check-prefix=SAYS
// RUN: FileCheck %t/while.mlir --input-file=%t/while.out.mlir

//--- shared.mlir
// Two layers by one router: both are raised.
// SAYS: a layer of 4 experts, 2 of them a token; rung 2
// SAYS: a layer of 4 experts, 2 of them a token; rung 2
// CHECK: moe.combine
// CHECK: moe.combine
// CHECK-NOT: tensor.extract
#rows = affine_map<(t, h, s, j) -> (t, j)>
#slots = affine_map<(t, h, s, j) -> (t, s)>
#out = affine_map<(t, h, s, j) -> (t, h)>
func.func @shared(%x: tensor<6x8xf32>, %z: tensor<6x4xf32>, %v: tensor<4x8x8xf32>,
                  %w: tensor<4x8x8xf32>) -> (tensor<6x8xf32>, tensor<6x8xf32>) {
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<6x4xf32> -> !moe.routing<4 x 2>
  %e = moe.routing.indices %r : !moe.routing<4 x 2> -> tensor<6x2xi32>
  %p = moe.routing.weights %r : !moe.routing<4 x 2> -> tensor<6x2xf32>
  %zeros = arith.constant dense<0.0> : tensor<6x8xf32>
  %y = linalg.generic {indexing_maps = [#slots, #slots, #rows, #out],
      iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
      ins(%e, %p, %x : tensor<6x2xi32>, tensor<6x2xf32>, tensor<6x8xf32>)
      outs(%zeros : tensor<6x8xf32>) {
  ^bb0(%expert: i32, %weight: f32, %a: f32, %sum: f32):
    %i = arith.index_cast %expert : i32 to index
    %h = linalg.index 1 : index
    %j = linalg.index 3 : index
    %m = tensor.extract %v[%i, %h, %j] : tensor<4x8x8xf32>
    %product = arith.mulf %m, %a : f32
    %weighted = arith.mulf %product, %weight : f32
    %next = arith.addf %sum, %weighted : f32
    linalg.yield %next : f32
  } -> tensor<6x8xf32>
  // The second works on what the first made.
  %u = linalg.generic {indexing_maps = [#slots, #slots, #rows, #out],
      iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
      ins(%e, %p, %y : tensor<6x2xi32>, tensor<6x2xf32>, tensor<6x8xf32>)
      outs(%zeros : tensor<6x8xf32>) {
  ^bb0(%expert: i32, %weight: f32, %a: f32, %sum: f32):
    %i = arith.index_cast %expert : i32 to index
    %h = linalg.index 1 : index
    %j = linalg.index 3 : index
    %m = tensor.extract %w[%i, %h, %j] : tensor<4x8x8xf32>
    %product = arith.mulf %m, %a : f32
    %weighted = arith.mulf %product, %weight : f32
    %next = arith.addf %sum, %weighted : f32
    linalg.yield %next : f32
  } -> tensor<6x8xf32>
  return %y, %u : tensor<6x8xf32>, tensor<6x8xf32>
}

//--- neighbour.mlir
// An expert that reads the row in front of its own, too.
// SAYS: the experts of a layer stay as they are: an expert reads something that is no row of its token
// CHECK-NOT: moe.expert
// CHECK: tensor.extract
#rows = affine_map<(t, h, s, j) -> (t, j)>
#slots = affine_map<(t, h, s, j) -> (t, s)>
#out = affine_map<(t, h, s, j) -> (t, h)>
func.func @neighbour(%x: tensor<6x8xf32>, %z: tensor<6x4xf32>, %w: tensor<4x8x8xf32>)
    -> tensor<6x8xf32> {
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<6x4xf32> -> !moe.routing<4 x 2>
  %e = moe.routing.indices %r : !moe.routing<4 x 2> -> tensor<6x2xi32>
  %p = moe.routing.weights %r : !moe.routing<4 x 2> -> tensor<6x2xf32>
  %zeros = arith.constant dense<0.0> : tensor<6x8xf32>
  %y = linalg.generic {indexing_maps = [#slots, #slots, #rows, #out],
      iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
      ins(%e, %p, %x : tensor<6x2xi32>, tensor<6x2xf32>, tensor<6x8xf32>)
      outs(%zeros : tensor<6x8xf32>) {
  ^bb0(%expert: i32, %weight: f32, %a: f32, %sum: f32):
    %i = arith.index_cast %expert : i32 to index
    %t = linalg.index 0 : index
    %h = linalg.index 1 : index
    %j = linalg.index 3 : index
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %before = arith.subi %t, %c1 : index
    %inside = arith.maxsi %before, %c0 : index
    %b = tensor.extract %x[%inside, %j] : tensor<6x8xf32>
    %both = arith.addf %a, %b : f32
    %m = tensor.extract %w[%i, %h, %j] : tensor<4x8x8xf32>
    %product = arith.mulf %m, %both : f32
    %weighted = arith.mulf %product, %weight : f32
    %next = arith.addf %sum, %weighted : f32
    linalg.yield %next : f32
  } -> tensor<6x8xf32>
  return %y : tensor<6x8xf32>
}

//--- few.mlir
// Weights of three experts, and a router of four: no layer of either number.
// CHECK-NOT: moe.expert
// CHECK: tensor.extract
// SAYS: the experts of a layer stay as they are: the router picks of another number of experts than there are
#rows = affine_map<(t, h, s, j) -> (t, j)>
#slots = affine_map<(t, h, s, j) -> (t, s)>
#out = affine_map<(t, h, s, j) -> (t, h)>
func.func @few(%x: tensor<6x8xf32>, %z: tensor<6x4xf32>, %w: tensor<3x8x8xf32>)
    -> tensor<6x8xf32> {
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<6x4xf32> -> !moe.routing<4 x 2>
  %e = moe.routing.indices %r : !moe.routing<4 x 2> -> tensor<6x2xi32>
  %p = moe.routing.weights %r : !moe.routing<4 x 2> -> tensor<6x2xf32>
  %zeros = arith.constant dense<0.0> : tensor<6x8xf32>
  %y = linalg.generic {indexing_maps = [#slots, #slots, #rows, #out],
      iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
      ins(%e, %p, %x : tensor<6x2xi32>, tensor<6x2xf32>, tensor<6x8xf32>)
      outs(%zeros : tensor<6x8xf32>) {
  ^bb0(%expert: i32, %weight: f32, %a: f32, %sum: f32):
    %i = arith.index_cast %expert : i32 to index
    %h = linalg.index 1 : index
    %j = linalg.index 3 : index
    %m = tensor.extract %w[%i, %h, %j] : tensor<3x8x8xf32>
    %product = arith.mulf %m, %a : f32
    %weighted = arith.mulf %product, %weight : f32
    %next = arith.addf %sum, %weighted : f32
    linalg.yield %next : f32
  } -> tensor<6x8xf32>
  return %y : tensor<6x8xf32>
}

//--- loop.mlir
// A layer that runs three times, and one that runs if asked to.
// CHECK: scf.for
// CHECK: scf.if
#rows = affine_map<(t, h, s, j) -> (t, j)>
#slots = affine_map<(t, h, s, j) -> (t, s)>
#out = affine_map<(t, h, s, j) -> (t, h)>
func.func @loop(%x: tensor<6x8xf32>, %z: tensor<6x4xf32>, %w: tensor<4x8x8xf32>)
    -> tensor<6x8xf32> {
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<6x4xf32> -> !moe.routing<4 x 2>
  %e = moe.routing.indices %r : !moe.routing<4 x 2> -> tensor<6x2xi32>
  %p = moe.routing.weights %r : !moe.routing<4 x 2> -> tensor<6x2xf32>
  %zeros = arith.constant dense<0.0> : tensor<6x8xf32>
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %zero = arith.constant 0.0 : f32
  %y = scf.for %n = %c0 to %c3 step %c1 iter_args(%u = %x) -> (tensor<6x8xf32>) {
    %v = linalg.generic {indexing_maps = [#slots, #slots, #rows, #out],
        iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
        ins(%e, %p, %u : tensor<6x2xi32>, tensor<6x2xf32>, tensor<6x8xf32>)
        outs(%zeros : tensor<6x8xf32>) {
    ^bb0(%expert: i32, %weight: f32, %a: f32, %sum: f32):
      %i = arith.index_cast %expert : i32 to index
      %h = linalg.index 1 : index
      %j = linalg.index 3 : index
      %m = tensor.extract %w[%i, %h, %j] : tensor<4x8x8xf32>
      %product = arith.mulf %m, %a : f32
      %weighted = arith.mulf %product, %weight : f32
      %next = arith.addf %sum, %weighted : f32
      linalg.yield %next : f32
    } -> tensor<6x8xf32>
    %first = tensor.extract %v[%c0, %c0] : tensor<6x8xf32>
    %is = arith.cmpf ogt, %first, %zero : f32
    %o = scf.if %is -> (tensor<6x8xf32>) {
      %again = arith.addf %v, %u : tensor<6x8xf32>
      scf.yield %again : tensor<6x8xf32>
    } else {
      scf.yield %v : tensor<6x8xf32>
    }
    scf.yield %o : tensor<6x8xf32>
  }
  return %y : tensor<6x8xf32>
}

//--- while.mlir
// Control flow of a dialect that is not linked stays, with what is in it.
// SAYS: stablehlo.while stays as it is: nothing is known of it
// CHECK: "stablehlo.while"
func.func @while(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = "stablehlo.constant"() <{value = dense<0> : tensor<i32>}> : () -> tensor<i32>
  %1:2 = "stablehlo.while"(%0, %x) ({
  ^bb0(%i: tensor<i32>, %a: tensor<4xf32>):
    %2 = "stablehlo.constant"() <{value = dense<3> : tensor<i32>}> : () -> tensor<i32>
    %3 = "stablehlo.compare"(%i, %2) <{comparison_direction = #stablehlo<comparison_direction LT>}>
        : (tensor<i32>, tensor<i32>) -> tensor<i1>
    "stablehlo.return"(%3) : (tensor<i1>) -> ()
  }, {
  ^bb0(%i: tensor<i32>, %a: tensor<4xf32>):
    %2 = "stablehlo.add"(%a, %a) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
    "stablehlo.return"(%i, %2) : (tensor<i32>, tensor<4xf32>) -> ()
  }) : (tensor<i32>, tensor<4xf32>) -> (tensor<i32>, tensor<4xf32>)
  return %1#1 : tensor<4xf32>
}
