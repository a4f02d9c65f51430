// Layers whose activations are exact zeros: none, few, half and all of their values are others.
#xh = affine_map<(t, e, h) -> (t, h)>
#wh = affine_map<(t, e, h) -> (e, h)>
#z = affine_map<(t, e, h) -> (t, e)>
#te = affine_map<(t, e) -> (t, e)>
#e = affine_map<(t, e) -> (e)>

// No value is above the threshold.
func.func @none(%x: tensor<?x56xf32> {moe.name = "x", moe.dims = ["T"]},
    %residual: tensor<?x56xf32> {moe.name = "residual", moe.dims = ["T"]},
    %wr: tensor<8x56xf32> {moe.name = "router.weight"},
    %up: tensor<8x200x56xf32> {moe.name = "up"}, %down: tensor<8x56x200xf32> {moe.name = "down"})
    -> (tensor<?x56xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x56xf32>
  %empty = tensor.empty(%T) : tensor<?x8xf32>
  %fill = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x8xf32>) -> tensor<?x8xf32>
  %logits = linalg.matmul indexing_maps = [#xh, #wh, #z]
      ins(%x, %wr : tensor<?x56xf32>, tensor<8x56xf32>) outs(%fill : tensor<?x8xf32>) -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%logits) weigh(%logits) weighing [#moe.softmax] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x56xf32>, !moe.routing<8 x 2> -> tensor<?x56xf32>
  %out = moe.expert %rows by %r : (tensor<?x56xf32>, !moe.routing<8 x 2>) -> tensor<?x56xf32>
  experts 0 to 8 weights(%up, %down : tensor<8x200x56xf32>, tensor<8x56x200xf32>) {
  ^bb0(%t: tensor<?x56xf32>, %wu: tensor<200x56xf32>, %wd: tensor<56x200xf32>):
    %f = moe.ffn %t up(%wu) down(%wd)
        : (tensor<?x56xf32>, tensor<200x56xf32>, tensor<56x200xf32>) -> tensor<?x56xf32> body {
    ^bb0(%v: f32):
      %c = arith.constant -1.0e+30 : f32
      %none = arith.constant 0.0 : f32
      %s = arith.addf %v, %c : f32
      %h = arith.maximumf %s, %none : f32
      moe.yield %h : f32
    }
    moe.yield %f : tensor<?x56xf32>
  }
  %y = moe.combine %out by %r init(%residual : tensor<?x56xf32>) : tensor<?x56xf32>, !moe.routing<8 x 2> -> tensor<?x56xf32>
  return %y : tensor<?x56xf32>
}

// About one in 20 is.
func.func @few(%x: tensor<?x56xf32> {moe.name = "x", moe.dims = ["T"]},
    %residual: tensor<?x56xf32> {moe.name = "residual", moe.dims = ["T"]},
    %wr: tensor<8x56xf32> {moe.name = "router.weight"},
    %up: tensor<8x200x56xf32> {moe.name = "up"}, %down: tensor<8x56x200xf32> {moe.name = "down"})
    -> (tensor<?x56xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x56xf32>
  %empty = tensor.empty(%T) : tensor<?x8xf32>
  %fill = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x8xf32>) -> tensor<?x8xf32>
  %logits = linalg.matmul indexing_maps = [#xh, #wh, #z]
      ins(%x, %wr : tensor<?x56xf32>, tensor<8x56xf32>) outs(%fill : tensor<?x8xf32>) -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%logits) weigh(%logits) weighing [#moe.softmax] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x56xf32>, !moe.routing<8 x 2> -> tensor<?x56xf32>
  %out = moe.expert %rows by %r : (tensor<?x56xf32>, !moe.routing<8 x 2>) -> tensor<?x56xf32>
  experts 0 to 8 weights(%up, %down : tensor<8x200x56xf32>, tensor<8x56x200xf32>) {
  ^bb0(%t: tensor<?x56xf32>, %wu: tensor<200x56xf32>, %wd: tensor<56x200xf32>):
    %f = moe.ffn %t up(%wu) down(%wd)
        : (tensor<?x56xf32>, tensor<200x56xf32>, tensor<56x200xf32>) -> tensor<?x56xf32> body {
    ^bb0(%v: f32):
      %c = arith.constant -1.6 : f32
      %none = arith.constant 0.0 : f32
      %s = arith.addf %v, %c : f32
      %h = arith.maximumf %s, %none : f32
      moe.yield %h : f32
    }
    moe.yield %f : tensor<?x56xf32>
  }
  %y = moe.combine %out by %r init(%residual : tensor<?x56xf32>) : tensor<?x56xf32>, !moe.routing<8 x 2> -> tensor<?x56xf32>
  return %y : tensor<?x56xf32>
}

// A gate of ReLU, weights of 16 bits.
func.func @half(%x: tensor<?x56xf32> {moe.name = "x", moe.dims = ["T"]},
    %residual: tensor<?x56xf32> {moe.name = "residual", moe.dims = ["T"]},
    %wr: tensor<8x56xf32> {moe.name = "router.weight"},
    %gate: tensor<8x200x56xbf16> {moe.name = "gate"},
    %up: tensor<8x200x56xbf16> {moe.name = "up"}, %down: tensor<8x56x200xbf16> {moe.name = "down"})
    -> (tensor<?x56xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x56xf32>
  %empty = tensor.empty(%T) : tensor<?x8xf32>
  %fill = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x8xf32>) -> tensor<?x8xf32>
  %logits = linalg.matmul indexing_maps = [#xh, #wh, #z]
      ins(%x, %wr : tensor<?x56xf32>, tensor<8x56xf32>) outs(%fill : tensor<?x8xf32>) -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%logits) weigh(%logits) weighing [#moe.softmax] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x56xf32>, !moe.routing<8 x 2> -> tensor<?x56xf32>
  %out = moe.expert %rows by %r : (tensor<?x56xf32>, !moe.routing<8 x 2>) -> tensor<?x56xf32>
  experts 0 to 8 weights(%gate, %up, %down : tensor<8x200x56xbf16>, tensor<8x200x56xbf16>, tensor<8x56x200xbf16>) {
  ^bb0(%t: tensor<?x56xf32>, %wg: tensor<200x56xbf16>, %wu: tensor<200x56xbf16>, %wd: tensor<56x200xbf16>):
    %f = moe.ffn %t gate(%wg) up(%wu) down(%wd)
        : (tensor<?x56xf32>, tensor<200x56xbf16>, tensor<200x56xbf16>, tensor<56x200xbf16>) -> tensor<?x56xf32> body {
    ^bb0(%g: f32, %u: f32):
      %none = arith.constant 0.0 : f32
      %p = arith.maximumf %g, %none : f32
      %h = arith.mulf %u, %p : f32
      moe.yield %h : f32
    }
    moe.yield %f : tensor<?x56xf32>
  }
  %y = moe.combine %out by %r init(%residual : tensor<?x56xf32>) : tensor<?x56xf32>, !moe.routing<8 x 2> -> tensor<?x56xf32>
  return %y : tensor<?x56xf32>
}

// All are.
func.func @all(%x: tensor<?x56xf32> {moe.name = "x", moe.dims = ["T"]},
    %residual: tensor<?x56xf32> {moe.name = "residual", moe.dims = ["T"]},
    %wr: tensor<8x56xf32> {moe.name = "router.weight"},
    %up: tensor<8x200x56xf32> {moe.name = "up"}, %down: tensor<8x56x200xf32> {moe.name = "down"})
    -> (tensor<?x56xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x56xf32>
  %empty = tensor.empty(%T) : tensor<?x8xf32>
  %fill = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x8xf32>) -> tensor<?x8xf32>
  %logits = linalg.matmul indexing_maps = [#xh, #wh, #z]
      ins(%x, %wr : tensor<?x56xf32>, tensor<8x56xf32>) outs(%fill : tensor<?x8xf32>) -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%logits) weigh(%logits) weighing [#moe.softmax] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x56xf32>, !moe.routing<8 x 2> -> tensor<?x56xf32>
  %out = moe.expert %rows by %r : (tensor<?x56xf32>, !moe.routing<8 x 2>) -> tensor<?x56xf32>
  experts 0 to 8 weights(%up, %down : tensor<8x200x56xf32>, tensor<8x56x200xf32>) {
  ^bb0(%t: tensor<?x56xf32>, %wu: tensor<200x56xf32>, %wd: tensor<56x200xf32>):
    %f = moe.ffn %t up(%wu) down(%wd)
        : (tensor<?x56xf32>, tensor<200x56xf32>, tensor<56x200xf32>) -> tensor<?x56xf32> body {
    ^bb0(%v: f32):
      %c = arith.constant 100.0 : f32
      %none = arith.constant 0.0 : f32
      %s = arith.addf %v, %c : f32
      %h = arith.maximumf %s, %none : f32
      moe.yield %h : f32
    }
    moe.yield %f : tensor<?x56xf32>
  }
  %y = moe.combine %out by %r init(%residual : tensor<?x56xf32>) : tensor<?x56xf32>, !moe.routing<8 x 2> -> tensor<?x56xf32>
  return %y : tensor<?x56xf32>
}

// All tokens have the same two experts.
func.func @one(%x: tensor<?x56xf32> {moe.name = "x", moe.dims = ["T"]},
    %residual: tensor<?x56xf32> {moe.name = "residual", moe.dims = ["T"]},
    %wr: tensor<8x56xf32> {moe.name = "router.weight"},
    %up: tensor<8x200x56xf32> {moe.name = "up"}, %down: tensor<8x56x200xf32> {moe.name = "down"})
    -> (tensor<?x56xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x56xf32>
  %empty = tensor.empty(%T) : tensor<?x8xf32>
  %fill = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x8xf32>) -> tensor<?x8xf32>
  %logits = linalg.matmul indexing_maps = [#xh, #wh, #z]
      ins(%x, %wr : tensor<?x56xf32>, tensor<8x56xf32>) outs(%fill : tensor<?x8xf32>) -> tensor<?x8xf32>
  %bias = arith.constant dense<[0.0, 0.0, 0.0, 100.0, 0.0, 101.0, 0.0, 0.0]> : tensor<8xf32>
  %s = linalg.generic {indexing_maps = [#te, #e, #te], iterator_types = ["parallel", "parallel"]}
      ins(%logits, %bias : tensor<?x8xf32>, tensor<8xf32>) outs(%empty : tensor<?x8xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %v = arith.addf %a, %b : f32
    linalg.yield %v : f32
  } -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) weighing [#moe.softmax] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x56xf32>, !moe.routing<8 x 2> -> tensor<?x56xf32>
  %out = moe.expert %rows by %r : (tensor<?x56xf32>, !moe.routing<8 x 2>) -> tensor<?x56xf32>
  experts 0 to 8 weights(%up, %down : tensor<8x200x56xf32>, tensor<8x56x200xf32>) {
  ^bb0(%t: tensor<?x56xf32>, %wu: tensor<200x56xf32>, %wd: tensor<56x200xf32>):
    %f = moe.ffn %t up(%wu) down(%wd) activation(#moe.relu2)
        : (tensor<?x56xf32>, tensor<200x56xf32>, tensor<56x200xf32>) -> tensor<?x56xf32>
    moe.yield %f : tensor<?x56xf32>
  }
  %y = moe.combine %out by %r init(%residual : tensor<?x56xf32>) : tensor<?x56xf32>, !moe.routing<8 x 2> -> tensor<?x56xf32>
  return %y : tensor<?x56xf32>
}

// A body of products and a choice, whose zeros are -0, with weights of 16 bits.
func.func @written(%x: tensor<?x56xf32> {moe.name = "x", moe.dims = ["T"]},
    %residual: tensor<?x56xf32> {moe.name = "residual", moe.dims = ["T"]},
    %wr: tensor<8x56xf32> {moe.name = "router.weight"},
    %up: tensor<8x200x56xbf16> {moe.name = "up"}, %down: tensor<8x56x200xbf16> {moe.name = "down"})
    -> (tensor<?x56xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x56xf32>
  %empty = tensor.empty(%T) : tensor<?x8xf32>
  %fill = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x8xf32>) -> tensor<?x8xf32>
  %logits = linalg.matmul indexing_maps = [#xh, #wh, #z]
      ins(%x, %wr : tensor<?x56xf32>, tensor<8x56xf32>) outs(%fill : tensor<?x8xf32>) -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%logits) weigh(%logits) weighing [#moe.softmax] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x56xf32>, !moe.routing<8 x 2> -> tensor<?x56xf32>
  %out = moe.expert %rows by %r : (tensor<?x56xf32>, !moe.routing<8 x 2>) -> tensor<?x56xf32>
  experts 0 to 8 weights(%up, %down : tensor<8x200x56xbf16>, tensor<8x56x200xbf16>) {
  ^bb0(%t: tensor<?x56xf32>, %wu: tensor<200x56xbf16>, %wd: tensor<56x200xbf16>):
    %n = tensor.dim %t, %c0 : tensor<?x56xf32>
    %e = tensor.empty(%n) : tensor<?x200xf32>
    %fe = linalg.fill ins(%zero : f32) outs(%e : tensor<?x200xf32>) -> tensor<?x200xf32>
    %p = linalg.matmul indexing_maps = [#xh, #wh, #z]
        ins(%t, %wu : tensor<?x56xf32>, tensor<200x56xbf16>) outs(%fe : tensor<?x200xf32>) -> tensor<?x200xf32>
    %h = linalg.generic {indexing_maps = [#te, #te], iterator_types = ["parallel", "parallel"]}
        ins(%p : tensor<?x200xf32>) outs(%e : tensor<?x200xf32>) {
    ^bb0(%v: f32, %o: f32):
      %limit = arith.constant 1.6 : f32
      %minus = arith.constant -0.0 : f32
      %far = arith.cmpf ogt, %v, %limit : f32
      %kept = arith.select %far, %v, %minus : f32
      linalg.yield %kept : f32
    } -> tensor<?x200xf32>
    %o = tensor.empty(%n) : tensor<?x56xf32>
    %fo = linalg.fill ins(%zero : f32) outs(%o : tensor<?x56xf32>) -> tensor<?x56xf32>
    %f = linalg.matmul indexing_maps = [#xh, #wh, #z]
        ins(%h, %wd : tensor<?x200xf32>, tensor<56x200xbf16>) outs(%fo : tensor<?x56xf32>) -> tensor<?x56xf32>
    moe.yield %f : tensor<?x56xf32>
  }
  %y = moe.combine %out by %r init(%residual : tensor<?x56xf32>) : tensor<?x56xf32>, !moe.routing<8 x 2> -> tensor<?x56xf32>
  return %y : tensor<?x56xf32>
}
