func.func @first(%s: tensor<?x4xf32>) -> tensor<?x2xi32> {
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %i = moe.routing.indices %r : !moe.routing<4 x 2> -> tensor<?x2xi32>
  return %i : tensor<?x2xi32>
}
func.func @fault(%x: tensor<?x8xf32>, %r: !moe.routing<4 x 2>) -> tensor<?x8xf32> {
  %rows = moe.dispatch %x by %r : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
  return %rows : tensor<?x8xf32>
}
func.func @other(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  return %x : tensor<?x8xf32>
}
func.func @last(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %y = call @other(%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
