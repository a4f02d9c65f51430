// RUN: moe-opt %s --verify-roundtrip | FileCheck %s
// RUN: moe-opt %s --mlir-print-op-generic | moe-opt | FileCheck %s
// RUN: moe-opt %s --emit-bytecode | moe-opt --allow-bytecode | FileCheck %s
// RUN: moe-opt %s | not grep -- "->  "

//===----------------------------------------------------------------------===//
// Types and attributes
//===----------------------------------------------------------------------===//

// CHECK-LABEL: @types
// CHECK-SAME: !moe.routing<128 x 8>, !moe.routing<1 x 1>
func.func private @types(!moe.routing<128x8>, !moe.routing<1 x 1>)

// CHECK-LABEL: @attributes
// CHECK-SAME: policies = [#moe.top_k<8>, #moe.group_top_k<8, groups = 8, keep = 4, reduce = top2>, #moe.group_top_k<6, groups = 8, keep = 3, reduce = max>]
// CHECK-SAME: weighings = [#moe.softmax, #moe.sigmoid, #moe.normalize<sum, eps = 0.0>, #moe.normalize<sum, eps = 1.0e-20>, #moe.normalize<clamp, min = 1.0e-12>, #moe.normalize<p_norm, p = 1.0>, #moe.scale<2.5>, #moe.scale<-0.1>]
func.func private @attributes() attributes {
  policies = [#moe.top_k<8>,
              #moe.group_top_k<8, groups = 8, keep = 4, reduce = top2>,
              #moe.group_top_k<6, groups = 8, keep = 3, reduce = max>],
  weighings = [#moe.softmax, #moe.sigmoid, #moe.normalize<sum>,
               #moe.normalize<sum, eps = 1.0e-20>,
               #moe.normalize<clamp, min = 1.0e-12>,
               #moe.normalize<p_norm, p = 1.0>, #moe.scale<2.5>,
               #moe.scale<-0.1>]
}

// CHECK-LABEL: @activations
// CHECK-SAME: a = [#moe.silu, #moe.gelu, #moe.gelu_tanh, #moe.quick_gelu, #moe.relu, #moe.relu2, #moe.tanh, #moe.identity, #moe.clamped_swiglu<alpha = 1.702, limit = 7.0, offset = 1.0>, #moe.clamped_swiglu<alpha = 1.0, limit = 10.0, offset = 0.0>]
func.func private @activations() attributes {
  a = [#moe.silu, #moe.gelu, #moe.gelu_tanh, #moe.quick_gelu, #moe.relu,
       #moe.relu2, #moe.tanh, #moe.identity, #moe.clamped_swiglu,
       #moe.clamped_swiglu<limit = 10.0, alpha = 1.0, offset = 0.0>]
}

//===----------------------------------------------------------------------===//
// The layer
//===----------------------------------------------------------------------===//

// CHECK-LABEL: @router(
// CHECK-SAME: %[[Z:.*]]: tensor<?x8xf32>, %[[C:.*]]: tensor<?x256xf32>, %[[S:.*]]: tensor<?x256xf32>
func.func @router(%z: tensor<?x8xf32>, %c: tensor<?x256xf32>,
                  %s: tensor<?x256xf32>) {
  // CHECK: %routing = moe.router #moe.top_k<2> select(%[[Z]]) weigh(%[[Z]]) weighing [#moe.softmax] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %mixtral = moe.router #moe.top_k<2> select(%z) weigh(%z)
      weighing [#moe.softmax] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  // CHECK: moe.router #moe.group_top_k<8, groups = 8, keep = 4, reduce = top2> select(%[[C]]) weigh(%[[S]]) weighing [#moe.normalize<sum, eps = 1.0e-20>, #moe.scale<2.5>] : tensor<?x256xf32> -> !moe.routing<256 x 8>
  %deepseek = moe.router
      #moe.group_top_k<8, groups = 8, keep = 4, reduce = top2>
      select(%c) weigh(%s)
      weighing [#moe.normalize<sum, eps = 1.0e-20>, #moe.scale<2.5>]
      : tensor<?x256xf32> -> !moe.routing<256 x 8>
  // CHECK: moe.router #moe.top_k<2> select(%[[Z]]) weigh(%[[Z]]) : tensor<?x8xf32> -> !moe.routing<8 x 2> weights {
  // CHECK-NEXT: ^bb0(%[[V:.*]]: vector<2xf32>):
  // CHECK-NEXT:   %[[U:.*]] = arith.mulf %[[V]], %[[V]]
  // CHECK-NEXT:   moe.yield %[[U]] : vector<2xf32>
  // CHECK-NEXT: }
  %squared = moe.router #moe.top_k<2> select(%z) weigh(%z)
      : tensor<?x8xf32> -> !moe.routing<8 x 2> weights {
  ^bb0(%v: vector<2xf32>):
    %u = arith.mulf %v, %v : vector<2xf32>
    moe.yield %u : vector<2xf32>
  }
  // CHECK: moe.router #moe.top_k<8> select(%[[Z]]) weigh(%[[Z]]) {tag} : tensor<?x8xf32> -> !moe.routing<8 x 8>
  %all = moe.router #moe.top_k<8> select(%z) weigh(%z) {tag}
      : tensor<?x8xf32> -> !moe.routing<8 x 8>
  return
}

// CHECK-LABEL: @router_f64_static
func.func @router_f64_static(%z: tensor<0x1xf64>) -> !moe.routing<1 x 1> {
  // CHECK: moe.router #moe.top_k<1> {{.*}} : tensor<0x1xf64> -> !moe.routing<1 x 1>
  %r = moe.router #moe.top_k<1> select(%z) weigh(%z)
      : tensor<0x1xf64> -> !moe.routing<1 x 1>
  return %r : !moe.routing<1 x 1>
}

// CHECK-LABEL: @dispatch_combine(
// CHECK-SAME: %[[X:.*]]: tensor<?x2048xf32>, %[[R:.*]]: !moe.routing<128 x 8>
func.func @dispatch_combine(%x: tensor<?x2048xf32>, %r: !moe.routing<128 x 8>,
                            %out: tensor<?x2048xf32>, %i: tensor<?x2048xf32>,
                            %b: tensor<4x16xbf16>, %n: tensor<24x16xbf16>) {
  // CHECK: %rows = moe.dispatch %[[X]] by %[[R]] : tensor<?x2048xf32>, !moe.routing<128 x 8> -> tensor<?x2048xf32>
  %rows = moe.dispatch %x by %r
      : tensor<?x2048xf32>, !moe.routing<128 x 8> -> tensor<?x2048xf32>
  // CHECK: moe.dispatch %[[X]] by %[[R]] weighted :
  %scaled = moe.dispatch %x by %r weighted
      : tensor<?x2048xf32>, !moe.routing<128 x 8> -> tensor<?x2048xf32>
  // CHECK: moe.dispatch %{{.*}} by %[[R]] : tensor<4x16xbf16>, !moe.routing<128 x 8> -> tensor<32x16xbf16>
  %static = moe.dispatch %b by %r
      : tensor<4x16xbf16>, !moe.routing<128 x 8> -> tensor<32x16xbf16>
  // CHECK: %combined = moe.combine %{{.*}} by %[[R]] : tensor<?x2048xf32>, !moe.routing<128 x 8> -> tensor<?x2048xf32>
  %y = moe.combine %out by %r
      : tensor<?x2048xf32>, !moe.routing<128 x 8> -> tensor<?x2048xf32>
  // CHECK: moe.combine %{{.*}} by %[[R]] init(%{{.*}} : tensor<?x2048xf32>) : tensor<?x2048xf32>
  %yi = moe.combine %out by %r init(%i : tensor<?x2048xf32>)
      : tensor<?x2048xf32>, !moe.routing<128 x 8> -> tensor<?x2048xf32>
  // CHECK: moe.combine %{{.*}} by %[[R]] unweighted init(%{{.*}} : tensor<?x2048xf32>) : tensor<?x2048xf32>
  %yu = moe.combine %out by %r unweighted init(%i : tensor<?x2048xf32>)
      : tensor<?x2048xf32>, !moe.routing<128 x 8> -> tensor<?x2048xf32>
  // CHECK: moe.combine %{{.*}} by %[[R]] : tensor<24x16xbf16>, !moe.routing<128 x 8> -> tensor<3x16xbf16>
  %ys = moe.combine %n by %r
      : tensor<24x16xbf16>, !moe.routing<128 x 8> -> tensor<3x16xbf16>
  return
}

// 256 routed experts and one shared expert that every token visits.
// CHECK-LABEL: @expert(
// CHECK-SAME: %[[ROWS:.*]]: tensor<?x64xf32>, %[[R:.*]]: !moe.routing<257 x 9>, %[[WG:.*]]: tensor<256x32x64xbf16>, %[[WU:.*]]: tensor<256x32x64xbf16>, %[[WD:.*]]: tensor<256x64x32xbf16>
func.func @expert(%rows: tensor<?x64xf32>, %r: !moe.routing<257 x 9>,
                  %wg: tensor<256x32x64xbf16>, %wu: tensor<256x32x64xbf16>,
                  %wd: tensor<256x64x32xbf16>, %su: tensor<1x16x64xf32>,
                  %sd: tensor<1x64x16xf32>) -> tensor<?x64xf32> {
  // CHECK: %expert_rows = moe.expert %[[ROWS]] by %[[R]] : (tensor<?x64xf32>, !moe.routing<257 x 9>) -> tensor<?x64xf32>
  // CHECK-NEXT: experts 0 to 256 weights(%[[WG]], %[[WU]], %[[WD]] : tensor<256x32x64xbf16>, tensor<256x32x64xbf16>, tensor<256x64x32xbf16>) {
  // CHECK-NEXT: ^bb0(%[[T:.*]]: tensor<?x64xf32>, %[[G:.*]]: tensor<32x64xbf16>, %[[U:.*]]: tensor<32x64xbf16>, %[[D:.*]]: tensor<64x32xbf16>):
  // CHECK-NEXT:   %[[F:.*]] = moe.ffn %[[T]] gate(%[[G]]) up(%[[U]]) down(%[[D]]) activation(#moe.silu)
  // CHECK-NEXT:   moe.yield %[[F]] : tensor<?x64xf32>
  // CHECK-NEXT: } experts 256 to 257 weights(%{{.*}}, %{{.*}} : tensor<1x16x64xf32>, tensor<1x64x16xf32>) {
  // CHECK-NEXT: ^bb0(%{{.*}}: tensor<?x64xf32>, %{{.*}}: tensor<16x64xf32>, %{{.*}}: tensor<64x16xf32>):
  // CHECK: moe.yield
  // CHECK-NEXT: }
  %out = moe.expert %rows by %r
      : (tensor<?x64xf32>, !moe.routing<257 x 9>) -> tensor<?x64xf32>
  experts 0 to 256 weights(%wg, %wu, %wd : tensor<256x32x64xbf16>,
      tensor<256x32x64xbf16>, tensor<256x64x32xbf16>) {
  ^bb0(%t: tensor<?x64xf32>, %g: tensor<32x64xbf16>, %u: tensor<32x64xbf16>,
       %d: tensor<64x32xbf16>):
    %f = moe.ffn %t gate(%g) up(%u) down(%d) activation(#moe.silu)
        : (tensor<?x64xf32>, tensor<32x64xbf16>, tensor<32x64xbf16>,
           tensor<64x32xbf16>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  } experts 256 to 257 weights(%su, %sd : tensor<1x16x64xf32>,
      tensor<1x64x16xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %u: tensor<16x64xf32>, %d: tensor<64x16xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu)
        : (tensor<?x64xf32>, tensor<16x64xf32>, tensor<64x16xf32>)
        -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  }
  return %out : tensor<?x64xf32>
}

// A group without weights; a scalar weight for each expert; another size out.
// CHECK-LABEL: @expert_other_bodies
func.func @expert_other_bodies(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>,
                               %scale: tensor<2xf32>) -> tensor<?x4xf32> {
  // CHECK: moe.expert %{{.*}} {note = "tiny"} : (
  // CHECK-NEXT: experts 0 to 1 {
  // CHECK: } experts 1 to 3 weights(%{{.*}} : tensor<2xf32>) {
  // CHECK-NEXT: ^bb0(%{{.*}}: tensor<?x4xf32>, %{{.*}}: tensor<f32>):
  %out = moe.expert %rows by %r {note = "tiny"}
      : (tensor<?x4xf32>, !moe.routing<3 x 1>) -> tensor<?x4xf32>
  experts 0 to 1 {
  ^bb0(%t: tensor<?x4xf32>):
    moe.yield %t : tensor<?x4xf32>
  } experts 1 to 3 weights(%scale : tensor<2xf32>) {
  ^bb0(%t: tensor<?x4xf32>, %w: tensor<f32>):
    %s = tensor.extract %w[] : tensor<f32>
    %f = linalg.generic {
        indexing_maps = [affine_map<(i, j) -> (i, j)>],
        iterator_types = ["parallel", "parallel"]} outs(%t : tensor<?x4xf32>) {
    ^bb0(%v: f32):
      %p = arith.mulf %v, %s : f32
      linalg.yield %p : f32
    } -> tensor<?x4xf32>
    moe.yield %f : tensor<?x4xf32>
  }
  return %out : tensor<?x4xf32>
}

// CHECK-LABEL: @ffn(
func.func @ffn(%t: tensor<?x64xf32>, %g: tensor<32x64xbf16>,
               %u: tensor<32x64xbf16>, %d: tensor<48x32xf32>,
               %b: tensor<32xf32>, %bd: tensor<48xf32>, %x: tensor<5x64xf64>) {
  // CHECK: %ffn = moe.ffn %{{.*}} gate(%{{.*}}) up(%{{.*}}) down(%{{.*}}) gate_bias(%{{.*}}) up_bias(%{{.*}}) down_bias(%{{.*}}) activation(#moe.clamped_swiglu<alpha = 1.702, limit = 7.0, offset = 1.0>) : (tensor<?x64xf32>, tensor<32x64xbf16>, tensor<32x64xbf16>, tensor<48x32xf32>, tensor<32xf32>, tensor<32xf32>, tensor<48xf32>) -> tensor<?x48xf32>
  %0 = moe.ffn %t gate(%g) up(%u) down(%d) gate_bias(%b) up_bias(%b)
      down_bias(%bd) activation(#moe.clamped_swiglu)
      : (tensor<?x64xf32>, tensor<32x64xbf16>, tensor<32x64xbf16>,
         tensor<48x32xf32>, tensor<32xf32>, tensor<32xf32>, tensor<48xf32>)
      -> tensor<?x48xf32>
  // CHECK: moe.ffn %{{.*}} up(%{{.*}}) down(%{{.*}}) down_bias(%{{.*}}) activation(#moe.gelu) {tag} : (tensor<?x64xf32>, tensor<32x64xbf16>, tensor<48x32xf32>, tensor<48xf32>) -> tensor<?x48xf32>
  %1 = moe.ffn %t up(%u) down(%d) down_bias(%bd) activation(#moe.gelu) {tag}
      : (tensor<?x64xf32>, tensor<32x64xbf16>, tensor<48x32xf32>,
         tensor<48xf32>) -> tensor<?x48xf32>
  // CHECK: moe.ffn %{{.*}} up(%{{.*}}) down(%{{.*}}) up_bias(%{{.*}}) : (tensor<?x64xf32>, tensor<32x64xbf16>, tensor<48x32xf32>, tensor<32xf32>) -> tensor<?x48xf32> body {
  // CHECK-NEXT: ^bb0(%[[UP:.*]]: f32):
  // CHECK-NEXT:   %[[SIN:.*]] = math.sin %[[UP]] : f32
  // CHECK-NEXT:   %[[H:.*]] = arith.addf %[[UP]], %[[SIN]] : f32
  // CHECK-NEXT:   moe.yield %[[H]] : f32
  %2 = moe.ffn %t up(%u) down(%d) up_bias(%b)
      : (tensor<?x64xf32>, tensor<32x64xbf16>, tensor<48x32xf32>,
         tensor<32xf32>) -> tensor<?x48xf32> body {
  ^bb0(%v: f32):
    %s = math.sin %v : f32
    %h = arith.addf %v, %s : f32
    moe.yield %h : f32
  }
  // CHECK: -> tensor<5x48xf64> body {
  // CHECK-NEXT: ^bb0(%{{.*}}: f64, %{{.*}}: f64):
  %3 = moe.ffn %x gate(%g) up(%u) down(%d)
      : (tensor<5x64xf64>, tensor<32x64xbf16>, tensor<32x64xbf16>,
         tensor<48x32xf32>) -> tensor<5x48xf64> body {
  ^bb0(%gate: f64, %up: f64):
    %h = arith.maximumf %gate, %up : f64
    moe.yield %h : f64
  }
  return
}

//===----------------------------------------------------------------------===//
// Routings
//===----------------------------------------------------------------------===//

// CHECK-LABEL: @routing(
// CHECK-SAME: %[[IDX:.*]]: tensor<?x8xi32>, %[[W:.*]]: tensor<?x8xf32>, %[[G:.*]]: tensor<?x1xf32>
func.func @routing(%idx: tensor<?x8xi32>, %w: tensor<?x8xf32>,
                   %g: tensor<?x1xf32>) {
  // CHECK: %[[R:.*]] = moe.routing.make %[[IDX]], %[[W]] : tensor<?x8xi32>, tensor<?x8xf32> -> !moe.routing<128 x 8>
  %r = moe.routing.make %idx, %w
      : tensor<?x8xi32>, tensor<?x8xf32> -> !moe.routing<128 x 8>
  // CHECK: moe.routing.make %[[IDX]], %[[W]] trusted : tensor<?x8xi32>, tensor<?x8xf32> -> !moe.routing<128 x 8>
  %known = moe.routing.make %idx, %w trusted
      : tensor<?x8xi32>, tensor<?x8xf32> -> !moe.routing<128 x 8>
  // CHECK: %indices = moe.routing.indices %[[R]] : !moe.routing<128 x 8> -> tensor<?x8xi32>
  %i = moe.routing.indices %r : !moe.routing<128 x 8> -> tensor<?x8xi32>
  // CHECK: %weights = moe.routing.weights %[[R]] : !moe.routing<128 x 8> -> tensor<?x8xf32>
  %v = moe.routing.weights %r : !moe.routing<128 x 8> -> tensor<?x8xf32>
  // CHECK: %offsets = moe.routing.offsets %[[R]] : !moe.routing<128 x 8> -> tensor<129xi32>
  %o = moe.routing.offsets %r : !moe.routing<128 x 8> -> tensor<129xi32>
  // CHECK: %tokens = moe.routing.tokens %[[R]] : !moe.routing<128 x 8> -> tensor<?xi32>
  %t = moe.routing.tokens %r : !moe.routing<128 x 8> -> tensor<?xi32>
  // CHECK: %num_tokens = moe.routing.num_tokens %[[R]] : !moe.routing<128 x 8>
  %n = moe.routing.num_tokens %r : !moe.routing<128 x 8>
  // CHECK: moe.routing.append %[[R]] : !moe.routing<128 x 8> -> !moe.routing<130 x 10>
  %r1 = moe.routing.append %r : !moe.routing<128 x 8> -> !moe.routing<130 x 10>
  // CHECK: moe.routing.append %[[R]] weights(%[[G]] : tensor<?x1xf32>) : !moe.routing<128 x 8> -> !moe.routing<129 x 9>
  %r2 = moe.routing.append %r weights(%g : tensor<?x1xf32>)
      : !moe.routing<128 x 8> -> !moe.routing<129 x 9>
  // CHECK: moe.routing.limit %[[R]] capacity 64 : !moe.routing<128 x 8>
  %r3 = moe.routing.limit %r capacity 64 : !moe.routing<128 x 8>
  return
}

// A static routing with an unused slot.
// CHECK-LABEL: @routing_constant
func.func @routing_constant() -> !moe.routing<4 x 2> {
  %idx = arith.constant dense<[[3, 0], [1, -1]]> : tensor<2x2xi32>
  %w = arith.constant dense<[[0.5, 0.5], [1.0, 0.0]]> : tensor<2x2xf32>
  %r = moe.routing.make %idx, %w
      : tensor<2x2xi32>, tensor<2x2xf32> -> !moe.routing<4 x 2>
  return %r : !moe.routing<4 x 2>
}
