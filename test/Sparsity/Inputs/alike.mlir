// Layers with experts that are alike.
#xh = affine_map<(t, e, h) -> (t, h)>
#wh = affine_map<(t, e, h) -> (e, h)>
#z = affine_map<(t, e, h) -> (t, e)>

// Scores of 8 experts.
func.func private @scores(%x: tensor<?x32xf32>, %wr: tensor<8x32xf32>) -> tensor<?x8xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x32xf32>
  %empty = tensor.empty(%T) : tensor<?x8xf32>
  %fill = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x8xf32>) -> tensor<?x8xf32>
  %z = linalg.matmul indexing_maps = [#xh, #wh, #z]
      ins(%x, %wr : tensor<?x32xf32>, tensor<8x32xf32>) outs(%fill : tensor<?x8xf32>) -> tensor<?x8xf32>
  %s = linalg.softmax dimension(1) ins(%z : tensor<?x8xf32>) outs(%empty : tensor<?x8xf32>) -> tensor<?x8xf32>
  return %s : tensor<?x8xf32>
}

// One expert of a token: any that are alike become one.
func.func @single(%x: tensor<?x32xf32> {moe.name = "x", moe.dims = ["T"]},
    %wr: tensor<8x32xf32> {moe.name = "router.weight"},
    %up: tensor<4x48x32xf32> {moe.name = "up"}, %down: tensor<4x32x48xf32> {moe.name = "down"})
    -> (tensor<?x32xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %s = func.call @scores(%x, %wr) : (tensor<?x32xf32>, tensor<8x32xf32>) -> tensor<?x8xf32>
  %up0 = tensor.extract_slice %up[0, 0, 0] [1, 48, 32] [1, 1, 1] : tensor<4x48x32xf32> to tensor<1x48x32xf32>
  %up1 = tensor.extract_slice %up[1, 0, 0] [1, 48, 32] [1, 1, 1] : tensor<4x48x32xf32> to tensor<1x48x32xf32>
  %up2 = tensor.extract_slice %up[2, 0, 0] [1, 48, 32] [1, 1, 1] : tensor<4x48x32xf32> to tensor<1x48x32xf32>
  %up3 = tensor.extract_slice %up[3, 0, 0] [1, 48, 32] [1, 1, 1] : tensor<4x48x32xf32> to tensor<1x48x32xf32>
  %ups = tensor.concat dim(0) %up0, %up1, %up0, %up2, %up1, %up3, %up0, %up3 : (tensor<1x48x32xf32>, tensor<1x48x32xf32>, tensor<1x48x32xf32>, tensor<1x48x32xf32>, tensor<1x48x32xf32>, tensor<1x48x32xf32>, tensor<1x48x32xf32>, tensor<1x48x32xf32>) -> tensor<8x48x32xf32>
  %down0 = tensor.extract_slice %down[0, 0, 0] [1, 32, 48] [1, 1, 1] : tensor<4x32x48xf32> to tensor<1x32x48xf32>
  %down1 = tensor.extract_slice %down[1, 0, 0] [1, 32, 48] [1, 1, 1] : tensor<4x32x48xf32> to tensor<1x32x48xf32>
  %down2 = tensor.extract_slice %down[2, 0, 0] [1, 32, 48] [1, 1, 1] : tensor<4x32x48xf32> to tensor<1x32x48xf32>
  %down3 = tensor.extract_slice %down[3, 0, 0] [1, 32, 48] [1, 1, 1] : tensor<4x32x48xf32> to tensor<1x32x48xf32>
  %downs = tensor.concat dim(0) %down0, %down1, %down0, %down2, %down1, %down3, %down0, %down3 : (tensor<1x32x48xf32>, tensor<1x32x48xf32>, tensor<1x32x48xf32>, tensor<1x32x48xf32>, tensor<1x32x48xf32>, tensor<1x32x48xf32>, tensor<1x32x48xf32>, tensor<1x32x48xf32>) -> tensor<8x32x48xf32>
  %r = moe.router #moe.top_k<1> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 1>
  %rows = moe.dispatch %x by %r : tensor<?x32xf32>, !moe.routing<8 x 1> -> tensor<?x32xf32>
  %out = moe.expert %rows by %r : (tensor<?x32xf32>, !moe.routing<8 x 1>) -> tensor<?x32xf32>
  experts 0 to 8 weights(%ups, %downs : tensor<8x48x32xf32>, tensor<8x32x48xf32>) {
  ^bb0(%t: tensor<?x32xf32>, %u: tensor<48x32xf32>, %d: tensor<32x48xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu)
        : (tensor<?x32xf32>, tensor<48x32xf32>, tensor<32x48xf32>) -> tensor<?x32xf32>
    moe.yield %f : tensor<?x32xf32>
  }
  %y = moe.combine %out by %r : tensor<?x32xf32>, !moe.routing<8 x 1> -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// Three of a token; those that are alike are neighbours.
func.func @neighbours(%x: tensor<?x32xf32> {moe.name = "x", moe.dims = ["T"]},
    %wr: tensor<8x32xf32> {moe.name = "router.weight"},
    %up: tensor<4x48x32xf32> {moe.name = "up"}, %down: tensor<4x32x48xf32> {moe.name = "down"})
    -> (tensor<?x32xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %s = func.call @scores(%x, %wr) : (tensor<?x32xf32>, tensor<8x32xf32>) -> tensor<?x8xf32>
  %up0 = tensor.extract_slice %up[0, 0, 0] [1, 48, 32] [1, 1, 1] : tensor<4x48x32xf32> to tensor<1x48x32xf32>
  %up1 = tensor.extract_slice %up[1, 0, 0] [1, 48, 32] [1, 1, 1] : tensor<4x48x32xf32> to tensor<1x48x32xf32>
  %up2 = tensor.extract_slice %up[2, 0, 0] [1, 48, 32] [1, 1, 1] : tensor<4x48x32xf32> to tensor<1x48x32xf32>
  %up3 = tensor.extract_slice %up[3, 0, 0] [1, 48, 32] [1, 1, 1] : tensor<4x48x32xf32> to tensor<1x48x32xf32>
  %ups = tensor.concat dim(0) %up0, %up0, %up1, %up2, %up2, %up2, %up3, %up3 : (tensor<1x48x32xf32>, tensor<1x48x32xf32>, tensor<1x48x32xf32>, tensor<1x48x32xf32>, tensor<1x48x32xf32>, tensor<1x48x32xf32>, tensor<1x48x32xf32>, tensor<1x48x32xf32>) -> tensor<8x48x32xf32>
  %down0 = tensor.extract_slice %down[0, 0, 0] [1, 32, 48] [1, 1, 1] : tensor<4x32x48xf32> to tensor<1x32x48xf32>
  %down1 = tensor.extract_slice %down[1, 0, 0] [1, 32, 48] [1, 1, 1] : tensor<4x32x48xf32> to tensor<1x32x48xf32>
  %down2 = tensor.extract_slice %down[2, 0, 0] [1, 32, 48] [1, 1, 1] : tensor<4x32x48xf32> to tensor<1x32x48xf32>
  %down3 = tensor.extract_slice %down[3, 0, 0] [1, 32, 48] [1, 1, 1] : tensor<4x32x48xf32> to tensor<1x32x48xf32>
  %downs = tensor.concat dim(0) %down0, %down0, %down1, %down2, %down2, %down2, %down3, %down3 : (tensor<1x32x48xf32>, tensor<1x32x48xf32>, tensor<1x32x48xf32>, tensor<1x32x48xf32>, tensor<1x32x48xf32>, tensor<1x32x48xf32>, tensor<1x32x48xf32>, tensor<1x32x48xf32>) -> tensor<8x32x48xf32>
  %r = moe.router #moe.top_k<3> select(%s) weigh(%s) weighing [#moe.normalize<sum, eps = 0.0>] : tensor<?x8xf32> -> !moe.routing<8 x 3>
  %rows = moe.dispatch %x by %r : tensor<?x32xf32>, !moe.routing<8 x 3> -> tensor<?x32xf32>
  %out = moe.expert %rows by %r : (tensor<?x32xf32>, !moe.routing<8 x 3>) -> tensor<?x32xf32>
  experts 0 to 8 weights(%ups, %downs : tensor<8x48x32xf32>, tensor<8x32x48xf32>) {
  ^bb0(%t: tensor<?x32xf32>, %u: tensor<48x32xf32>, %d: tensor<32x48xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu)
        : (tensor<?x32xf32>, tensor<48x32xf32>, tensor<32x48xf32>) -> tensor<?x32xf32>
    moe.yield %f : tensor<?x32xf32>
  }
  %y = moe.combine %out by %r : tensor<?x32xf32>, !moe.routing<8 x 3> -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// Any number, in the order of the experts.
func.func @mask(%x: tensor<?x32xf32> {moe.name = "x", moe.dims = ["T"]},
    %wr: tensor<8x32xf32> {moe.name = "router.weight"},
    %up: tensor<4x48x32xf32> {moe.name = "up"}, %down: tensor<4x32x48xf32> {moe.name = "down"})
    -> (tensor<?x32xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %s = func.call @scores(%x, %wr) : (tensor<?x32xf32>, tensor<8x32xf32>) -> tensor<?x8xf32>
  %up0 = tensor.extract_slice %up[0, 0, 0] [1, 48, 32] [1, 1, 1] : tensor<4x48x32xf32> to tensor<1x48x32xf32>
  %up1 = tensor.extract_slice %up[1, 0, 0] [1, 48, 32] [1, 1, 1] : tensor<4x48x32xf32> to tensor<1x48x32xf32>
  %up2 = tensor.extract_slice %up[2, 0, 0] [1, 48, 32] [1, 1, 1] : tensor<4x48x32xf32> to tensor<1x48x32xf32>
  %up3 = tensor.extract_slice %up[3, 0, 0] [1, 48, 32] [1, 1, 1] : tensor<4x48x32xf32> to tensor<1x48x32xf32>
  %ups = tensor.concat dim(0) %up0, %up0, %up1, %up2, %up2, %up2, %up3, %up3 : (tensor<1x48x32xf32>, tensor<1x48x32xf32>, tensor<1x48x32xf32>, tensor<1x48x32xf32>, tensor<1x48x32xf32>, tensor<1x48x32xf32>, tensor<1x48x32xf32>, tensor<1x48x32xf32>) -> tensor<8x48x32xf32>
  %down0 = tensor.extract_slice %down[0, 0, 0] [1, 32, 48] [1, 1, 1] : tensor<4x32x48xf32> to tensor<1x32x48xf32>
  %down1 = tensor.extract_slice %down[1, 0, 0] [1, 32, 48] [1, 1, 1] : tensor<4x32x48xf32> to tensor<1x32x48xf32>
  %down2 = tensor.extract_slice %down[2, 0, 0] [1, 32, 48] [1, 1, 1] : tensor<4x32x48xf32> to tensor<1x32x48xf32>
  %down3 = tensor.extract_slice %down[3, 0, 0] [1, 32, 48] [1, 1, 1] : tensor<4x32x48xf32> to tensor<1x32x48xf32>
  %downs = tensor.concat dim(0) %down0, %down0, %down1, %down2, %down2, %down2, %down3, %down3 : (tensor<1x32x48xf32>, tensor<1x32x48xf32>, tensor<1x32x48xf32>, tensor<1x32x48xf32>, tensor<1x32x48xf32>, tensor<1x32x48xf32>, tensor<1x32x48xf32>, tensor<1x32x48xf32>) -> tensor<8x32x48xf32>
  %r = moe.router #moe.threshold<0.1, min_k = 1> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 8>
  %rows = moe.dispatch %x by %r : tensor<?x32xf32>, !moe.routing<8 x 8> -> tensor<?x32xf32>
  %out = moe.expert %rows by %r : (tensor<?x32xf32>, !moe.routing<8 x 8>) -> tensor<?x32xf32>
  experts 0 to 8 weights(%ups, %downs : tensor<8x48x32xf32>, tensor<8x32x48xf32>) {
  ^bb0(%t: tensor<?x32xf32>, %u: tensor<48x32xf32>, %d: tensor<32x48xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu)
        : (tensor<?x32xf32>, tensor<48x32xf32>, tensor<32x48xf32>) -> tensor<?x32xf32>
    moe.yield %f : tensor<?x32xf32>
  }
  %y = moe.combine %out by %r : tensor<?x32xf32>, !moe.routing<8 x 8> -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// Others are between those that are alike, but for 3 and 4, and 6 and 7.
func.func @apart(%x: tensor<?x32xf32> {moe.name = "x", moe.dims = ["T"]},
    %wr: tensor<8x32xf32> {moe.name = "router.weight"},
    %up: tensor<4x48x32xf32> {moe.name = "up"}, %down: tensor<4x32x48xf32> {moe.name = "down"})
    -> (tensor<?x32xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %s = func.call @scores(%x, %wr) : (tensor<?x32xf32>, tensor<8x32xf32>) -> tensor<?x8xf32>
  %up0 = tensor.extract_slice %up[0, 0, 0] [1, 48, 32] [1, 1, 1] : tensor<4x48x32xf32> to tensor<1x48x32xf32>
  %up1 = tensor.extract_slice %up[1, 0, 0] [1, 48, 32] [1, 1, 1] : tensor<4x48x32xf32> to tensor<1x48x32xf32>
  %up2 = tensor.extract_slice %up[2, 0, 0] [1, 48, 32] [1, 1, 1] : tensor<4x48x32xf32> to tensor<1x48x32xf32>
  %up3 = tensor.extract_slice %up[3, 0, 0] [1, 48, 32] [1, 1, 1] : tensor<4x48x32xf32> to tensor<1x48x32xf32>
  %ups = tensor.concat dim(0) %up0, %up1, %up0, %up2, %up2, %up1, %up3, %up3 : (tensor<1x48x32xf32>, tensor<1x48x32xf32>, tensor<1x48x32xf32>, tensor<1x48x32xf32>, tensor<1x48x32xf32>, tensor<1x48x32xf32>, tensor<1x48x32xf32>, tensor<1x48x32xf32>) -> tensor<8x48x32xf32>
  %down0 = tensor.extract_slice %down[0, 0, 0] [1, 32, 48] [1, 1, 1] : tensor<4x32x48xf32> to tensor<1x32x48xf32>
  %down1 = tensor.extract_slice %down[1, 0, 0] [1, 32, 48] [1, 1, 1] : tensor<4x32x48xf32> to tensor<1x32x48xf32>
  %down2 = tensor.extract_slice %down[2, 0, 0] [1, 32, 48] [1, 1, 1] : tensor<4x32x48xf32> to tensor<1x32x48xf32>
  %down3 = tensor.extract_slice %down[3, 0, 0] [1, 32, 48] [1, 1, 1] : tensor<4x32x48xf32> to tensor<1x32x48xf32>
  %downs = tensor.concat dim(0) %down0, %down1, %down0, %down2, %down2, %down1, %down3, %down3 : (tensor<1x32x48xf32>, tensor<1x32x48xf32>, tensor<1x32x48xf32>, tensor<1x32x48xf32>, tensor<1x32x48xf32>, tensor<1x32x48xf32>, tensor<1x32x48xf32>, tensor<1x32x48xf32>) -> tensor<8x32x48xf32>
  %r = moe.router #moe.top_k<3> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 3>
  %rows = moe.dispatch %x by %r : tensor<?x32xf32>, !moe.routing<8 x 3> -> tensor<?x32xf32>
  %out = moe.expert %rows by %r : (tensor<?x32xf32>, !moe.routing<8 x 3>) -> tensor<?x32xf32>
  experts 0 to 8 weights(%ups, %downs : tensor<8x48x32xf32>, tensor<8x32x48xf32>) {
  ^bb0(%t: tensor<?x32xf32>, %u: tensor<48x32xf32>, %d: tensor<32x48xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu)
        : (tensor<?x32xf32>, tensor<48x32xf32>, tensor<32x48xf32>) -> tensor<?x32xf32>
    moe.yield %f : tensor<?x32xf32>
  }
  %y = moe.combine %out by %r : tensor<?x32xf32>, !moe.routing<8 x 3> -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}
