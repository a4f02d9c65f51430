// Layers that give the weight of each expert: expert e adds 1 in column e.
#th = affine_map<(t, h) -> (t, h)>
#h = affine_map<(t, h) -> (h)>

func.func private @rows(%s: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %s, %c0 : tensor<?x8xf32>
  %empty = tensor.empty(%T) : tensor<?x8xf32>
  %x = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x8xf32>) -> tensor<?x8xf32>
  return %x : tensor<?x8xf32>
}

// Four of eight, weighed by their scores, which may be of any sign.
func.func @four(%s: tensor<?x8xf32> {moe.name = "s", moe.dims = ["T"]})
    -> (tensor<?x8xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %eye = arith.constant dense<[[1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
      [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0],
      [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0],
      [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]]> : tensor<8x8xf32>
  %x = func.call @rows(%s) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<4> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 4>
  %rows = moe.dispatch %x by %r : tensor<?x8xf32>, !moe.routing<8 x 4> -> tensor<?x8xf32>
  %out = moe.expert %rows by %r : (tensor<?x8xf32>, !moe.routing<8 x 4>) -> tensor<?x8xf32>
  experts 0 to 8 weights(%eye : tensor<8x8xf32>) {
  ^bb0(%t: tensor<?x8xf32>, %one: tensor<8xf32>):
    %y = linalg.generic {indexing_maps = [#h, #th], iterator_types = ["parallel", "parallel"]}
        ins(%one : tensor<8xf32>) outs(%t : tensor<?x8xf32>) {
    ^bb0(%a: f32, %b: f32):
      %c = arith.addf %a, %b : f32
      linalg.yield %c : f32
    } -> tensor<?x8xf32>
    moe.yield %y : tensor<?x8xf32>
  }
  %y = moe.combine %out by %r : tensor<?x8xf32>, !moe.routing<8 x 4> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// Two of seven, and expert 7 that all tokens have with a weight of 2^-20, whatever is skipped.
func.func @shared(%s: tensor<?x7xf32> {moe.name = "s", moe.dims = ["T"]},
                  %gate: tensor<?x1xf32> {moe.name = "gate", moe.dims = ["T"]})
    -> (tensor<?x8xf32> {moe.name = "y", moe.dims = ["T"]},
        tensor<?x2xi32> {moe.name = "chosen", moe.dims = ["T"]}) {
  %eye = arith.constant dense<[[1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
      [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0],
      [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0],
      [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]]> : tensor<8x8xf32>
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %s, %c0 : tensor<?x7xf32>
  %empty = tensor.empty(%T) : tensor<?x8xf32>
  %x = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x8xf32>) -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x7xf32> -> !moe.routing<7 x 2>
  %chosen = moe.routing.indices %r : !moe.routing<7 x 2> -> tensor<?x2xi32>
  %all = moe.routing.append %r weights(%gate : tensor<?x1xf32>) : !moe.routing<7 x 2> -> !moe.routing<8 x 3>
  %rows = moe.dispatch %x by %all : tensor<?x8xf32>, !moe.routing<8 x 3> -> tensor<?x8xf32>
  %out = moe.expert %rows by %all : (tensor<?x8xf32>, !moe.routing<8 x 3>) -> tensor<?x8xf32>
  experts 0 to 8 weights(%eye : tensor<8x8xf32>) {
  ^bb0(%t: tensor<?x8xf32>, %one: tensor<8xf32>):
    %y = linalg.generic {indexing_maps = [#h, #th], iterator_types = ["parallel", "parallel"]}
        ins(%one : tensor<8xf32>) outs(%t : tensor<?x8xf32>) {
    ^bb0(%a: f32, %b: f32):
      %c = arith.addf %a, %b : f32
      linalg.yield %c : f32
    } -> tensor<?x8xf32>
    moe.yield %y : tensor<?x8xf32>
  }
  %y = moe.combine %out by %all : tensor<?x8xf32>, !moe.routing<8 x 3> -> tensor<?x8xf32>
  return %y, %chosen : tensor<?x8xf32>, tensor<?x2xi32>
}
