// RUN: split-file %s %t
// RUN: moe-opt %t/run.mlir --test-moe-generalize-ffn | %run_mlir \
// RUN:   | FileCheck %t/run.mlir
// RUN: moe-opt %t/run.mlir --test-moe-expand --test-moe-generalize-ffn \
// RUN:   | %run_mlir | FileCheck %t/run.mlir
// RUN: moe-opt %t/form.mlir --test-moe-expand | FileCheck %t/form.mlir
// RUN: moe-opt %t/form.mlir --test-moe-generalize-ffn \
// RUN:   | FileCheck %t/form.mlir --check-prefix=LINALG

// Every named activation: its numbers, and the forms it takes.

//--- run.mlir

// With weights of [[1]] an FFN is its activation. gate is x and up is 2 x.
func.func @input() -> (tensor<6x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>) {
  %x = arith.constant dense<[[-3.0], [-0.5], [0.0], [1.0], [2.5], [9.0]]>
      : tensor<6x1xf64>
  %one = arith.constant dense<1.0> : tensor<1x1xf64>
  %two = arith.constant dense<2.0> : tensor<1x1xf64>
  return %x, %one, %two : tensor<6x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>
}

func.func @print(%y: tensor<6x1xf64>) {
  %c0 = arith.constant 0 : index
  %pad = arith.constant 0.0 : f64
  %f = tensor.collapse_shape %y [[0, 1]] : tensor<6x1xf64> into tensor<6xf64>
  %v = vector.transfer_read %f[%c0], %pad {in_bounds = [true]}
      : tensor<6xf64>, vector<6xf64>
  vector.print %v : vector<6xf64>
  return
}

func.func @test_silu() {
  %x, %one, %two = func.call @input() : () -> (tensor<6x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>)
  %0 = moe.ffn %x up(%one) down(%one) activation(#moe.silu)
      : (tensor<6x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>) -> tensor<6x1xf64>
  func.call @print(%0) : (tensor<6x1xf64>) -> ()
  %1 = moe.ffn %x gate(%one) up(%two) down(%one) activation(#moe.silu)
      : (tensor<6x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>) -> tensor<6x1xf64>
  func.call @print(%1) : (tensor<6x1xf64>) -> ()
  return
}

func.func @test_gelu() {
  %x, %one, %two = func.call @input() : () -> (tensor<6x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>)
  %0 = moe.ffn %x up(%one) down(%one) activation(#moe.gelu)
      : (tensor<6x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>) -> tensor<6x1xf64>
  func.call @print(%0) : (tensor<6x1xf64>) -> ()
  %1 = moe.ffn %x gate(%one) up(%two) down(%one) activation(#moe.gelu)
      : (tensor<6x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>) -> tensor<6x1xf64>
  func.call @print(%1) : (tensor<6x1xf64>) -> ()
  return
}

func.func @test_gelu_tanh() {
  %x, %one, %two = func.call @input() : () -> (tensor<6x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>)
  %0 = moe.ffn %x up(%one) down(%one) activation(#moe.gelu_tanh)
      : (tensor<6x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>) -> tensor<6x1xf64>
  func.call @print(%0) : (tensor<6x1xf64>) -> ()
  %1 = moe.ffn %x gate(%one) up(%two) down(%one) activation(#moe.gelu_tanh)
      : (tensor<6x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>) -> tensor<6x1xf64>
  func.call @print(%1) : (tensor<6x1xf64>) -> ()
  return
}

func.func @test_quick_gelu() {
  %x, %one, %two = func.call @input() : () -> (tensor<6x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>)
  %0 = moe.ffn %x up(%one) down(%one) activation(#moe.quick_gelu)
      : (tensor<6x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>) -> tensor<6x1xf64>
  func.call @print(%0) : (tensor<6x1xf64>) -> ()
  %1 = moe.ffn %x gate(%one) up(%two) down(%one) activation(#moe.quick_gelu)
      : (tensor<6x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>) -> tensor<6x1xf64>
  func.call @print(%1) : (tensor<6x1xf64>) -> ()
  return
}

func.func @test_relu() {
  %x, %one, %two = func.call @input() : () -> (tensor<6x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>)
  %0 = moe.ffn %x up(%one) down(%one) activation(#moe.relu)
      : (tensor<6x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>) -> tensor<6x1xf64>
  func.call @print(%0) : (tensor<6x1xf64>) -> ()
  %1 = moe.ffn %x gate(%one) up(%two) down(%one) activation(#moe.relu)
      : (tensor<6x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>) -> tensor<6x1xf64>
  func.call @print(%1) : (tensor<6x1xf64>) -> ()
  return
}

func.func @test_relu2() {
  %x, %one, %two = func.call @input() : () -> (tensor<6x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>)
  %0 = moe.ffn %x up(%one) down(%one) activation(#moe.relu2)
      : (tensor<6x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>) -> tensor<6x1xf64>
  func.call @print(%0) : (tensor<6x1xf64>) -> ()
  %1 = moe.ffn %x gate(%one) up(%two) down(%one) activation(#moe.relu2)
      : (tensor<6x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>) -> tensor<6x1xf64>
  func.call @print(%1) : (tensor<6x1xf64>) -> ()
  return
}

func.func @test_tanh() {
  %x, %one, %two = func.call @input() : () -> (tensor<6x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>)
  %0 = moe.ffn %x up(%one) down(%one) activation(#moe.tanh)
      : (tensor<6x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>) -> tensor<6x1xf64>
  func.call @print(%0) : (tensor<6x1xf64>) -> ()
  %1 = moe.ffn %x gate(%one) up(%two) down(%one) activation(#moe.tanh)
      : (tensor<6x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>) -> tensor<6x1xf64>
  func.call @print(%1) : (tensor<6x1xf64>) -> ()
  return
}

func.func @test_identity() {
  %x, %one, %two = func.call @input() : () -> (tensor<6x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>)
  %0 = moe.ffn %x up(%one) down(%one) activation(#moe.identity)
      : (tensor<6x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>) -> tensor<6x1xf64>
  func.call @print(%0) : (tensor<6x1xf64>) -> ()
  %1 = moe.ffn %x gate(%one) up(%two) down(%one) activation(#moe.identity)
      : (tensor<6x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>) -> tensor<6x1xf64>
  func.call @print(%1) : (tensor<6x1xf64>) -> ()
  return
}

func.func @test_gpt_oss() {
  %x, %one, %two = func.call @input() : () -> (tensor<6x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>)
  %1 = moe.ffn %x gate(%one) up(%two) down(%one) activation(#moe.clamped_swiglu)
      : (tensor<6x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>) -> tensor<6x1xf64>
  func.call @print(%1) : (tensor<6x1xf64>) -> ()
  return
}

func.func @test_deepseek_v4() {
  %x, %one, %two = func.call @input() : () -> (tensor<6x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>)
  %1 = moe.ffn %x gate(%one) up(%two) down(%one) activation(#moe.clamped_swiglu<alpha = 1.0, limit = 10.0, offset = 0.0>)
      : (tensor<6x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>, tensor<1x1xf64>) -> tensor<6x1xf64>
  func.call @print(%1) : (tensor<6x1xf64>) -> ()
  return
}

// NaN goes through maxima and clamps; with f32 and biases of every place. The
// second row is relu(1 + 0.5) * 2 + 0.25.
func.func @nan() {
  %x = arith.constant dense<[[0x7fc00000], [1.0]]> : tensor<2x1xf32>
  %one = arith.constant dense<1.0> : tensor<1x1xf32>
  %two = arith.constant dense<2.0> : tensor<1x1xbf16>
  %b = arith.constant dense<0.5> : tensor<1xf32>
  %bd = arith.constant dense<0.25> : tensor<1xbf16>
  %0 = moe.ffn %x up(%one) down(%two) up_bias(%b) down_bias(%bd)
      activation(#moe.relu)
      : (tensor<2x1xf32>, tensor<1x1xf32>, tensor<1x1xbf16>, tensor<1xf32>,
         tensor<1xbf16>) -> tensor<2x1xf32>
  %1 = moe.ffn %x gate(%one) up(%one) down(%two) gate_bias(%b)
      activation(#moe.clamped_swiglu<alpha = 0.0, limit = 1.25, offset = 0.0>)
      : (tensor<2x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>, tensor<1x1xbf16>,
         tensor<1xf32>) -> tensor<2x1xf32>
  %c0 = arith.constant 0 : index
  %pad = arith.constant 0.0 : f32
  %f = tensor.collapse_shape %0 [[0, 1]] : tensor<2x1xf32> into tensor<2xf32>
  %v = vector.transfer_read %f[%c0], %pad {in_bounds = [true]}
      : tensor<2xf32>, vector<2xf32>
  vector.print %v : vector<2xf32>
  %g = tensor.collapse_shape %1 [[0, 1]] : tensor<2x1xf32> into tensor<2xf32>
  %u = vector.transfer_read %g[%c0], %pad {in_bounds = [true]}
      : tensor<2xf32>, vector<2xf32>
  vector.print %u : vector<2xf32>
  return
}

func.func @main() {
  // CHECK: ( -0.142278, -0.18877, {{-?}}0, 0.731059, 2.31035, 8.99889 )
  // CHECK-NEXT: ( 0.853666, 0.18877, {{-?}}0, 1.46212, 11.5518, 161.98 )
  func.call @test_silu() : () -> ()
  // CHECK-NEXT: ( -0.00404969, -0.154269, {{-?}}0, 0.841345, 2.48448, 9 )
  // CHECK-NEXT: ( 0.0242982, 0.154269, {{-?}}0, 1.68269, 12.4224, 162 )
  func.call @test_gelu() : () -> ()
  // CHECK-NEXT: ( -0.00363739, -0.154286, {{-?}}0, 0.841192, 2.48492, 9 )
  // CHECK-NEXT: ( 0.0218244, 0.154286, {{-?}}0, 1.68238, 12.4246, 162 )
  func.call @test_gelu_tanh() : () -> ()
  // CHECK-NEXT: ( -0.0180713, -0.149612, {{-?}}0, 0.845796, 2.46501, 9 )
  // CHECK-NEXT: ( 0.108428, 0.149612, {{-?}}0, 1.69159, 12.3251, 162 )
  func.call @test_quick_gelu() : () -> ()
  // CHECK-NEXT: ( {{-?}}0, {{-?}}0, {{-?}}0, 1, 2.5, 9 )
  // CHECK-NEXT: ( {{-?}}0, {{-?}}0, {{-?}}0, 2, 12.5, 162 )
  func.call @test_relu() : () -> ()
  // CHECK-NEXT: ( {{-?}}0, {{-?}}0, {{-?}}0, 1, 6.25, 81 )
  // CHECK-NEXT: ( {{-?}}0, {{-?}}0, {{-?}}0, 2, 31.25, 1458 )
  func.call @test_relu2() : () -> ()
  // CHECK-NEXT: ( -0.995055, -0.462117, {{-?}}0, 0.761594, 0.986614, 1 )
  // CHECK-NEXT: ( 5.97033, 0.462117, {{-?}}0, 1.52319, 4.93307, 18 )
  func.call @test_tanh() : () -> ()
  // CHECK-NEXT: ( -3, -0.5, {{-?}}0, 1, 2.5, 9 )
  // CHECK-NEXT: ( 18, 0.5, {{-?}}0, 2, 12.5, 162 )
  func.call @test_identity() : () -> ()
  // CHECK-NEXT: ( 0.0903565, {{-?}}0, {{-?}}0, 2.53739, 14.7901, 55.9996 )
  func.call @test_gpt_oss() : () -> ()
  // CHECK-NEXT: ( 0.853666, 0.18877, {{-?}}0, 1.46212, 11.5518, 89.9889 )
  func.call @test_deepseek_v4() : () -> ()
  // CHECK-NEXT: ( {{-?}}nan, 3.25 )
  // CHECK-NEXT: ( {{-?}}nan, 1.25 )
  func.call @nan() : () -> ()
  return
}

//--- form.mlir

// CHECK-LABEL: @named
// LINALG-LABEL: @named
// LINALG-SAME: (%[[X:.*]]: tensor<?x4xbf16>, %[[W:.*]]: tensor<8x4xbf16>, %[[DOWN:.*]]: tensor<4x8xbf16>, %[[B:.*]]: tensor<8xbf16>)
// LINALG: %[[T:.*]] = tensor.dim %[[X]]
// LINALG: %[[GATE:.*]] = linalg.matmul indexing_maps = [#{{.*}}, #{{.*}}, #{{.*}}] ins(%[[X]], %[[W]] : tensor<?x4xbf16>, tensor<8x4xbf16>) outs(%{{.*}} : tensor<?x8xf32>)
// LINALG: %[[UP:.*]] = linalg.matmul
// LINALG: %[[ACT:.*]] = linalg.generic {{.*}} ins(%[[GATE]], %[[UP]], %[[B]] : tensor<?x8xf32>, tensor<?x8xf32>, tensor<8xbf16>)
// LINALG:   arith.extf %{{.*}} : bf16 to f32
// LINALG: %[[F:.*]] = linalg.matmul {{.*}} ins(%[[ACT]], %[[DOWN]] : tensor<?x8xf32>, tensor<4x8xbf16>) outs(%{{.*}} : tensor<?x4xf32>)
// LINALG: linalg.generic {{.*}} ins(%[[F]] : tensor<?x4xf32>) outs(%{{.*}} : tensor<?x4xbf16>)
// LINALG:   arith.truncf %{{.*}} : f32 to bf16
func.func @named(%x: tensor<?x4xbf16>, %w: tensor<8x4xbf16>, %d: tensor<4x8xbf16>,
                 %b: tensor<8xbf16>) -> tensor<?x4xbf16> {
  // CHECK: moe.ffn %{{.*}} up_bias(%{{.*}}) : ({{.*}} body {
  // CHECK-NEXT: ^bb0(%[[GATE:.*]]: f32, %[[UP:.*]]: f32):
  // CHECK: %[[S:.*]] = arith.divf %[[GATE]]
  // CHECK-NEXT: %[[H:.*]] = arith.mulf %[[S]], %[[UP]] : f32
  // CHECK-NEXT: moe.yield %[[H]] : f32
  %0 = moe.ffn %x gate(%w) up(%w) down(%d) up_bias(%b) activation(#moe.silu)
      : (tensor<?x4xbf16>, tensor<8x4xbf16>, tensor<8x4xbf16>,
         tensor<4x8xbf16>, tensor<8xbf16>) -> tensor<?x4xbf16>
  return %0 : tensor<?x4xbf16>
}

// Lists of weighings become regions too.
// CHECK-LABEL: @weighing
func.func @weighing(%s: tensor<?x8xf32>) -> !moe.routing<8 x 2> {
  // CHECK: moe.router #moe.top_k<2> select(%{{.*}}) weigh(%{{.*}}) : {{.*}} weights {
  // CHECK-NEXT: ^bb0(%[[V:.*]]: vector<2xf32>):
  // CHECK: %[[E:.*]] = arith.divf
  // CHECK: %[[W:.*]] = arith.mulf %[[E]]
  // CHECK-NEXT: moe.yield %[[W]] : vector<2xf32>
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s)
      weighing [#moe.softmax, #moe.scale<2.5>]
      : tensor<?x8xf32> -> !moe.routing<8 x 2>
  return %r : !moe.routing<8 x 2>
}
