// Softmax scores of rows with NaN and infinities. The rewrites that drop the
// softmax, or run it over the chosen only, change none of this.
func.func private @routers(%z: tensor<?x4xf32>)
    -> (tensor<?x2xi32>, tensor<?x2xf32>, tensor<?x2xi32>, tensor<?x2xf32>,
        tensor<?x1xi32>, tensor<?x1xf32>) {
  %c0 = arith.constant 0 : index
  %t = tensor.dim %z, %c0 : tensor<?x4xf32>
  %e = tensor.empty(%t) : tensor<?x4xf32>
  %s = linalg.softmax dimension(1) ins(%z : tensor<?x4xf32>) outs(%e : tensor<?x4xf32>) -> tensor<?x4xf32>
  %a = moe.router #moe.top_k<2> select(%s) weigh(%s) weighing [#moe.normalize<sum, eps = 0.0>]
      : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %b = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %c = moe.router #moe.top_k<1> select(%s) weigh(%s) weighing [#moe.normalize<p_norm, p = 1.0>]
      : tensor<?x4xf32> -> !moe.routing<4 x 1>
  %d = moe.routing.limit %c capacity 1 : !moe.routing<4 x 1>
  %ai = moe.routing.indices %a : !moe.routing<4 x 2> -> tensor<?x2xi32>
  %aw = moe.routing.weights %a : !moe.routing<4 x 2> -> tensor<?x2xf32>
  %bi = moe.routing.indices %b : !moe.routing<4 x 2> -> tensor<?x2xi32>
  %bw = moe.routing.weights %b : !moe.routing<4 x 2> -> tensor<?x2xf32>
  %di = moe.routing.indices %d : !moe.routing<4 x 1> -> tensor<?x1xi32>
  %dw = moe.routing.weights %d : !moe.routing<4 x 1> -> tensor<?x1xf32>
  return %ai, %aw, %bi, %bw, %di, %dw : tensor<?x2xi32>, tensor<?x2xf32>,
      tensor<?x2xi32>, tensor<?x2xf32>, tensor<?x1xi32>, tensor<?x1xf32>
}

func.func @given(%z: tensor<?x4xf32> {moe.name = "z", moe.dims = ["T"]})
    -> (tensor<?x2xi32> {moe.name = "normalized", moe.dims = ["T"]},
        tensor<?x2xf32> {moe.name = "normalized_weights", moe.dims = ["T"]},
        tensor<?x2xi32> {moe.name = "plain", moe.dims = ["T"]},
        tensor<?x2xf32> {moe.name = "plain_weights", moe.dims = ["T"]},
        tensor<?x1xi32> {moe.name = "limited", moe.dims = ["T"]},
        tensor<?x1xf32> {moe.name = "limited_weights", moe.dims = ["T"]}) {
  %0:6 = call @routers(%z) : (tensor<?x4xf32>) -> (tensor<?x2xi32>, tensor<?x2xf32>,
      tensor<?x2xi32>, tensor<?x2xf32>, tensor<?x1xi32>, tensor<?x1xf32>)
  return %0#0, %0#1, %0#2, %0#3, %0#4, %0#5 : tensor<?x2xi32>, tensor<?x2xf32>,
      tensor<?x2xi32>, tensor<?x2xf32>, tensor<?x1xi32>, tensor<?x1xf32>
}

// Equal ones are 1/2 each, and what is far above the others is 1.
func.func @here()
    -> (tensor<?x2xi32> {moe.name = "normalized", moe.dims = ["N"]},
        tensor<?x2xf32> {moe.name = "normalized_weights", moe.dims = ["N"]},
        tensor<?x2xi32> {moe.name = "plain", moe.dims = ["N"]},
        tensor<?x2xf32> {moe.name = "plain_weights", moe.dims = ["N"]},
        tensor<?x1xi32> {moe.name = "limited", moe.dims = ["N"]},
        tensor<?x1xf32> {moe.name = "limited_weights", moe.dims = ["N"]}) {
  %z = arith.constant dense<[[1.0, 2.0, 0x7fc00000, 3.0], [900.0, 0.0, 0.0, 0.0],
      [0xff800000, 5.0, 0xff800000, 5.0], [0.0, 0.0, 0x7f800000, 900.0],
      [0xff800000, 0xff800000, 0xff800000, 0xff800000],
      [0xffc00001, 0.0, 0.0, 0.0], [-900.0, 900.0, 0.0, 900.0]]> : tensor<7x4xf32>
  %d = tensor.cast %z : tensor<7x4xf32> to tensor<?x4xf32>
  %0:6 = call @routers(%d) : (tensor<?x4xf32>) -> (tensor<?x2xi32>, tensor<?x2xf32>,
      tensor<?x2xi32>, tensor<?x2xf32>, tensor<?x1xi32>, tensor<?x1xf32>)
  return %0#0, %0#1, %0#2, %0#3, %0#4, %0#5 : tensor<?x2xi32>, tensor<?x2xf32>,
      tensor<?x2xi32>, tensor<?x2xf32>, tensor<?x1xi32>, tensor<?x1xf32>
}
