// RUN: moe-opt %s --convert-moe-to-moek --canonicalize --split-input-file | FileCheck %s
// RUN: moe-opt %s --convert-moe-to-moek --split-input-file --remarks-filter=convert-moe-to-moek -o %t 2>&1 | FileCheck %s --check-prefix=REMARK

// A whole layer: every op is a kernel of its own.
// CHECK-LABEL: func @layer(
// CHECK-SAME: %[[S:[a-z0-9]+]]: tensor<?x8xf32>, %[[X:[a-z0-9]+]]: tensor<?x64xf32>
// CHECK-DAG: %[[T:.*]] = tensor.dim %[[S]], %{{.*}}
// CHECK-DAG: %[[A:.*]] = arith.muli %[[T]], %{{.*}} : index
// CHECK: %indices, %weights, %offsets, %active, %tokens, %positions, %row_weights = moek.route #moe.top_k<2> experts(8) rows(%[[S]] : tensor<?x8xf32>)
// CHECK-SAME: scores {
// CHECK-NEXT: ^bb0(%[[V:.*]]: vector<8xf32>):
// CHECK-NEXT: moek.yield %[[V]], %[[V]]
// CHECK: weigh {
// CHECK: math.exp
// CHECK: moek.yield %{{.*}} : vector<2xf32>
// CHECK: %[[ROWS:.*]] = moek.gather ins(%[[X]], %tokens, %offsets :
// CHECK-NOT: row_weights
// bf16 weights are packed in pairs of k.
// CHECK: moek.pack %{{[^ ]*}} : tensor<8x48x64xbf16> -> tensor<8x1x48x64xbf16>
// CHECK: %[[G:.*]] = moek.grouped_matmul n(48) k(64) lhs(%[[ROWS]] {{.*}} groups(%offsets, %active :
// CHECK: %[[U:.*]] = moek.grouped_matmul n(48) k(64) lhs(%[[ROWS]]
// CHECK: %[[H:.*]] = moek.row_map groups(%offsets : tensor<9xi32>) rows(%[[G]], %[[U]]
// K is padded: 48 to 48, in steps of 16.
// CHECK: moek.pack {{.*}} : tensor<8x64x48xbf16> -> tensor<8x1x64x48xbf16>
// CHECK: %[[O:.*]] = moek.grouped_matmul n(64) k(48) lhs(%[[H]]
// CHECK: moek.combine ins(%[[O]], %positions : {{.*}}) slot_weights(%weights : tensor<?x2xf32>)
func.func @layer(%s: tensor<?x8xf32>, %x: tensor<?x64xf32>, %wg: tensor<8x48x64xbf16>, %wu: tensor<8x48x64xbf16>, %wd: tensor<8x64x48xbf16>) -> tensor<?x64xf32> {
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) weighing [#moe.softmax] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<8 x 2>) -> tensor<?x64xf32>
  experts 0 to 8 weights(%wg, %wu, %wd : tensor<8x48x64xbf16>, tensor<8x48x64xbf16>, tensor<8x64x48xbf16>) {
  ^bb0(%t: tensor<?x64xf32>, %g: tensor<48x64xbf16>, %u: tensor<48x64xbf16>, %d: tensor<64x48xbf16>):
    %f = moe.ffn %t gate(%g) up(%u) down(%d) activation(#moe.silu) : (tensor<?x64xf32>, tensor<48x64xbf16>, tensor<48x64xbf16>, tensor<64x48xbf16>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  }
  %y = moe.combine %out by %r : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// Weights on the input: the gather weighs, the combine does not. Selecting and
// weighing by different tensors, weights as a region.
// CHECK-LABEL: func @input_weights(
// CHECK: moek.route #moe.top_k<1> experts(8) rows(%{{.*}}, %{{.*}} : tensor<?x8xf32>, tensor<?x8xf32>)
// CHECK: ^bb0(%[[A:.*]]: vector<8xf32>, %[[B:.*]]: vector<8xf32>):
// CHECK: moek.yield %[[A]], %[[B]]
// CHECK: weigh {
// CHECK-NEXT: ^bb0(%[[V:.*]]: vector<1xf32>):
// CHECK: arith.constant dense<2.0{{.*}}> : vector<1xf32>
// CHECK: arith.mulf
// CHECK: moek.gather {{.*}} row_weights(%row_weights : tensor<?xf32>)
// CHECK: moek.combine
// CHECK-NOT: slot_weights
// CHECK-SAME: init(
func.func @input_weights(%c: tensor<?x8xf32>, %s: tensor<?x8xf32>, %x: tensor<?x64xf32>, %init: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %two = arith.constant dense<2.0> : vector<1xf32>
  %r = moe.router #moe.top_k<1> select(%c) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 1> weights {
  ^bb0(%v: vector<1xf32>):
    %u = arith.mulf %v, %two : vector<1xf32>
    moe.yield %u : vector<1xf32>
  }
  %rows = moe.dispatch %x by %r weighted : tensor<?x64xf32>, !moe.routing<8 x 1> -> tensor<?x64xf32>
  %y = moe.combine %rows by %r unweighted init(%init : tensor<?x64xf32>) : tensor<?x64xf32>, !moe.routing<8 x 1> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// Groups that differ in nothing but their weights are one range of experts, and
// biases follow.
// CHECK-LABEL: func @shared(
// CHECK-SAME: %[[WU:[a-z0-9]+]]: tensor<8x32x64xf32>, %[[WD:[a-z0-9]+]]: tensor<8x64x32xf32>, %[[SU:[a-z0-9]+]]: tensor<32x64xf32>
// CHECK: moek.pack %[[WU]], %[[SU]] : tensor<8x32x64xf32>, tensor<32x64xf32> -> tensor<9x1x32x64xf32>
// CHECK: moek.grouped_matmul n(32) k(64)
// CHECK: %[[B0:.*]] = tensor.insert_slice %{{.*}} into %{{.*}}[0, 0] [8, 32] [1, 1] : tensor<8x32xf32> into tensor<9x32xf32>
// CHECK: %[[B:.*]] = tensor.insert_slice %{{.*}} into %[[B0]][8, 0] [1, 32] [1, 1] : tensor<1x32xf32> into tensor<9x32xf32>
// CHECK: moek.row_map {{.*}} parameters(%[[B]] : tensor<9x32xf32>)
// CHECK-NEXT: ^bb0(%[[V:.*]]: vector<32xf32>, %[[BV:.*]]: vector<32xf32>):
// CHECK: arith.addf %[[V]], %[[BV]]
// CHECK: moek.grouped_matmul n(64) k(32)
// CHECK-NOT: scf.for
func.func @shared(%x: tensor<?x64xf32>, %i: tensor<?x3xi32>, %w: tensor<?x3xf32>, %wu: tensor<8x32x64xf32>, %wd: tensor<8x64x32xf32>, %su: tensor<32x64xf32>, %sd: tensor<64x32xf32>, %bu: tensor<8x32xf32>, %sbu: tensor<1x32xf32>) -> tensor<?x64xf32> {
  %r = moe.routing.make %i, %w : tensor<?x3xi32>, tensor<?x3xf32> -> !moe.routing<9 x 3>
  %su1 = tensor.expand_shape %su [[0, 1], [2]] output_shape [1, 32, 64] : tensor<32x64xf32> into tensor<1x32x64xf32>
  %sd1 = tensor.expand_shape %sd [[0, 1], [2]] output_shape [1, 64, 32] : tensor<64x32xf32> into tensor<1x64x32xf32>
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<9 x 3> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<9 x 3>) -> tensor<?x64xf32>
  experts 0 to 8 weights(%wu, %wd, %bu : tensor<8x32x64xf32>, tensor<8x64x32xf32>, tensor<8x32xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %u: tensor<32x64xf32>, %d: tensor<64x32xf32>, %b: tensor<32xf32>):
    %f = moe.ffn %t up(%u) down(%d) up_bias(%b) activation(#moe.relu) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>, tensor<32xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  } experts 8 to 9 weights(%sd1, %su1, %sbu : tensor<1x64x32xf32>, tensor<1x32x64xf32>, tensor<1x32xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %d: tensor<64x32xf32>, %u: tensor<32x64xf32>, %b: tensor<32xf32>):
    %f = moe.ffn %t up(%u) down(%d) up_bias(%b) activation(#moe.relu) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>, tensor<32xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  }
  %y = moe.combine %out by %r : tensor<?x64xf32>, !moe.routing<9 x 3> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// Different kinds of experts: kernels over the part of the groups that each has,
// which write into one tensor of rows. What has no kernel is a loop over blocks.
// CHECK-LABEL: func @kinds(
// CHECK-SAME: %[[SCALE:[a-z0-9]+]]: tensor<1x64xf32>
// CHECK: %[[ROWS:.*]] = moek.gather
// CHECK: %[[OFFSETS:.*]] = tensor.extract_slice %offsets[0] [6] [1] : tensor<9xi32> to tensor<6xi32>
// CHECK: %[[LIST:.*]]:2 = scf.for
// CHECK: %[[ACTIVE:.*]] = tensor.insert %{{.*}} into %[[LIST]]#0
// CHECK: moek.grouped_matmul n(32) k(64) {{.*}} groups(%[[OFFSETS]], %[[ACTIVE]] : tensor<6xi32>, tensor<6xi32>)
// CHECK: %[[FFN:.*]] = moek.grouped_matmul n(64) k(32)
// CHECK: %[[S:.*]] = tensor.extract_slice %offsets[6] [2] [1] : tensor<9xi32> to tensor<2xi32>
// CHECK: %[[SCALED:.*]] = moek.row_map groups(%[[S]] : tensor<2xi32>) rows(%[[ROWS]] : tensor<?x64xf32>) parameters(%[[SCALE]] : tensor<1x64xf32>) outs(%[[FFN]] : tensor<?x64xf32>)
// CHECK: arith.mulf
// The identity experts copy.
// CHECK: %[[I:.*]] = tensor.extract_slice %offsets[7] [2] [1] : tensor<9xi32> to tensor<2xi32>
// CHECK: %[[ID:.*]] = moek.row_map groups(%[[I]] : tensor<2xi32>) rows(%[[ROWS]] : tensor<?x64xf32>) outs(%[[SCALED]] : tensor<?x64xf32>)
// CHECK-NEXT: ^bb0(%[[V:.*]]: vector<64xf32>):
// CHECK-NEXT: moek.yield %[[V]]
// CHECK: %[[L:.*]] = scf.for %[[ROW:.*]] = %{{.*}} to %{{.*}} step %{{.*}} iter_args(%[[ACC:.*]] = %[[ID]])
// CHECK: %[[N:.*]] = affine.min
// CHECK: tensor.extract_slice %[[ROWS]][%[[ROW]], 0] [%[[N]], 64] [1, 1]
// CHECK: linalg.index
// CHECK: tensor.insert_slice %{{.*}} into %[[ACC]][%[[ROW]], 0] [%[[N]], 64]
// CHECK: moek.combine ins(%[[L]],
// REMARK: [Missed] {{.*}}the experts of group 1 run as a loop over blocks of rows: the body has a linalg.generic that cannot be a kernel: its body has a linalg.index, which is not elementwise; matmuls with weights that are known ahead of time, and what is a function of each row, become kernels
#id = affine_map<(d0, d1) -> (d0, d1)>
#col = affine_map<(d0, d1) -> (d1)>
func.func @kinds(%x: tensor<?x64xf32>, %s: tensor<?x8xf32>, %wu: tensor<5x32x64xf32>, %wd: tensor<5x64x32xf32>, %scale: tensor<1x64xf32>) -> tensor<?x64xf32> {
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<8 x 2>) -> tensor<?x64xf32>
  experts 0 to 5 weights(%wu, %wd : tensor<5x32x64xf32>, tensor<5x64x32xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %u: tensor<32x64xf32>, %d: tensor<64x32xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  } experts 5 to 6 {
  ^bb0(%t: tensor<?x64xf32>):
    %f = linalg.generic {indexing_maps = [#id], iterator_types = ["parallel", "parallel"]} outs(%t : tensor<?x64xf32>) {
    ^bb0(%v: f32):
      %j = linalg.index 1 : index
      %k = arith.index_cast %j : index to i32
      %c = arith.sitofp %k : i32 to f32
      %m = arith.mulf %v, %c : f32
      linalg.yield %m : f32
    } -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  } experts 6 to 7 weights(%scale : tensor<1x64xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %c: tensor<64xf32>):
    %f = linalg.generic {indexing_maps = [#col, #id], iterator_types = ["parallel", "parallel"]} ins(%c : tensor<64xf32>) outs(%t : tensor<?x64xf32>) {
    ^bb0(%a: f32, %b: f32):
      %m = arith.mulf %a, %b : f32
      linalg.yield %m : f32
    } -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  } experts 7 to 8 {
  ^bb0(%t: tensor<?x64xf32>):
    moe.yield %t : tensor<?x64xf32>
  }
  %y = moe.combine %out by %r : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// What a body does beside its matmuls is a function of each row.
// CHECK-LABEL: func @residual(
// CHECK: %[[ROWS:.*]] = moek.gather
// CHECK: moek.grouped_matmul n(32) k(64)
// CHECK: moek.row_map
// CHECK: %[[F:.*]] = moek.grouped_matmul n(64) k(32)
// CHECK: moek.row_map {{.*}} rows(%[[F]], %[[ROWS]] : tensor<?x64xf32>, tensor<?x64xf32>)
// CHECK: arith.addf
// CHECK-NOT: {{scf.for|linalg|moe\.}}
func.func @residual(%x: tensor<?x64xf32>, %i: tensor<?x2xi32>, %w: tensor<?x2xf32>, %wu: tensor<8x32x64xf32>, %wd: tensor<8x64x32xf32>) -> tensor<?x64xf32> {
  %r = moe.routing.make %i, %w : tensor<?x2xi32>, tensor<?x2xf32> -> !moe.routing<8 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<8 x 2>) -> tensor<?x64xf32>
  experts 0 to 8 weights(%wu, %wd : tensor<8x32x64xf32>, tensor<8x64x32xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %u: tensor<32x64xf32>, %d: tensor<64x32xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32>
    %s = linalg.add ins(%f, %t : tensor<?x64xf32>, tensor<?x64xf32>) outs(%f : tensor<?x64xf32>) -> tensor<?x64xf32>
    moe.yield %s : tensor<?x64xf32>
  }
  return %out : tensor<?x64xf32>
}

// -----

// A dense FFN is one expert that has every row.
// CHECK-LABEL: func @dense(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<?x64xf32>
// CHECK: %[[O:.*]] = tensor.from_elements %{{.*}}, %{{.*}} : tensor<2xi32>
// CHECK: %[[A:.*]] = tensor.from_elements %{{.*}}, %{{.*}} : tensor<2xi32>
// CHECK: moek.pack %{{.*}} : tensor<32x64xf32> -> tensor<1x1x32x64xf32>
// CHECK: moek.grouped_matmul n(32) k(64) lhs(%[[X]] {{.*}} groups(%[[O]], %[[A]]
func.func @dense(%x: tensor<?x64xf32>, %u: tensor<32x64xf32>, %d: tensor<64x32xf32>) -> tensor<?x64xf32> {
  %f = moe.ffn %x up(%u) down(%d) activation(#moe.gelu) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32>
  return %f : tensor<?x64xf32>
}

// -----

// Limits and appended experts are part of the router's kernel...
// CHECK-LABEL: func @limit(
// CHECK: %indices, %weights, %offsets, %active, %tokens, %positions, %row_weights = moek.route #moe.top_k<1> experts(8) {{.*}} capacity(64)
// CHECK-NOT: moek.route
// CHECK: return %indices, %weights, %offsets
func.func @limit(%s: tensor<?x8xf32>) -> (tensor<?x1xi32>, tensor<?x1xf32>, tensor<9xi32>) {
  %r = moe.router #moe.top_k<1> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 1>
  %k = moe.routing.limit %r capacity 64 : !moe.routing<8 x 1>
  %i = moe.routing.indices %k : !moe.routing<8 x 1> -> tensor<?x1xi32>
  %w = moe.routing.weights %k : !moe.routing<8 x 1> -> tensor<?x1xf32>
  %o = moe.routing.offsets %k : !moe.routing<8 x 1> -> tensor<9xi32>
  return %i, %w, %o : tensor<?x1xi32>, tensor<?x1xf32>, tensor<9xi32>
}

// -----

// CHECK-LABEL: func @append(
// CHECK: %indices, %weights, %offsets, %active, %tokens, %positions, %row_weights = moek.route #moe.top_k<2> experts(8) {{.*}} always(1) always_weights(%{{.*}} : tensor<?x1xf32>)
// CHECK-NOT: moek.route
// CHECK: %[[LAST:.*]] = tensor.extract %offsets
// CHECK: %[[SIZE:.*]] = arith.index_cast %[[LAST]]
// CHECK: tensor.extract_slice %tokens[0] [%[[SIZE]]] [1]
func.func @append(%s: tensor<?x8xf32>, %g: tensor<?x1xf32>) -> (tensor<?xi32>, index) {
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %a = moe.routing.append %r weights(%g : tensor<?x1xf32>) : !moe.routing<8 x 2> -> !moe.routing<9 x 3>
  %t = moe.routing.tokens %a : !moe.routing<9 x 3> -> tensor<?xi32>
  %n = moe.routing.num_tokens %a : !moe.routing<9 x 3>
  return %t, %n : tensor<?xi32>, index
}

// -----

// ... and tensors of their own when the routing comes from elsewhere; routings
// cross functions as seven tensors.
// CHECK-LABEL: func @rebuild(
// CHECK-SAME: tensor<?x2xi32>, %{{.*}}: tensor<?x2xf32>, %{{.*}}: tensor<9xi32>, %{{.*}}: tensor<9xi32>, %{{.*}}: tensor<?xi32>, %{{.*}}: tensor<?x2xi32>, %{{.*}}: tensor<?xf32>) -> (tensor<?x3xi32>, tensor<?x3xf32>, tensor<10xi32>, tensor<10xi32>, tensor<?xi32>, tensor<?x3xi32>, tensor<?xf32>)
// CHECK: moek.limit experts(8) drop({{ ?}}position) capacity(4)
// CHECK: linalg.generic
// CHECK: linalg.fill
// CHECK: %[[I:.*]] = tensor.insert_slice %{{.*}} into %{{.*}}[0, 2]
// CHECK: %[[W:.*]] = tensor.insert_slice %{{.*}} into %{{.*}}[0, 2]
// CHECK: moek.index experts(9) ins(%[[I]], %[[W]]
func.func @rebuild(%r: !moe.routing<8 x 2>) -> !moe.routing<9 x 3> {
  %k = moe.routing.limit %r capacity 4 : !moe.routing<8 x 2>
  %a = moe.routing.append %k : !moe.routing<8 x 2> -> !moe.routing<9 x 3>
  return %a : !moe.routing<9 x 3>
}

// -----

// Kernels route in f32; a region of weights computes in its own type.
// CHECK-LABEL: func @double_weights(
// CHECK: moek.route
// CHECK: weigh {
// CHECK-NEXT: ^bb0(%[[V:.*]]: vector<2xf32>):
// CHECK-NEXT: %[[W:.*]] = arith.extf %[[V]] : vector<2xf32> to vector<2xf64>
// CHECK-NEXT: %[[S:.*]] = arith.mulf %[[W]], %[[W]] : vector<2xf64>
// CHECK-NEXT: %[[N:.*]] = arith.truncf %[[S]] : vector<2xf64> to vector<2xf32>
// CHECK-NEXT: moek.yield %[[N]]
func.func @double_weights(%s: tensor<?x8xf64>) -> tensor<?x2xf64> {
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf64> -> !moe.routing<8 x 2> weights {
  ^bb0(%v: vector<2xf64>):
    %u = arith.mulf %v, %v : vector<2xf64>
    moe.yield %u : vector<2xf64>
  }
  %w = moe.routing.weights %r : !moe.routing<8 x 2> -> tensor<?x2xf64>
  return %w : tensor<?x2xf64>
}
