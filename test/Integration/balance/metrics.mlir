// Every metric of moe.balance compiled, compared with the interpreter, beside the
// layer whose routing it is about; and with fixtures from outside.

// RUN: moe-compile %s --emit=shared,manifest --target=native -o %t.native
// RUN: moe-compile %s --emit=shared,manifest --target=x86-64-v3 -o %t.v3
// DEFINE: %{native} = moe-run %t.native.json --model=%s --random=3 --verify
// DEFINE: %{v3} = moe-run %t.v3.json --model=%s --random=3 --verify
// RUN: %{native} --tokens=0 | FileCheck %s --check-prefix=NONE
// RUN: %{native} --tokens=1 | FileCheck %s
// RUN: %{native} --tokens=37 | FileCheck %s
// RUN: %{v3} --tokens=37 | FileCheck %s
// RUN: %{native} --tokens=500 | FileCheck %s
// RUN: %{v3} --tokens=500 --threads=1 | FileCheck %s
// RUN: moe-run %s --no-fuse --random=3 --tokens=37 --verify | FileCheck %s

// NONE: verify y: 0 tokens, nothing to compare
// NONE: verify counts: {{.*}}: PASS
// NONE-NOT: FAIL
// NONE: verify bias: {{.*}}: PASS

// CHECK: verify y: {{.*}}: PASS
// CHECK: verify counts: {{.*}}: PASS
// CHECK-NOT: FAIL
// CHECK: verify bias: {{.*}}: PASS

// The same bits whatever the number of threads.
// RUN: moe-run %t.native.json --random=3 --tokens=500 --threads=1 -o %t.1.safetensors
// RUN: moe-run %t.native.json --random=3 --tokens=500 --threads=2 -o %t.2.safetensors
// RUN: cmp %t.1.safetensors %t.2.safetensors

// Routings with unused slots, windows of counts, and no token at all.
// DEFINE: %{data} = %S/../../Reference/Inputs/balance
// RUN: moe-run %S/../../Reference/balance.mlir --inputs=%{data}-t37.safetensors --verify | FileCheck %s --check-prefix=FIXTURE
// RUN: moe-run %S/../../Reference/balance.mlir --inputs=%{data}-t1.safetensors --verify | FileCheck %s --check-prefix=FIXTURE
// RUN: moe-run %S/../../Reference/balance.mlir --inputs=%{data}-t0.safetensors --verify | FileCheck %s --check-prefix=FIXTURE
// FIXTURE: verify 0.switch_loss: {{.*}}: PASS
// FIXTURE-NOT: FAIL
// FIXTURE: verify 71.collapse: {{.*}}: PASS

!r = !moe.routing<16 x 3>

func.func @layer(%x: tensor<?x32xf32> {moe.name = "x", moe.dims = ["T"]},
                 %wr: tensor<16x32xf32> {moe.name = "router.weight"},
                 %b: tensor<16xf32> {moe.name = "router.correction_bias"},
                 %sim: tensor<32x16xf32> {moe.name = "similarity"},
                 %wu: tensor<16x24x32xf32> {moe.name = "experts.up_proj"},
                 %wd: tensor<16x32x24xf32> {moe.name = "experts.down_proj"})
    -> (tensor<?x32xf32> {moe.name = "y", moe.dims = ["T"]},
        tensor<16xi32> {moe.name = "counts"},
        tensor<16xi32> {moe.name = "kept"},
        tensor<f32> {moe.name = "switch"}, tensor<f32> {moe.name = "gshard"},
        tensor<f32> {moe.name = "mixtral"}, tensor<f32> {moe.name = "groups"},
        tensor<f32> {moe.name = "z"}, tensor<f32> {moe.name = "entropy"},
        tensor<f32> {moe.name = "sequence"}, tensor<f32> {moe.name = "sequences"},
        tensor<f32> {moe.name = "dynmoe"}, tensor<f32> {moe.name = "dynmoe.load"},
        tensor<f32> {moe.name = "normalized"}, tensor<f32> {moe.name = "effective"},
        tensor<f32> {moe.name = "max"}, tensor<f32> {moe.name = "violation"},
        tensor<f32> {moe.name = "cv"}, tensor<i32> {moe.name = "dead"},
        tensor<f32> {moe.name = "gini"}, tensor<i32> {moe.name = "collapse"},
        tensor<16xf32> {moe.name = "bias"}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x32xf32>
  %e = tensor.empty(%T) : tensor<?x16xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x16xf32>) -> tensor<?x16xf32>
  %z = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%x, %wr : tensor<?x32xf32>, tensor<16x32xf32>) outs(%f : tensor<?x16xf32>) -> tensor<?x16xf32>
  %p = linalg.softmax dimension(1) ins(%z : tensor<?x16xf32>) outs(%e : tensor<?x16xf32>) -> tensor<?x16xf32>
  %r = moe.router #moe.top_k<3> select(%p) weigh(%p) : tensor<?x16xf32> -> !r

  %counts, %switch, %gshard, %mixtral, %groups, %entropy, %sequence, %sequences = moe.balance %r
      [#moe.expert_counts, #moe.switch_loss, #moe.switch_loss<first>, #moe.switch_loss<k = 1>,
       #moe.switch_loss<length = 16>, #moe.score_entropy, #moe.sequence_loss<alpha = 1.0>,
       #moe.sequence_loss<alpha = 1.0, k = 5, length = 10>]
      scores(%p : tensor<?x16xf32>)
      : !r -> tensor<16xi32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>
  %zl, %dynmoe, %load = moe.balance %r [#moe.z_loss, #moe.dynmoe_loss, #moe.dynmoe_load_loss]
      logits(%z : tensor<?x16xf32>) similarity(%sim : tensor<32x16xf32>)
      : !r -> tensor<f32>, tensor<f32>, tensor<f32>
  %normalized, %effective, %max, %violation, %cv, %dead, %gini, %collapse, %bias = moe.balance %r
      [#moe.normalized_entropy, #moe.effective_experts, #moe.max_over_mean, #moe.max_violation,
       #moe.coefficient_of_variation, #moe.dead_experts, #moe.gini, #moe.collapse<assignments = 1>,
       #moe.bias_update]
      bias(%b : tensor<16xf32>)
      : !r -> tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<i32>, tensor<f32>, tensor<i32>, tensor<16xf32>

  // Losses are about what the router chose, the layer runs what is left of it.
  %limited = moe.routing.limit %r capacity 20 : !r
  %kept = moe.balance %limited [#moe.expert_counts] : !r -> tensor<16xi32>
  %rows = moe.dispatch %x by %limited : tensor<?x32xf32>, !r -> tensor<?x32xf32>
  %out = moe.expert %rows by %limited : (tensor<?x32xf32>, !r) -> tensor<?x32xf32>
  experts 0 to 16 weights(%wu, %wd : tensor<16x24x32xf32>, tensor<16x32x24xf32>) {
  ^bb0(%t: tensor<?x32xf32>, %u: tensor<24x32xf32>, %d: tensor<32x24xf32>):
    %h = moe.ffn %t up(%u) down(%d) activation(#moe.relu)
        : (tensor<?x32xf32>, tensor<24x32xf32>, tensor<32x24xf32>) -> tensor<?x32xf32>
    moe.yield %h : tensor<?x32xf32>
  }
  %y = moe.combine %out by %limited : tensor<?x32xf32>, !r -> tensor<?x32xf32>
  return %y, %counts, %kept, %switch, %gshard, %mixtral, %groups, %zl, %entropy, %sequence, %sequences, %dynmoe, %load, %normalized, %effective, %max, %violation, %cv, %dead, %gini, %collapse, %bias
      : tensor<?x32xf32>, tensor<16xi32>, tensor<16xi32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<i32>, tensor<f32>, tensor<i32>, tensor<16xf32>
}
