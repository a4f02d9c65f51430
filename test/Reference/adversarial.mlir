// Written by gen_fixtures.py.
// RUN: moe-interpret %s --inputs=%S/Inputs/adversarial.safetensors --expect=%S/Inputs/adversarial.safetensors --tolerance=1e-14

func.func @route(%z: tensor<?x6xf64> {moe.name = "z"})
    -> (tensor<?x1xi32> {moe.name = "top1.idx"}, tensor<?x1xf64> {moe.name = "top1.w"}, tensor<?x3xi32> {moe.name = "top3.idx"}, tensor<?x3xf64> {moe.name = "top3.w"}, tensor<?x6xi32> {moe.name = "top6.idx"}, tensor<?x6xf64> {moe.name = "top6.w"}, tensor<?x3xi32> {moe.name = "softmax.idx"}, tensor<?x3xf64> {moe.name = "softmax.w"}, tensor<?x3xi32> {moe.name = "sigmoid.idx"}, tensor<?x3xf64> {moe.name = "sigmoid.w"}, tensor<?x3xi32> {moe.name = "sigmoid_sum.idx"}, tensor<?x3xf64> {moe.name = "sigmoid_sum.w"}, tensor<?x2xi32> {moe.name = "group_max_1.idx"}, tensor<?x2xf64> {moe.name = "group_max_1.w"}, tensor<?x4xi32> {moe.name = "group_max_2.idx"}, tensor<?x4xf64> {moe.name = "group_max_2.w"}, tensor<?x4xi32> {moe.name = "group_max_3.idx"}, tensor<?x4xf64> {moe.name = "group_max_3.w"}, tensor<?x2xi32> {moe.name = "group_top2_1.idx"}, tensor<?x2xf64> {moe.name = "group_top2_1.w"}, tensor<?x4xi32> {moe.name = "group_top2_2.idx"}, tensor<?x4xf64> {moe.name = "group_top2_2.w"}, tensor<?x4xi32> {moe.name = "group_top2_3.idx"}, tensor<?x4xf64> {moe.name = "group_top2_3.w"}) {
  %r_top1 = moe.router #moe.top_k<1> select(%z) weigh(%z) : tensor<?x6xf64> -> !moe.routing<6 x 1>
  %i_top1 = moe.routing.indices %r_top1 : !moe.routing<6 x 1> -> tensor<?x1xi32>
  %w_top1 = moe.routing.weights %r_top1 : !moe.routing<6 x 1> -> tensor<?x1xf64>
  %r_top3 = moe.router #moe.top_k<3> select(%z) weigh(%z) : tensor<?x6xf64> -> !moe.routing<6 x 3>
  %i_top3 = moe.routing.indices %r_top3 : !moe.routing<6 x 3> -> tensor<?x3xi32>
  %w_top3 = moe.routing.weights %r_top3 : !moe.routing<6 x 3> -> tensor<?x3xf64>
  %r_top6 = moe.router #moe.top_k<6> select(%z) weigh(%z) : tensor<?x6xf64> -> !moe.routing<6 x 6>
  %i_top6 = moe.routing.indices %r_top6 : !moe.routing<6 x 6> -> tensor<?x6xi32>
  %w_top6 = moe.routing.weights %r_top6 : !moe.routing<6 x 6> -> tensor<?x6xf64>
  %r_softmax = moe.router #moe.top_k<3> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x6xf64> -> !moe.routing<6 x 3>
  %i_softmax = moe.routing.indices %r_softmax : !moe.routing<6 x 3> -> tensor<?x3xi32>
  %w_softmax = moe.routing.weights %r_softmax : !moe.routing<6 x 3> -> tensor<?x3xf64>
  %r_sigmoid = moe.router #moe.top_k<3> select(%z) weigh(%z) weighing [#moe.sigmoid] : tensor<?x6xf64> -> !moe.routing<6 x 3>
  %i_sigmoid = moe.routing.indices %r_sigmoid : !moe.routing<6 x 3> -> tensor<?x3xi32>
  %w_sigmoid = moe.routing.weights %r_sigmoid : !moe.routing<6 x 3> -> tensor<?x3xf64>
  %r_sigmoid_sum = moe.router #moe.top_k<3> select(%z) weigh(%z) weighing [#moe.sigmoid, #moe.normalize<sum, eps = 0.0>] : tensor<?x6xf64> -> !moe.routing<6 x 3>
  %i_sigmoid_sum = moe.routing.indices %r_sigmoid_sum : !moe.routing<6 x 3> -> tensor<?x3xi32>
  %w_sigmoid_sum = moe.routing.weights %r_sigmoid_sum : !moe.routing<6 x 3> -> tensor<?x3xf64>
  %r_group_max_1 = moe.router #moe.group_top_k<2, groups = 3, keep = 1, reduce = max> select(%z) weigh(%z) : tensor<?x6xf64> -> !moe.routing<6 x 2>
  %i_group_max_1 = moe.routing.indices %r_group_max_1 : !moe.routing<6 x 2> -> tensor<?x2xi32>
  %w_group_max_1 = moe.routing.weights %r_group_max_1 : !moe.routing<6 x 2> -> tensor<?x2xf64>
  %r_group_max_2 = moe.router #moe.group_top_k<4, groups = 3, keep = 2, reduce = max> select(%z) weigh(%z) : tensor<?x6xf64> -> !moe.routing<6 x 4>
  %i_group_max_2 = moe.routing.indices %r_group_max_2 : !moe.routing<6 x 4> -> tensor<?x4xi32>
  %w_group_max_2 = moe.routing.weights %r_group_max_2 : !moe.routing<6 x 4> -> tensor<?x4xf64>
  %r_group_max_3 = moe.router #moe.group_top_k<4, groups = 3, keep = 3, reduce = max> select(%z) weigh(%z) : tensor<?x6xf64> -> !moe.routing<6 x 4>
  %i_group_max_3 = moe.routing.indices %r_group_max_3 : !moe.routing<6 x 4> -> tensor<?x4xi32>
  %w_group_max_3 = moe.routing.weights %r_group_max_3 : !moe.routing<6 x 4> -> tensor<?x4xf64>
  %r_group_top2_1 = moe.router #moe.group_top_k<2, groups = 3, keep = 1, reduce = top2> select(%z) weigh(%z) : tensor<?x6xf64> -> !moe.routing<6 x 2>
  %i_group_top2_1 = moe.routing.indices %r_group_top2_1 : !moe.routing<6 x 2> -> tensor<?x2xi32>
  %w_group_top2_1 = moe.routing.weights %r_group_top2_1 : !moe.routing<6 x 2> -> tensor<?x2xf64>
  %r_group_top2_2 = moe.router #moe.group_top_k<4, groups = 3, keep = 2, reduce = top2> select(%z) weigh(%z) : tensor<?x6xf64> -> !moe.routing<6 x 4>
  %i_group_top2_2 = moe.routing.indices %r_group_top2_2 : !moe.routing<6 x 4> -> tensor<?x4xi32>
  %w_group_top2_2 = moe.routing.weights %r_group_top2_2 : !moe.routing<6 x 4> -> tensor<?x4xf64>
  %r_group_top2_3 = moe.router #moe.group_top_k<4, groups = 3, keep = 3, reduce = top2> select(%z) weigh(%z) : tensor<?x6xf64> -> !moe.routing<6 x 4>
  %i_group_top2_3 = moe.routing.indices %r_group_top2_3 : !moe.routing<6 x 4> -> tensor<?x4xi32>
  %w_group_top2_3 = moe.routing.weights %r_group_top2_3 : !moe.routing<6 x 4> -> tensor<?x4xf64>
  return %i_top1, %w_top1, %i_top3, %w_top3, %i_top6, %w_top6, %i_softmax, %w_softmax, %i_sigmoid, %w_sigmoid, %i_sigmoid_sum, %w_sigmoid_sum, %i_group_max_1, %w_group_max_1, %i_group_max_2, %w_group_max_2, %i_group_max_3, %w_group_max_3, %i_group_top2_1, %w_group_top2_1, %i_group_top2_2, %w_group_top2_2, %i_group_top2_3, %w_group_top2_3 : tensor<?x1xi32>, tensor<?x1xf64>, tensor<?x3xi32>, tensor<?x3xf64>, tensor<?x6xi32>, tensor<?x6xf64>, tensor<?x3xi32>, tensor<?x3xf64>, tensor<?x3xi32>, tensor<?x3xf64>, tensor<?x3xi32>, tensor<?x3xf64>, tensor<?x2xi32>, tensor<?x2xf64>, tensor<?x4xi32>, tensor<?x4xf64>, tensor<?x4xi32>, tensor<?x4xf64>, tensor<?x2xi32>, tensor<?x2xf64>, tensor<?x4xi32>, tensor<?x4xf64>, tensor<?x4xi32>, tensor<?x4xf64>
}
