// What a router does beside scores of a top-k is not lost: its own steps, and
// what a mask of 0 does to scores that may be below 0.

// RUN: moe-opt %s --moe-raise-layers --split-input-file | FileCheck %s

#rows = affine_map<(t, h, s, j) -> (t, j)>
#slots = affine_map<(t, h, s, j) -> (t, s)>
#out = affine_map<(t, h, s, j) -> (t, h)>
// CHECK-LABEL: @steps
// CHECK: moe.router #moe.top_k<2> select(%{{.*}}) weigh(%{{.*}}) weighing [#moe.softmax]
// CHECK: moe.routing.make
// CHECK: moe.combine
func.func @steps(%x: tensor<6x8xf32>, %z: tensor<6x4xf32>, %w: tensor<4x8x8xf32>) -> tensor<6x8xf32> {
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax]
      : tensor<6x4xf32> -> !moe.routing<4 x 2>
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
    %m = tensor.extract %w[%i, %h, %j] : tensor<4x8x8xf32>
    %product = arith.mulf %m, %a : f32
    %weighted = arith.mulf %product, %weight : f32
    %next = arith.addf %sum, %weighted : f32
    linalg.yield %next : f32
  } -> tensor<6x8xf32>
  return %y : tensor<6x8xf32>
}

// -----

#rows = affine_map<(t, h, s, j) -> (t, j)>
#slots = affine_map<(t, h, s, j) -> (t, s)>
#out = affine_map<(t, h, s, j) -> (t, h)>
#scores = affine_map<(t, e) -> (t, e)>
#groups = affine_map<(t, e) -> (t, e floordiv 2)>
#mask = affine_map<(t, g, s) -> (t, s)>
#group = affine_map<(t, g, s) -> (t, g)>
#members = affine_map<(t, g, v) -> (t, g * 2 + v)>
// CHECK-LABEL: @probabilities
// CHECK: moe.router #moe.group_top_k<2, groups = 2, keep = 1, reduce = max>
// CHECK: moe.dispatch
func.func @probabilities(%x: tensor<6x8xf32>, %z: tensor<6x4xf32>, %w: tensor<4x8x8xf32>) -> tensor<6x8xf32> {
  %o = tensor.empty() : tensor<6x4xf32>
  %scores = linalg.softmax dimension(1) ins(%z : tensor<6x4xf32>) outs(%o : tensor<6x4xf32>) -> tensor<6x4xf32>
  %low = arith.constant dense<0xFF800000> : tensor<6x2xf32>
  %pair = tensor.expand_shape %scores [[0], [1, 2]] output_shape [6, 2, 2] : tensor<6x4xf32> into tensor<6x2x2xf32>
  %best = linalg.reduce {arith.maximumf} ins(%pair : tensor<6x2x2xf32>) outs(%low : tensor<6x2xf32>) dimensions = [2]
  %g = moe.router #moe.top_k<1> select(%best) weigh(%best) : tensor<6x2xf32> -> !moe.routing<2 x 1>
  %gi = moe.routing.indices %g : !moe.routing<2 x 1> -> tensor<6x1xi32>
  %none = arith.constant dense<0.0> : tensor<6x2xf32>
  %mask = linalg.generic {indexing_maps = [#mask, #group], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%gi : tensor<6x1xi32>) outs(%none : tensor<6x2xf32>) {
  ^bb0(%i: i32, %old: f32):
    %one = arith.constant 1.0 : f32
    %at = arith.index_cast %i : i32 to index
    %here = linalg.index 1 : index
    %is = arith.cmpi eq, %at, %here : index
    %new = arith.select %is, %one, %old : f32
    linalg.yield %new : f32
  } -> tensor<6x2xf32>
  %empty = tensor.empty() : tensor<6x4xf32>
  %masked = linalg.generic {indexing_maps = [#scores, #groups, #scores], iterator_types = ["parallel", "parallel"]}
      ins(%scores, %mask : tensor<6x4xf32>, tensor<6x2xf32>) outs(%empty : tensor<6x4xf32>) {
  ^bb0(%s: f32, %m: f32, %old: f32):
    %zero = arith.constant 0.0 : f32
    %fill = arith.constant 0.0 : f32
    %is = arith.cmpf une, %m, %zero : f32
    %new = arith.select %is, %s, %fill : f32
    linalg.yield %new : f32
  } -> tensor<6x4xf32>
  %r = moe.router #moe.top_k<2> select(%masked) weigh(%masked) : tensor<6x4xf32> -> !moe.routing<4 x 2>
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
    %m = tensor.extract %w[%i, %h, %j] : tensor<4x8x8xf32>
    %product = arith.mulf %m, %a : f32
    %weighted = arith.mulf %product, %weight : f32
    %next = arith.addf %sum, %weighted : f32
    linalg.yield %next : f32
  } -> tensor<6x8xf32>
  return %y : tensor<6x8xf32>
}

// -----

#rows = affine_map<(t, h, s, j) -> (t, j)>
#slots = affine_map<(t, h, s, j) -> (t, s)>
#out = affine_map<(t, h, s, j) -> (t, h)>
#scores = affine_map<(t, e) -> (t, e)>
#groups = affine_map<(t, e) -> (t, e floordiv 2)>
#mask = affine_map<(t, g, s) -> (t, s)>
#group = affine_map<(t, g, s) -> (t, g)>
#members = affine_map<(t, g, v) -> (t, g * 2 + v)>
// CHECK-LABEL: @any_scores
// CHECK-NOT: group_top_k
// CHECK: moe.router #moe.top_k<2>
// CHECK: moe.dispatch
func.func @any_scores(%x: tensor<6x8xf32>, %z: tensor<6x4xf32>, %w: tensor<4x8x8xf32>) -> tensor<6x8xf32> {
  %two = arith.constant dense<2.0> : tensor<6x4xf32>
  %scores = arith.mulf %z, %two : tensor<6x4xf32>
  %low = arith.constant dense<0xFF800000> : tensor<6x2xf32>
  %pair = tensor.expand_shape %scores [[0], [1, 2]] output_shape [6, 2, 2] : tensor<6x4xf32> into tensor<6x2x2xf32>
  %best = linalg.reduce {arith.maximumf} ins(%pair : tensor<6x2x2xf32>) outs(%low : tensor<6x2xf32>) dimensions = [2]
  %g = moe.router #moe.top_k<1> select(%best) weigh(%best) : tensor<6x2xf32> -> !moe.routing<2 x 1>
  %gi = moe.routing.indices %g : !moe.routing<2 x 1> -> tensor<6x1xi32>
  %none = arith.constant dense<0.0> : tensor<6x2xf32>
  %mask = linalg.generic {indexing_maps = [#mask, #group], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%gi : tensor<6x1xi32>) outs(%none : tensor<6x2xf32>) {
  ^bb0(%i: i32, %old: f32):
    %one = arith.constant 1.0 : f32
    %at = arith.index_cast %i : i32 to index
    %here = linalg.index 1 : index
    %is = arith.cmpi eq, %at, %here : index
    %new = arith.select %is, %one, %old : f32
    linalg.yield %new : f32
  } -> tensor<6x2xf32>
  %empty = tensor.empty() : tensor<6x4xf32>
  %masked = linalg.generic {indexing_maps = [#scores, #groups, #scores], iterator_types = ["parallel", "parallel"]}
      ins(%scores, %mask : tensor<6x4xf32>, tensor<6x2xf32>) outs(%empty : tensor<6x4xf32>) {
  ^bb0(%s: f32, %m: f32, %old: f32):
    %zero = arith.constant 0.0 : f32
    %fill = arith.constant 0.0 : f32
    %is = arith.cmpf une, %m, %zero : f32
    %new = arith.select %is, %s, %fill : f32
    linalg.yield %new : f32
  } -> tensor<6x4xf32>
  %r = moe.router #moe.top_k<2> select(%masked) weigh(%masked) : tensor<6x4xf32> -> !moe.routing<4 x 2>
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
    %m = tensor.extract %w[%i, %h, %j] : tensor<4x8x8xf32>
    %product = arith.mulf %m, %a : f32
    %weighted = arith.mulf %product, %weight : f32
    %next = arith.addf %sum, %weighted : f32
    linalg.yield %next : f32
  } -> tensor<6x8xf32>
  return %y : tensor<6x8xf32>
}

// -----

#rows = affine_map<(t, h, s, j) -> (t, j)>
#slots = affine_map<(t, h, s, j) -> (t, s)>
#out = affine_map<(t, h, s, j) -> (t, h)>
#scores = affine_map<(t, e) -> (t, e)>
#groups = affine_map<(t, e) -> (t, e floordiv 2)>
#mask = affine_map<(t, g, s) -> (t, s)>
#group = affine_map<(t, g, s) -> (t, g)>
#members = affine_map<(t, g, v) -> (t, g * 2 + v)>
// CHECK-LABEL: @infinity
// CHECK: moe.router #moe.group_top_k<2, groups = 2, keep = 1, reduce = max>
// CHECK: moe.dispatch
func.func @infinity(%x: tensor<6x8xf32>, %z: tensor<6x4xf32>, %w: tensor<4x8x8xf32>) -> tensor<6x8xf32> {
  %two = arith.constant dense<2.0> : tensor<6x4xf32>
  %scores = arith.mulf %z, %two : tensor<6x4xf32>
  %low = arith.constant dense<0xFF800000> : tensor<6x2xf32>
  %pair = tensor.expand_shape %scores [[0], [1, 2]] output_shape [6, 2, 2] : tensor<6x4xf32> into tensor<6x2x2xf32>
  %best = linalg.reduce {arith.maximumf} ins(%pair : tensor<6x2x2xf32>) outs(%low : tensor<6x2xf32>) dimensions = [2]
  %g = moe.router #moe.top_k<1> select(%best) weigh(%best) : tensor<6x2xf32> -> !moe.routing<2 x 1>
  %gi = moe.routing.indices %g : !moe.routing<2 x 1> -> tensor<6x1xi32>
  %none = arith.constant dense<0.0> : tensor<6x2xf32>
  %mask = linalg.generic {indexing_maps = [#mask, #group], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%gi : tensor<6x1xi32>) outs(%none : tensor<6x2xf32>) {
  ^bb0(%i: i32, %old: f32):
    %one = arith.constant 1.0 : f32
    %at = arith.index_cast %i : i32 to index
    %here = linalg.index 1 : index
    %is = arith.cmpi eq, %at, %here : index
    %new = arith.select %is, %one, %old : f32
    linalg.yield %new : f32
  } -> tensor<6x2xf32>
  %empty = tensor.empty() : tensor<6x4xf32>
  %masked = linalg.generic {indexing_maps = [#scores, #groups, #scores], iterator_types = ["parallel", "parallel"]}
      ins(%scores, %mask : tensor<6x4xf32>, tensor<6x2xf32>) outs(%empty : tensor<6x4xf32>) {
  ^bb0(%s: f32, %m: f32, %old: f32):
    %zero = arith.constant 0.0 : f32
    %fill = arith.constant 0xFF800000 : f32
    %is = arith.cmpf une, %m, %zero : f32
    %new = arith.select %is, %s, %fill : f32
    linalg.yield %new : f32
  } -> tensor<6x4xf32>
  %r = moe.router #moe.top_k<2> select(%masked) weigh(%masked) : tensor<6x4xf32> -> !moe.routing<4 x 2>
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
    %m = tensor.extract %w[%i, %h, %j] : tensor<4x8x8xf32>
    %product = arith.mulf %m, %a : f32
    %weighted = arith.mulf %product, %weight : f32
    %next = arith.addf %sum, %weighted : f32
    linalg.yield %next : f32
  } -> tensor<6x8xf32>
  return %y : tensor<6x8xf32>
}
