// RUN: moe-opt %s --split-input-file --verify-diagnostics

func.func @make_unknown_slots(%i: tensor<?x?xi32>, %w: tensor<?x2xf32>) {
  // expected-error @+1 {{expects a static number of slots, dimension 1 of indices, but got 'tensor<?x?xi32>'}}
  %r = moe.routing.make %i, %w : tensor<?x?xi32>, tensor<?x2xf32> -> !moe.routing<8 x 2>
  return
}

// -----

func.func @make_weights(%i: tensor<3x2xi32>, %w: tensor<4x2xf32>) {
  // expected-error @+1 {{expects weights of the shape of indices, 'tensor<3x2xi32>', but got 'tensor<4x2xf32>'}}
  %r = moe.routing.make %i, %w : tensor<3x2xi32>, tensor<4x2xf32> -> !moe.routing<8 x 2>
  return
}

// -----

func.func @make_slots(%i: tensor<?x4xi32>, %w: tensor<?x4xf32>) {
  // expected-error @+1 {{expects indices of 2 slots for a result of type '!moe.routing<8 x 2>', but got 'tensor<?x4xi32>'}}
  %r = moe.routing.make %i, %w : tensor<?x4xi32>, tensor<?x4xf32> -> !moe.routing<8 x 2>
  return
}

// -----

func.func @make_i64(%i: tensor<?x2xi64>, %w: tensor<?x2xf32>) {
  // expected-error @+1 {{operand #0 must be 2D tensor of 32-bit signless integer values, but got 'tensor<?x2xi64>'}}
  %r = moe.routing.make %i, %w : tensor<?x2xi64>, tensor<?x2xf32> -> !moe.routing<8 x 2>
  return
}

// -----

func.func @make_out_of_range(%w: tensor<2x2xf32>) {
  %i = arith.constant dense<[[0, 1], [7, 8]]> : tensor<2x2xi32>
  // expected-error @+1 {{expects experts from 0 to 7, or -1 for an unused slot, but indices[1, 1] is 8}}
  %r = moe.routing.make %i, %w : tensor<2x2xi32>, tensor<2x2xf32> -> !moe.routing<8 x 2>
  return
}

// -----

func.func @make_negative(%w: tensor<2x2xf32>) {
  %i = arith.constant dense<-2> : tensor<2x2xi32>
  // expected-error @+1 {{expects experts from 0 to 7, or -1 for an unused slot, but indices[0, 0] is -2}}
  %r = moe.routing.make %i, %w : tensor<2x2xi32>, tensor<2x2xf32> -> !moe.routing<8 x 2>
  return
}

// -----

func.func @make_twice(%w: tensor<2x2xf32>) {
  %i = arith.constant dense<[[3, 4], [4, 4]]> : tensor<2x2xi32>
  // expected-error @+1 {{expects each expert once in a token, but indices[1, 1] repeats 4}}
  %r = moe.routing.make %i, %w : tensor<2x2xi32>, tensor<2x2xf32> -> !moe.routing<8 x 2>
  return
}

// -----

func.func @indices_slots(%r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{expects a result of type 'tensor<?x2xi32>', one row of slots for each token, but got 'tensor<?x3xi32>'}}
  %0 = moe.routing.indices %r : !moe.routing<8 x 2> -> tensor<?x3xi32>
  return
}

// -----

func.func @indices_unknown_slots(%r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{expects a static number of slots, dimension 1 of the result, but got 'tensor<?x?xi32>'}}
  %0 = moe.routing.indices %r : !moe.routing<8 x 2> -> tensor<?x?xi32>
  return
}

// -----

func.func @weights_slots(%r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{expects a result of type 'tensor<?x2xf32>', one row of slots for each token, but got 'tensor<?x3xf32>'}}
  %0 = moe.routing.weights %r : !moe.routing<8 x 2> -> tensor<?x3xf32>
  return
}

// -----

func.func @offsets_size(%r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{expects a result of type 'tensor<9xi32>', one for each expert and the total, but got 'tensor<8xi32>'}}
  %0 = moe.routing.offsets %r : !moe.routing<8 x 2> -> tensor<8xi32>
  return
}

// -----

func.func @tokens_type(%r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{result #0 must be 1D tensor of 32-bit signless integer values, but got 'tensor<?xi64>'}}
  %0 = moe.routing.tokens %r : !moe.routing<8 x 2> -> tensor<?xi64>
  return
}

// -----

func.func @append_uneven(%r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{expects a result with as many more experts as more slots than '!moe.routing<8 x 2>', but got '!moe.routing<10 x 3>'}}
  %0 = moe.routing.append %r : !moe.routing<8 x 2> -> !moe.routing<10 x 3>
  return
}

// -----

func.func @append_fewer(%r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{expects a result with as many more experts as more slots than '!moe.routing<8 x 2>', but got '!moe.routing<7 x 1>'}}
  %0 = moe.routing.append %r : !moe.routing<8 x 2> -> !moe.routing<7 x 1>
  return
}

// -----

func.func @append_weights(%r: !moe.routing<8 x 2>, %w: tensor<?x2xf32>) {
  // expected-error @+1 {{expects weights of type 'tensor<?x1xf32>', one for each token and appended expert, but got 'tensor<?x2xf32>'}}
  %0 = moe.routing.append %r weights(%w : tensor<?x2xf32>) : !moe.routing<8 x 2> -> !moe.routing<9 x 3>
  return
}

// -----

func.func @append_unknown_weights(%r: !moe.routing<8 x 2>, %w: tensor<?x?xf32>) {
  // expected-error @+1 {{expects a static number of appended experts, dimension 1 of weights, but got 'tensor<?x?xf32>'}}
  %0 = moe.routing.append %r weights(%w : tensor<?x?xf32>) : !moe.routing<8 x 2> -> !moe.routing<9 x 3>
  return
}

// -----

func.func @limit_zero(%r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{expects a capacity of at least 1, but got 0; a layer that drops nothing needs no limit}}
  %0 = moe.routing.limit %r capacity 0 : !moe.routing<8 x 2>
  return
}

// -----

func.func @limit_negative(%r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{expects a capacity of at least 1, but got -3}}
  %0 = moe.routing.limit %r capacity -3 : !moe.routing<8 x 2>
  return
}
