// Written by gen_fixtures.py.
// RUN: moe-interpret %s --inputs=%S/Inputs/capacity-t0.safetensors --expect=%S/Inputs/capacity-t0.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/capacity-t1.safetensors --expect=%S/Inputs/capacity-t1.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/capacity-t5.safetensors --expect=%S/Inputs/capacity-t5.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/capacity-t37.safetensors --expect=%S/Inputs/capacity-t37.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/capacity-special.safetensors --expect=%S/Inputs/capacity-special.safetensors --tolerance=1e-12

func.func @route(
    %idx: tensor<?x2xi32> {moe.name = "idx", moe.dims = ["T"]},
    %w: tensor<?x2xf64> {moe.name = "w", moe.dims = ["T"]},
    %pr: tensor<?xf32> {moe.name = "pr", moe.dims = ["T"]})
    -> (tensor<?x2xi32> {moe.name = "switch.idx"}, tensor<?x2xf64> {moe.name = "switch.w"}, tensor<5xi32> {moe.name = "switch.offsets"}, tensor<?xi32> {moe.name = "switch.tokens"}, tensor<?x2xi32> {moe.name = "floor.idx"}, tensor<?x2xf64> {moe.name = "floor.w"}, tensor<5xi32> {moe.name = "floor.offsets"}, tensor<?xi32> {moe.name = "floor.tokens"}, tensor<?x2xi32> {moe.name = "nearest.idx"}, tensor<?x2xf64> {moe.name = "nearest.w"}, tensor<5xi32> {moe.name = "nearest.offsets"}, tensor<?xi32> {moe.name = "nearest.tokens"}, tensor<?x2xi32> {moe.name = "groups.idx"}, tensor<?x2xf64> {moe.name = "groups.w"}, tensor<5xi32> {moe.name = "groups.offsets"}, tensor<?xi32> {moe.name = "groups.tokens"}, tensor<?x2xi32> {moe.name = "fixed.idx"}, tensor<?x2xf64> {moe.name = "fixed.w"}, tensor<5xi32> {moe.name = "fixed.offsets"}, tensor<?xi32> {moe.name = "fixed.tokens"}, tensor<?x2xi32> {moe.name = "priority.idx"}, tensor<?x2xf64> {moe.name = "priority.w"}, tensor<5xi32> {moe.name = "priority.offsets"}, tensor<?xi32> {moe.name = "priority.tokens"}, tensor<?x2xi32> {moe.name = "priority_groups.idx"}, tensor<?x2xf64> {moe.name = "priority_groups.w"}, tensor<5xi32> {moe.name = "priority_groups.offsets"}, tensor<?xi32> {moe.name = "priority_groups.tokens"}, tensor<?x2xi32> {moe.name = "probability.idx"}, tensor<?x2xf64> {moe.name = "probability.w"}, tensor<5xi32> {moe.name = "probability.offsets"}, tensor<?xi32> {moe.name = "probability.tokens"}, tensor<?x2xi32> {moe.name = "probability_groups.idx"}, tensor<?x2xf64> {moe.name = "probability_groups.w"}, tensor<5xi32> {moe.name = "probability_groups.offsets"}, tensor<?xi32> {moe.name = "probability_groups.tokens"}, tensor<?x2xi32> {moe.name = "again.idx"}, tensor<?x2xf64> {moe.name = "again.w"}, tensor<5xi32> {moe.name = "again.offsets"}, tensor<?xi32> {moe.name = "again.tokens"}) {
  %r = moe.routing.make %idx, %w : tensor<?x2xi32>, tensor<?x2xf64> -> !moe.routing<4 x 2>
  %switch = moe.routing.limit %r factor 1.25 : !moe.routing<4 x 2>
  %switch_i = moe.routing.indices %switch : !moe.routing<4 x 2> -> tensor<?x2xi32>
  %switch_w = moe.routing.weights %switch : !moe.routing<4 x 2> -> tensor<?x2xf64>
  %switch_o = moe.routing.offsets %switch : !moe.routing<4 x 2> -> tensor<5xi32>
  %switch_t = moe.routing.tokens %switch : !moe.routing<4 x 2> -> tensor<?xi32>
  %floor = moe.routing.limit %r factor 0.7 rounding floor : !moe.routing<4 x 2>
  %floor_i = moe.routing.indices %floor : !moe.routing<4 x 2> -> tensor<?x2xi32>
  %floor_w = moe.routing.weights %floor : !moe.routing<4 x 2> -> tensor<?x2xf64>
  %floor_o = moe.routing.offsets %floor : !moe.routing<4 x 2> -> tensor<5xi32>
  %floor_t = moe.routing.tokens %floor : !moe.routing<4 x 2> -> tensor<?xi32>
  %nearest = moe.routing.limit %r factor 0.5 rounding nearest minimum 2 : !moe.routing<4 x 2>
  %nearest_i = moe.routing.indices %nearest : !moe.routing<4 x 2> -> tensor<?x2xi32>
  %nearest_w = moe.routing.weights %nearest : !moe.routing<4 x 2> -> tensor<?x2xf64>
  %nearest_o = moe.routing.offsets %nearest : !moe.routing<4 x 2> -> tensor<5xi32>
  %nearest_t = moe.routing.tokens %nearest : !moe.routing<4 x 2> -> tensor<?xi32>
  %groups = moe.routing.limit %r factor 0.75 group_size 4 : !moe.routing<4 x 2>
  %groups_i = moe.routing.indices %groups : !moe.routing<4 x 2> -> tensor<?x2xi32>
  %groups_w = moe.routing.weights %groups : !moe.routing<4 x 2> -> tensor<?x2xf64>
  %groups_o = moe.routing.offsets %groups : !moe.routing<4 x 2> -> tensor<5xi32>
  %groups_t = moe.routing.tokens %groups : !moe.routing<4 x 2> -> tensor<?xi32>
  %fixed = moe.routing.limit %r capacity 2 group_size 5 : !moe.routing<4 x 2>
  %fixed_i = moe.routing.indices %fixed : !moe.routing<4 x 2> -> tensor<?x2xi32>
  %fixed_w = moe.routing.weights %fixed : !moe.routing<4 x 2> -> tensor<?x2xf64>
  %fixed_o = moe.routing.offsets %fixed : !moe.routing<4 x 2> -> tensor<5xi32>
  %fixed_t = moe.routing.tokens %fixed : !moe.routing<4 x 2> -> tensor<?xi32>
  %priority = moe.routing.limit %r factor 0.5 by batch_priority(%pr : tensor<?xf32>) : !moe.routing<4 x 2>
  %priority_i = moe.routing.indices %priority : !moe.routing<4 x 2> -> tensor<?x2xi32>
  %priority_w = moe.routing.weights %priority : !moe.routing<4 x 2> -> tensor<?x2xf64>
  %priority_o = moe.routing.offsets %priority : !moe.routing<4 x 2> -> tensor<5xi32>
  %priority_t = moe.routing.tokens %priority : !moe.routing<4 x 2> -> tensor<?xi32>
  %priority_groups = moe.routing.limit %r capacity 1 group_size 3 by batch_priority(%pr : tensor<?xf32>) : !moe.routing<4 x 2>
  %priority_groups_i = moe.routing.indices %priority_groups : !moe.routing<4 x 2> -> tensor<?x2xi32>
  %priority_groups_w = moe.routing.weights %priority_groups : !moe.routing<4 x 2> -> tensor<?x2xf64>
  %priority_groups_o = moe.routing.offsets %priority_groups : !moe.routing<4 x 2> -> tensor<5xi32>
  %priority_groups_t = moe.routing.tokens %priority_groups : !moe.routing<4 x 2> -> tensor<?xi32>
  %probability = moe.routing.limit %r factor 0.5 by probability : !moe.routing<4 x 2>
  %probability_i = moe.routing.indices %probability : !moe.routing<4 x 2> -> tensor<?x2xi32>
  %probability_w = moe.routing.weights %probability : !moe.routing<4 x 2> -> tensor<?x2xf64>
  %probability_o = moe.routing.offsets %probability : !moe.routing<4 x 2> -> tensor<5xi32>
  %probability_t = moe.routing.tokens %probability : !moe.routing<4 x 2> -> tensor<?xi32>
  %probability_groups = moe.routing.limit %r capacity 2 group_size 7 by probability : !moe.routing<4 x 2>
  %probability_groups_i = moe.routing.indices %probability_groups : !moe.routing<4 x 2> -> tensor<?x2xi32>
  %probability_groups_w = moe.routing.weights %probability_groups : !moe.routing<4 x 2> -> tensor<?x2xf64>
  %probability_groups_o = moe.routing.offsets %probability_groups : !moe.routing<4 x 2> -> tensor<5xi32>
  %probability_groups_t = moe.routing.tokens %probability_groups : !moe.routing<4 x 2> -> tensor<?xi32>
  %again = moe.routing.reweigh %switch weighing [#moe.normalize<clamp, min = 1.1920928955078125e-07>] : !moe.routing<4 x 2>
  %again_i = moe.routing.indices %again : !moe.routing<4 x 2> -> tensor<?x2xi32>
  %again_w = moe.routing.weights %again : !moe.routing<4 x 2> -> tensor<?x2xf64>
  %again_o = moe.routing.offsets %again : !moe.routing<4 x 2> -> tensor<5xi32>
  %again_t = moe.routing.tokens %again : !moe.routing<4 x 2> -> tensor<?xi32>
  return %switch_i, %switch_w, %switch_o, %switch_t, %floor_i, %floor_w, %floor_o, %floor_t, %nearest_i, %nearest_w, %nearest_o, %nearest_t, %groups_i, %groups_w, %groups_o, %groups_t, %fixed_i, %fixed_w, %fixed_o, %fixed_t, %priority_i, %priority_w, %priority_o, %priority_t, %priority_groups_i, %priority_groups_w, %priority_groups_o, %priority_groups_t, %probability_i, %probability_w, %probability_o, %probability_t, %probability_groups_i, %probability_groups_w, %probability_groups_o, %probability_groups_t, %again_i, %again_w, %again_o, %again_t : tensor<?x2xi32>, tensor<?x2xf64>, tensor<5xi32>, tensor<?xi32>, tensor<?x2xi32>, tensor<?x2xf64>, tensor<5xi32>, tensor<?xi32>, tensor<?x2xi32>, tensor<?x2xf64>, tensor<5xi32>, tensor<?xi32>, tensor<?x2xi32>, tensor<?x2xf64>, tensor<5xi32>, tensor<?xi32>, tensor<?x2xi32>, tensor<?x2xf64>, tensor<5xi32>, tensor<?xi32>, tensor<?x2xi32>, tensor<?x2xf64>, tensor<5xi32>, tensor<?xi32>, tensor<?x2xi32>, tensor<?x2xf64>, tensor<5xi32>, tensor<?xi32>, tensor<?x2xi32>, tensor<?x2xf64>, tensor<5xi32>, tensor<?xi32>, tensor<?x2xi32>, tensor<?x2xf64>, tensor<5xi32>, tensor<?xi32>, tensor<?x2xi32>, tensor<?x2xf64>, tensor<5xi32>, tensor<?xi32>
}
