// RUN: moe-opt %s --split-input-file --verify-diagnostics

func.func @ffn_unknown_inner(%x: tensor<?x4xf32>, %u: tensor<?x4xf32>, %d: tensor<4x8xf32>) {
  // expected-error @+1 {{expects a static intermediate size, dimension 0 of up, but got 'tensor<?x4xf32>'}}
  %0 = moe.ffn %x up(%u) down(%d) activation(#moe.relu) : (tensor<?x4xf32>, tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @ffn_no_hidden(%x: tensor<?x0xf32>, %u: tensor<8x0xf32>, %d: tensor<4x8xf32>) {
  // expected-error @+1 {{expects the hidden size to be at least 1, dimension 1 of x, but got 'tensor<?x0xf32>'}}
  %0 = moe.ffn %x up(%u) down(%d) activation(#moe.relu) : (tensor<?x0xf32>, tensor<8x0xf32>, tensor<4x8xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @ffn_no_inner(%x: tensor<?x4xf32>, %u: tensor<0x4xf32>, %d: tensor<4x0xf32>) {
  // expected-error @+1 {{expects the intermediate size to be at least 1, dimension 0 of up, but got 'tensor<0x4xf32>'}}
  %0 = moe.ffn %x up(%u) down(%d) activation(#moe.relu) : (tensor<?x4xf32>, tensor<0x4xf32>, tensor<4x0xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @ffn_no_result(%x: tensor<?x4xf32>, %u: tensor<8x4xf32>, %d: tensor<0x8xf32>) {
  // expected-error @+1 {{expects the hidden size to be at least 1, dimension 0 of down, but got 'tensor<0x8xf32>'}}
  %0 = moe.ffn %x up(%u) down(%d) activation(#moe.relu) : (tensor<?x4xf32>, tensor<8x4xf32>, tensor<0x8xf32>) -> tensor<?x0xf32>
  return
}

// -----

func.func @ffn_up(%x: tensor<?x4xf32>, %u: tensor<8x5xf32>, %d: tensor<4x8xf32>) {
  // expected-error @+1 {{expects up of shape IxH = 8x4, with H of x, but got 'tensor<8x5xf32>'}}
  %0 = moe.ffn %x up(%u) down(%d) activation(#moe.relu) : (tensor<?x4xf32>, tensor<8x5xf32>, tensor<4x8xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @ffn_gate(%x: tensor<?x4xf32>, %g: tensor<4x8xf32>, %u: tensor<8x4xf32>, %d: tensor<4x8xf32>) {
  // expected-error @+1 {{expects gate of shape IxH = 8x4, the shape of up, but got 'tensor<4x8xf32>'}}
  %0 = moe.ffn %x gate(%g) up(%u) down(%d) activation(#moe.relu) : (tensor<?x4xf32>, tensor<4x8xf32>, tensor<8x4xf32>, tensor<4x8xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @ffn_down(%x: tensor<?x4xf32>, %u: tensor<8x4xf32>, %d: tensor<8x4xf32>) {
  // expected-error @+1 {{expects down of shape H'xI = 8x8, with I of up, but got 'tensor<8x4xf32>'}}
  %0 = moe.ffn %x up(%u) down(%d) activation(#moe.relu) : (tensor<?x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @ffn_lonely_gate_bias(%x: tensor<?x4xf32>, %u: tensor<8x4xf32>, %d: tensor<4x8xf32>, %b: tensor<8xf32>) {
  // expected-error @+1 {{expects gate_bias only beside gate}}
  %0 = moe.ffn %x up(%u) down(%d) gate_bias(%b) activation(#moe.relu) : (tensor<?x4xf32>, tensor<8x4xf32>, tensor<4x8xf32>, tensor<8xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @ffn_gate_bias(%x: tensor<?x4xf32>, %u: tensor<8x4xf32>, %d: tensor<4x8xf32>, %b: tensor<4xf32>) {
  // expected-error @+1 {{expects gate_bias of shape I = 8, with I of up, but got 'tensor<4xf32>'}}
  %0 = moe.ffn %x gate(%u) up(%u) down(%d) gate_bias(%b) activation(#moe.relu) : (tensor<?x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<4x8xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @ffn_up_bias(%x: tensor<?x4xf32>, %u: tensor<8x4xf32>, %d: tensor<4x8xf32>, %b: tensor<4xf32>) {
  // expected-error @+1 {{expects up_bias of shape I = 8, with I of up, but got 'tensor<4xf32>'}}
  %0 = moe.ffn %x up(%u) down(%d) up_bias(%b) activation(#moe.relu) : (tensor<?x4xf32>, tensor<8x4xf32>, tensor<4x8xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @ffn_down_bias(%x: tensor<?x4xf32>, %u: tensor<8x4xf32>, %d: tensor<4x8xf32>, %b: tensor<8xf32>) {
  // expected-error @+1 {{expects down_bias of shape H' = 4, with H' of down, but got 'tensor<8xf32>'}}
  %0 = moe.ffn %x up(%u) down(%d) down_bias(%b) activation(#moe.relu) : (tensor<?x4xf32>, tensor<8x4xf32>, tensor<4x8xf32>, tensor<8xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @ffn_result(%x: tensor<2x4xf32>, %u: tensor<8x4xf32>, %d: tensor<4x8xf32>) {
  // expected-error @+1 {{expects a result of type 'tensor<2x4xf32>', the rows of x times H' of down, but got 'tensor<3x4xf32>'}}
  %0 = moe.ffn %x up(%u) down(%d) activation(#moe.relu) : (tensor<2x4xf32>, tensor<8x4xf32>, tensor<4x8xf32>) -> tensor<3x4xf32>
  return
}

// -----

func.func @ffn_quantised(%x: tensor<?x4xf32>, %u: tensor<8x4xi8>, %d: tensor<4x8xf32>) {
  // expected-error @+1 {{operand #1 must be 2D tensor of 32-bit float or 64-bit float or bfloat16 type or 16-bit float values, but got 'tensor<8x4xi8>'}}
  %0 = moe.ffn %x up(%u) down(%d) activation(#moe.relu) : (tensor<?x4xf32>, tensor<8x4xi8>, tensor<4x8xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @ffn_no_activation(%x: tensor<?x4xf32>, %u: tensor<8x4xf32>, %d: tensor<4x8xf32>) {
  // expected-error @+1 {{expects its activation by an attribute `activation` or by a region `body`, but has neither}}
  %0 = moe.ffn %x up(%u) down(%d) : (tensor<?x4xf32>, tensor<8x4xf32>, tensor<4x8xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @ffn_two_activations(%x: tensor<?x4xf32>, %u: tensor<8x4xf32>, %d: tensor<4x8xf32>) {
  // expected-error @+1 {{expects its activation by an attribute `activation` or by a region `body`, but has both}}
  %0 = moe.ffn %x up(%u) down(%d) activation(#moe.relu) : (tensor<?x4xf32>, tensor<8x4xf32>, tensor<4x8xf32>) -> tensor<?x4xf32> body {
  ^bb0(%v: f32):
    moe.yield %v : f32
  }
  return
}

// -----

func.func @ffn_gated_only(%x: tensor<?x4xf32>, %u: tensor<8x4xf32>, %d: tensor<4x8xf32>) {
  // expected-error @+1 {{expects an activation of (up), but #moe.clamped_swiglu<alpha = 1.702, limit = 7.0, offset = 1.0> takes (gate, up): add gate}}
  %0 = moe.ffn %x up(%u) down(%d) activation(#moe.clamped_swiglu) : (tensor<?x4xf32>, tensor<8x4xf32>, tensor<4x8xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @ffn_not_an_activation(%x: tensor<?x4xf32>, %u: tensor<8x4xf32>, %d: tensor<4x8xf32>) {
  // expected-error @+1 {{invalid kind of attribute specified}}
  %0 = moe.ffn %x up(%u) down(%d) activation(#moe.top_k<2>) : (tensor<?x4xf32>, tensor<8x4xf32>, tensor<4x8xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @ffn_body_arguments(%x: tensor<?x4xf32>, %u: tensor<8x4xf32>, %d: tensor<4x8xf32>) {
  // expected-error @+1 {{expects its body to have 2 arguments (gate, up), but it has 1}}
  %0 = moe.ffn %x gate(%u) up(%u) down(%d) : (tensor<?x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<4x8xf32>) -> tensor<?x4xf32> body {
  ^bb0(%v: f32):
    moe.yield %v : f32
  }
  return
}

// -----

func.func @ffn_body_type(%x: tensor<?x4xbf16>, %u: tensor<8x4xbf16>, %d: tensor<4x8xbf16>) {
  // expected-error @+1 {{expects argument #0 of its body (up) to be 'f32', but got 'bf16'}}
  %0 = moe.ffn %x up(%u) down(%d) : (tensor<?x4xbf16>, tensor<8x4xbf16>, tensor<4x8xbf16>) -> tensor<?x4xbf16> body {
  // expected-note @+1 {{argument is here}}
  ^bb0(%v: bf16):
    moe.yield %v : bf16
  }
  return
}

// -----

func.func @ffn_body_yield(%x: tensor<?x4xf32>, %u: tensor<8x4xf32>, %d: tensor<4x8xf32>) {
  // expected-error @+1 {{expects its body to yield one value of 'f32', but it yields 0}}
  %0 = moe.ffn %x up(%u) down(%d) : (tensor<?x4xf32>, tensor<8x4xf32>, tensor<4x8xf32>) -> tensor<?x4xf32> body {
  ^bb0(%v: f32):
    // expected-note @+1 {{yielded here}}
    moe.yield
  }
  return
}

// -----

func.func @yield_in_function() {
  // expected-error @+1 {{expects to be in the body of an op such as moe.expert, but is in 'func.func'}}
  moe.yield
}
