// RUN: moe-opt %s --split-input-file --verify-diagnostics

func.func @no_metric(%r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{expects at least one metric, such as #moe.expert_counts}}
  "moe.balance"(%r) {metrics = [], input_names = []} : (!moe.routing<8 x 2>) -> ()
  return
}

// -----

func.func @not_a_metric(%r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{list of attributes that implement BalanceMetricAttrInterface}}
  %0 = moe.balance %r [#moe.silu] : !moe.routing<8 x 2> -> tensor<f32>
  return
}

// -----

func.func @missing_input(%r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{metric #1: #moe.z_loss reads an input 'logits', which is not given; add logits(%value : tensor<?x8xf32>)}}
  %0:2 = moe.balance %r [#moe.gini, #moe.z_loss] : !moe.routing<8 x 2> -> tensor<f32>, tensor<f32>
  return
}

// -----

func.func @unread_input(%r: !moe.routing<8 x 2>, %p: tensor<?x8xf32>) {
  // expected-error @+1 {{has an input "probabilities" that no metric reads; the metrics read logits, counts}}
  %0:2 = moe.balance %r [#moe.z_loss, #moe.gini] logits(%p : tensor<?x8xf32>) probabilities(%p : tensor<?x8xf32>) : !moe.routing<8 x 2> -> tensor<f32>, tensor<f32>
  return
}

// -----

func.func @twice(%r: !moe.routing<8 x 2>, %p: tensor<?x8xf32>) {
  // expected-error @+1 {{has input "logits" twice}}
  %0 = moe.balance %r [#moe.z_loss] logits(%p : tensor<?x8xf32>) logits(%p : tensor<?x8xf32>) : !moe.routing<8 x 2> -> tensor<f32>
  return
}

// -----

func.func @rank(%r: !moe.routing<8 x 2>, %p: tensor<8xf32>) {
  // expected-error @+1 {{expects input 'logits' of type tensor<?x8xf32> or of other floats, as #moe.z_loss reads it, but got 'tensor<8xf32>'}}
  %0 = moe.balance %r [#moe.z_loss] logits(%p : tensor<8xf32>) : !moe.routing<8 x 2> -> tensor<f32>
  return
}

// -----

func.func @element(%r: !moe.routing<8 x 2>, %p: tensor<8xf32>) {
  // expected-error @+1 {{expects input 'counts' of type tensor<8xi32>, as #moe.gini reads it, but got 'tensor<8xf32>'}}
  %0 = moe.balance %r [#moe.gini] counts(%p : tensor<8xf32>) : !moe.routing<8 x 2> -> tensor<f32>
  return
}

// -----

func.func @experts(%r: !moe.routing<8 x 2>, %p: tensor<?x16xf32>) {
  // expected-error @+1 {{expects input 'scores' of type tensor<?x8xf32>, with 8 experts as the routing has, but got 'tensor<?x16xf32>'}}
  %0 = moe.balance %r [#moe.switch_loss] scores(%p : tensor<?x16xf32>) : !moe.routing<8 x 2> -> tensor<f32>
  return
}

// -----

func.func @tokens(%i: tensor<5x2xi32>, %w: tensor<5x2xf32>, %p: tensor<4x8xf32>) {
  %r = moe.routing.make %i, %w : tensor<5x2xi32>, tensor<5x2xf32> -> !moe.routing<8 x 2>
  // expected-error @+1 {{expects input 'scores' to have 5 tokens, as the routing has, but got 'tensor<4x8xf32>'}}
  %0 = moe.balance %r [#moe.switch_loss] scores(%p : tensor<4x8xf32>) : !moe.routing<8 x 2> -> tensor<f32>
  return
}

// -----

func.func @tokens_of_inputs(%r: !moe.routing<8 x 2>, %z: tensor<5x8xf32>, %p: tensor<4x8xf32>) {
  // expected-error @+1 {{expects input 'logits' to have 4 tokens, as input 'scores' has, but got 'tensor<5x8xf32>'}}
  %0:2 = moe.balance %r [#moe.switch_loss, #moe.z_loss] scores(%p : tensor<4x8xf32>) logits(%z : tensor<5x8xf32>) : !moe.routing<8 x 2> -> tensor<f32>, tensor<f32>
  return
}

// -----

func.func @result_count(%r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{expects a result for each of its 2 metrics, but has 1}}
  %0 = moe.balance %r [#moe.gini, #moe.dead_experts] : !moe.routing<8 x 2> -> tensor<f32>
  return
}

// -----

func.func @result_type(%r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{expects result #0 of type 'tensor<8xi32>', as #moe.expert_counts gives, but got 'tensor<9xi32>'}}
  %0 = moe.balance %r [#moe.expert_counts] : !moe.routing<8 x 2> -> tensor<9xi32>
  return
}

// -----

func.func @too_many_choices(%r: !moe.routing<8 x 2>, %p: tensor<?x8xf32>) {
  // expected-error @+1 {{metric #0: #moe.sequence_loss expects k of at most 8, the number of experts, but got 9}}
  %0 = moe.balance %r [#moe.sequence_loss<k = 9>] scores(%p : tensor<?x8xf32>) : !moe.routing<8 x 2> -> tensor<f32>
  return
}

// -----

// expected-error @+1 {{expected k or first or length, but got 'groups'}}
func.func private @unknown_parameter() attributes {a = #moe.switch_loss<groups = 3>}

// -----

// expected-error @+1 {{'k' is given twice}}
func.func private @same_parameter() attributes {a = #moe.switch_loss<k = 3, k = 3>}

// -----

// expected-error @+1 {{#moe.switch_loss<first> counts one choice of each token, so k is 1, but got 2}}
func.func private @first_of_two() attributes {a = #moe.switch_loss<k = 2, first>}

// -----

// expected-error @+1 {{#moe.switch_loss expects length of at least 0, but got -1}}
func.func private @negative_length() attributes {a = #moe.switch_loss<length = -1>}

// -----

// expected-error @+1 {{#moe.bias_update expects gamma of at least 0, but got -1}}
func.func private @negative_gamma() attributes {a = #moe.bias_update<gamma = -1.0>}

// -----

// expected-error @+1 {{#moe.collapse expects share from 0 to 1, but got 50}}
func.func private @percent() attributes {a = #moe.collapse<share = 50.0>}
