// RUN: moe-opt %s --moe-fold-shared-expert --split-input-file | FileCheck %s
// RUN: moe-opt %s --moe-fold-shared-expert --split-input-file --remarks-filter=moe-fold-shared-expert -o %t 2>&1 | FileCheck %s --check-prefix=REMARK

// DeepSeek-V3: one shared expert of the routed size, as the init of the combine.
// CHECK-LABEL: func @init(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<?x64xf32>, %[[R:[a-z0-9]+]]: !moe.routing<8 x 2>
// CHECK-NOT: moe.ffn %[[X]]
// CHECK: %[[R2:.*]] = moe.routing.append %[[R]] : !moe.routing<8 x 2> -> !moe.routing<9 x 3>
// CHECK: %[[ROWS:.*]] = moe.dispatch %[[X]] by %[[R2]]
// CHECK: %[[U:.*]] = tensor.expand_shape {{.*}} : tensor<32x64xf32> into tensor<1x32x64xf32>
// CHECK: %[[D:.*]] = tensor.expand_shape {{.*}} : tensor<64x32xf32> into tensor<1x64x32xf32>
// CHECK: %[[OUT:.*]] = moe.expert %[[ROWS]] by %[[R2]]
// CHECK: experts 0 to 8
// CHECK: experts 8 to 9 weights(%[[U]], %[[D]]
// CHECK: moe.ffn {{.*}} activation(#moe.relu)
// CHECK: moe.combine %[[OUT]] by %[[R2]] :
// REMARK: [Passed] folded
// REMARK-SAME: 1 experts of the routed size
func.func @init(%x: tensor<?x64xf32>, %r: !moe.routing<8 x 2>, %wu: tensor<8x32x64xf32>, %wd: tensor<8x64x32xf32>, %su: tensor<32x64xf32>, %sd: tensor<64x32xf32>) -> tensor<?x64xf32> {
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<8 x 2>) -> tensor<?x64xf32>
  experts 0 to 8 weights(%wu, %wd : tensor<8x32x64xf32>, tensor<8x64x32xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %u: tensor<32x64xf32>, %d: tensor<64x32xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  }
  %s = moe.ffn %x up(%su) down(%sd) activation(#moe.relu) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32>
  %y = moe.combine %out by %r init(%s : tensor<?x64xf32>) : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>
#tok = affine_map<(d0, d1) -> (d0, 0)>
// Qwen1.5: two times the size, gated by one number per token, added after.
// CHECK-LABEL: func @gated(
// CHECK-SAME: %[[GATE:[a-z0-9]+]]: tensor<?x1xf32>
// CHECK: %[[W:.*]] = linalg.generic {{.*}} ins(%[[GATE]] : tensor<?x1xf32>) outs(%{{.*}} : tensor<?x2xf32>)
// CHECK: moe.routing.append %{{.*}} weights(%[[W]] : tensor<?x2xf32>) : !moe.routing<8 x 2> -> !moe.routing<10 x 4>
// CHECK-DAG: tensor.extract_slice %{{.*}}[0, 0] [32, 64] [1, 1] : tensor<64x64xf32> to tensor<32x64xf32>
// CHECK-DAG: tensor.extract_slice %{{.*}}[32, 0] [32, 64] [1, 1] : tensor<64x64xf32> to tensor<32x64xf32>
// CHECK-DAG: tensor.extract_slice %{{.*}}[0, 32] [64, 32] [1, 1] : tensor<64x64xf32> to tensor<64x32xf32>
// CHECK: experts 0 to 8
// CHECK: experts 8 to 9
// CHECK: experts 9 to 10
// CHECK: %[[Y:.*]] = moe.combine
// CHECK-NOT: linalg.add
// CHECK: return %[[Y]]
// REMARK: 2 experts of the routed size
func.func @gated(%x: tensor<?x64xf32>, %r: !moe.routing<8 x 2>, %wu: tensor<8x32x64xf32>, %wd: tensor<8x64x32xf32>, %su: tensor<64x64xf32>, %sd: tensor<64x64xf32>, %gate: tensor<?x1xf32>, %e: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<8 x 2>) -> tensor<?x64xf32>
  experts 0 to 8 weights(%wu, %wd : tensor<8x32x64xf32>, tensor<8x64x32xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %u: tensor<32x64xf32>, %d: tensor<64x32xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  }
  %s = moe.ffn %x up(%su) down(%sd) activation(#moe.relu) : (tensor<?x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  %sg = linalg.generic {indexing_maps = [#id, #tok, #id], iterator_types = ["parallel", "parallel"]} ins(%s, %gate : tensor<?x64xf32>, tensor<?x1xf32>) outs(%e : tensor<?x64xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %m = arith.mulf %a, %b : f32
    linalg.yield %m : f32
  } -> tensor<?x64xf32>
  %y = moe.combine %out by %r : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  %z = linalg.add ins(%sg, %y : tensor<?x64xf32>, tensor<?x64xf32>) outs(%e : tensor<?x64xf32>) -> tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}

// -----

// Llama 4 weighs the input: the shared expert's weight of 1 is right there too.
// CHECK-LABEL: func @weighted_input(
// CHECK: moe.routing.append
// CHECK: moe.dispatch {{.*}} weighted
// CHECK: moe.combine {{.*}} unweighted :
func.func @weighted_input(%x: tensor<?x64xf32>, %r: !moe.routing<8 x 1>, %wu: tensor<8x32x64xf32>, %wd: tensor<8x64x32xf32>, %su: tensor<32x64xf32>, %sd: tensor<64x32xf32>) -> tensor<?x64xf32> {
  %rows = moe.dispatch %x by %r weighted : tensor<?x64xf32>, !moe.routing<8 x 1> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<8 x 1>) -> tensor<?x64xf32>
  experts 0 to 8 weights(%wu, %wd : tensor<8x32x64xf32>, tensor<8x64x32xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %u: tensor<32x64xf32>, %d: tensor<64x32xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  }
  %s = moe.ffn %x up(%su) down(%sd) activation(#moe.relu) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32>
  %y = moe.combine %out by %r unweighted : tensor<?x64xf32>, !moe.routing<8 x 1> -> tensor<?x64xf32>
  %z = arith.addf %y, %s : tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}

// -----

// CHECK-LABEL: func @other_activation(
// CHECK-NOT: moe.routing.append
// REMARK: [Missed] not-folded{{.*}}its activation is not that of the routed experts
func.func @other_activation(%x: tensor<?x64xf32>, %r: !moe.routing<8 x 2>, %wu: tensor<8x32x64xf32>, %wd: tensor<8x64x32xf32>, %su: tensor<32x64xf32>, %sd: tensor<64x32xf32>) -> tensor<?x64xf32> {
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<8 x 2>) -> tensor<?x64xf32>
  experts 0 to 8 weights(%wu, %wd : tensor<8x32x64xf32>, tensor<8x64x32xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %u: tensor<32x64xf32>, %d: tensor<64x32xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  }
  %s = moe.ffn %x up(%su) down(%sd) activation(#moe.gelu) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32>
  %y = moe.combine %out by %r init(%s : tensor<?x64xf32>) : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// CHECK-LABEL: func @other_size(
// CHECK-NOT: moe.routing.append
// REMARK: intermediate size 48 is not a multiple of that of the routed experts, 32
func.func @other_size(%x: tensor<?x64xf32>, %r: !moe.routing<8 x 2>, %wu: tensor<8x32x64xf32>, %wd: tensor<8x64x32xf32>, %su: tensor<48x64xf32>, %sd: tensor<64x48xf32>) -> tensor<?x64xf32> {
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<8 x 2>) -> tensor<?x64xf32>
  experts 0 to 8 weights(%wu, %wd : tensor<8x32x64xf32>, tensor<8x64x32xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %u: tensor<32x64xf32>, %d: tensor<64x32xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  }
  %s = moe.ffn %x up(%su) down(%sd) activation(#moe.relu) : (tensor<?x64xf32>, tensor<48x64xf32>, tensor<64x48xf32>) -> tensor<?x64xf32>
  %y = moe.combine %out by %r init(%s : tensor<?x64xf32>) : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// A dense FFN on something else that happens to be added.
// CHECK-LABEL: func @other_input(
// CHECK-NOT: moe.routing.append
// REMARK: it reads another tensor than the layer does
func.func @other_input(%x: tensor<?x64xf32>, %x2: tensor<?x64xf32>, %r: !moe.routing<8 x 2>, %wu: tensor<8x32x64xf32>, %wd: tensor<8x64x32xf32>, %su: tensor<32x64xf32>, %sd: tensor<64x32xf32>) -> tensor<?x64xf32> {
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<8 x 2>) -> tensor<?x64xf32>
  experts 0 to 8 weights(%wu, %wd : tensor<8x32x64xf32>, tensor<8x64x32xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %u: tensor<32x64xf32>, %d: tensor<64x32xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  }
  %s = moe.ffn %x2 up(%su) down(%sd) activation(#moe.relu) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32>
  %y = moe.combine %out by %r init(%s : tensor<?x64xf32>) : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// What cannot be packed beside the routed experts gains nothing from being one.
// CHECK-LABEL: func @not_packed(
// CHECK-NOT: moe.routing.append
// REMARK: its weights and those of the routed experts cannot be packed together: it is computed by arith.negf
func.func @not_packed(%x: tensor<?x64xf32>, %r: !moe.routing<8 x 2>, %wu: tensor<8x32x64xf32>, %wd: tensor<8x64x32xf32>, %su: tensor<32x64xf32>, %sd: tensor<64x32xf32>) -> tensor<?x64xf32> {
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<8 x 2>) -> tensor<?x64xf32>
  experts 0 to 8 weights(%wu, %wd : tensor<8x32x64xf32>, tensor<8x64x32xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %u: tensor<32x64xf32>, %d: tensor<64x32xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  }
  %n = arith.negf %su : tensor<32x64xf32>
  %s = moe.ffn %x up(%n) down(%sd) activation(#moe.relu) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32>
  %y = moe.combine %out by %r init(%s : tensor<?x64xf32>) : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// CHECK-LABEL: func @constant(
// CHECK-NOT: moe.routing.append
// REMARK: its weights and those of the routed experts cannot be packed together: some of its parts are constants and others arguments
func.func @constant(%x: tensor<?x64xf32>, %r: !moe.routing<8 x 2>, %wu: tensor<8x32x64xf32>, %wd: tensor<8x64x32xf32>, %su: tensor<32x64xf32>) -> tensor<?x64xf32> {
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<8 x 2>) -> tensor<?x64xf32>
  experts 0 to 8 weights(%wu, %wd : tensor<8x32x64xf32>, tensor<8x64x32xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %u: tensor<32x64xf32>, %d: tensor<64x32xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  }
  %sd = arith.constant dense<0.5> : tensor<64x32xf32>
  %s = moe.ffn %x up(%su) down(%sd) activation(#moe.relu) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32>
  %y = moe.combine %out by %r init(%s : tensor<?x64xf32>) : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
