// Written by gen_fixtures.py.
// RUN: moe-interpret %s --inputs=%S/Inputs/activations.safetensors --expect=%S/Inputs/activations.safetensors --tolerance=1e-13

func.func @activations(%x: tensor<?x1xf32> {moe.name = "x"}, %g: tensor<1x1xf32> {moe.name = "gate"},
    %u: tensor<1x1xf32> {moe.name = "up"}, %d: tensor<1x1xf32> {moe.name = "down"})
    -> (tensor<?x1xf32> {moe.name = "silu.gated"}, tensor<?x1xf32> {moe.name = "silu.plain"}, tensor<?x1xf32> {moe.name = "gelu.gated"}, tensor<?x1xf32> {moe.name = "gelu.plain"}, tensor<?x1xf32> {moe.name = "gelu_tanh.gated"}, tensor<?x1xf32> {moe.name = "gelu_tanh.plain"}, tensor<?x1xf32> {moe.name = "quick_gelu.gated"}, tensor<?x1xf32> {moe.name = "quick_gelu.plain"}, tensor<?x1xf32> {moe.name = "relu.gated"}, tensor<?x1xf32> {moe.name = "relu.plain"}, tensor<?x1xf32> {moe.name = "relu2.gated"}, tensor<?x1xf32> {moe.name = "relu2.plain"}, tensor<?x1xf32> {moe.name = "tanh.gated"}, tensor<?x1xf32> {moe.name = "tanh.plain"}, tensor<?x1xf32> {moe.name = "identity.gated"}, tensor<?x1xf32> {moe.name = "identity.plain"}, tensor<?x1xf32> {moe.name = "clamped.gpt_oss"}, tensor<?x1xf32> {moe.name = "clamped.deepseek_v4"}, tensor<?x1xf32> {moe.name = "silu.region"}, tensor<?x1xf32> {moe.name = "relu.region"}) {
  %0 = moe.ffn %x gate(%g) up(%u) down(%d) activation(#moe.silu) : (tensor<?x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<?x1xf32>
  %1 = moe.ffn %x up(%u) down(%d) activation(#moe.silu) : (tensor<?x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<?x1xf32>
  %2 = moe.ffn %x gate(%g) up(%u) down(%d) activation(#moe.gelu) : (tensor<?x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<?x1xf32>
  %3 = moe.ffn %x up(%u) down(%d) activation(#moe.gelu) : (tensor<?x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<?x1xf32>
  %4 = moe.ffn %x gate(%g) up(%u) down(%d) activation(#moe.gelu_tanh) : (tensor<?x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<?x1xf32>
  %5 = moe.ffn %x up(%u) down(%d) activation(#moe.gelu_tanh) : (tensor<?x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<?x1xf32>
  %6 = moe.ffn %x gate(%g) up(%u) down(%d) activation(#moe.quick_gelu) : (tensor<?x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<?x1xf32>
  %7 = moe.ffn %x up(%u) down(%d) activation(#moe.quick_gelu) : (tensor<?x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<?x1xf32>
  %8 = moe.ffn %x gate(%g) up(%u) down(%d) activation(#moe.relu) : (tensor<?x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<?x1xf32>
  %9 = moe.ffn %x up(%u) down(%d) activation(#moe.relu) : (tensor<?x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<?x1xf32>
  %10 = moe.ffn %x gate(%g) up(%u) down(%d) activation(#moe.relu2) : (tensor<?x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<?x1xf32>
  %11 = moe.ffn %x up(%u) down(%d) activation(#moe.relu2) : (tensor<?x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<?x1xf32>
  %12 = moe.ffn %x gate(%g) up(%u) down(%d) activation(#moe.tanh) : (tensor<?x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<?x1xf32>
  %13 = moe.ffn %x up(%u) down(%d) activation(#moe.tanh) : (tensor<?x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<?x1xf32>
  %14 = moe.ffn %x gate(%g) up(%u) down(%d) activation(#moe.identity) : (tensor<?x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<?x1xf32>
  %15 = moe.ffn %x up(%u) down(%d) activation(#moe.identity) : (tensor<?x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<?x1xf32>
  %16 = moe.ffn %x gate(%g) up(%u) down(%d) activation(#moe.clamped_swiglu<alpha = 1.702, limit = 7.0, offset = 1.0>) : (tensor<?x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<?x1xf32>
  %17 = moe.ffn %x gate(%g) up(%u) down(%d) activation(#moe.clamped_swiglu<alpha = 1.0, limit = 10.0, offset = 0.0>) : (tensor<?x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<?x1xf32>
  %18 = moe.ffn %x gate(%g) up(%u) down(%d) : (tensor<?x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<?x1xf32> body {
  ^bb0(%a: f32, %b: f32):
    %one = arith.constant 1.0 : f32
    %n = arith.negf %a : f32
    %e = math.exp %n : f32
    %p = arith.addf %e, %one : f32
    %s = arith.divf %a, %p : f32
    %h = arith.mulf %s, %b : f32
    moe.yield %h : f32
  }
  %19 = moe.ffn %x up(%u) down(%d) : (tensor<?x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<?x1xf32> body {
  ^bb0(%b: f32):
    %zero = arith.constant 0.0 : f32
    %below = arith.cmpf olt, %b, %zero : f32
    %h = scf.if %below -> f32 {
      scf.yield %zero : f32
    } else {
      scf.yield %b : f32
    }
    moe.yield %h : f32
  }
  return %0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19 : tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>
}
