// DeepSeek-V3 and its relatives: sigmoid scores, a correction bias that only
// the selection sees, groups, scaled weights, a shared expert.

// RUN: rm -rf %t && split-file %s %t
// RUN: moe-import %examples/models/DeepSeek-V3.json | FileCheck %s --check-prefix=V3
// RUN: moe-import --layers=all %examples/models/DeepSeek-V3.json | grep -c func.func | FileCheck %s --check-prefix=ALL
// RUN: moe-import %examples/models/Kimi-K2.json | FileCheck %s --check-prefix=KIMI
// RUN: moe-import %examples/models/GLM-4.5.json | FileCheck %s --check-prefix=GLM
// RUN: moe-import %examples/models/GLM-4.5-Air.json | FileCheck %s --check-prefix=AIR
// RUN: moe-import %examples/models/DeepSeek-V2.json | FileCheck %s --check-prefix=V2
// RUN: moe-import %t/lite.json | FileCheck %s --check-prefix=LITE
// RUN: moe-import %t/norm2.json | FileCheck %s --check-prefix=NORM2
// RUN: moe-import %t/raw3.json | FileCheck %s --check-prefix=RAW3
// RUN: moe-import %t/bias.json | FileCheck %s --check-prefix=BIAS

// V3:      func.func @layer_3({{.+}}%router_correction_bias: tensor<256xf32> {moe.name = "router.correction_bias"}
// V3-SAME:   %shared_gate_proj: tensor<2048x7168xf32> {moe.name = "shared.gate_proj"}
// V3-SAME:   %shared_down_proj: tensor<7168x2048xf32> {moe.name = "shared.down_proj"})
// V3:        %[[Z:.+]] = linalg.matmul
// V3:        %[[S:.+]] = linalg.generic {{.+}} ins(%[[Z]] :
// V3-NEXT:   ^bb0(%[[IN:.+]]: f32, %{{.+}}: f32):
// V3-NEXT:     %[[N:.+]] = arith.negf %[[IN]]
// V3-NEXT:     %[[E:.+]] = math.exp %[[N]]
// V3-NEXT:     %[[D:.+]] = arith.addf %[[E]], %one
// V3-NEXT:     %[[Q:.+]] = arith.divf %one, %[[D]]
// V3-NEXT:     linalg.yield %[[Q]]
// V3:        %[[C:.+]] = linalg.generic {{.+}} ins(%[[S]], %router_correction_bias :
// V3:          arith.addf
// V3:        moe.router #moe.group_top_k<8, groups = 8, keep = 4, reduce = top2> select(%[[C]]) weigh(%[[S]]) weighing [#moe.normalize<sum, eps = 1.0e-20>, #moe.scale<2.5>] : tensor<?x256xf32> -> !moe.routing<256 x 8>
// V3:        %[[SHARED:.+]] = moe.ffn %x gate(%shared_gate_proj) up(%shared_up_proj) down(%shared_down_proj) activation(#moe.silu)
// V3:        moe.combine %{{.+}} by %{{.+}} init(%[[SHARED]] : tensor<?x7168xf32>)

// ALL: 58

// One group is no group.
// KIMI: func.func @layer_1(
// KIMI: moe.router #moe.top_k<8> {{.+}} weighing [#moe.normalize<sum, eps = 1.0e-20>, #moe.scale<2.827>] : tensor<?x384xf32>
// GLM:  func.func @layer_3(
// GLM:  moe.router #moe.top_k<8> {{.+}} weighing [#moe.normalize<sum, eps = 1.0e-20>, #moe.scale<2.5>] : tensor<?x160xf32>
// AIR:  moe.router #moe.top_k<8> {{.+}} weighing [#moe.normalize<sum, eps = 1.0e-20>] : tensor<?x128xf32>

// V2 ranks groups by their best member and does not normalise; its two shared
// experts are one of twice the width.
// V2:   func.func @layer_1({{.+}}%shared_up_proj: tensor<3072x5120xf32>
// V2:     %[[P:.+]] = linalg.softmax
// V2:     moe.router #moe.group_top_k<6, groups = 8, keep = 3, reduce = max> select(%[[P]]) weigh(%[[P]]) weighing [#moe.scale<16.0>]

// LITE:     moe.router #moe.top_k<2> select(%[[P:.+]]) weigh(%[[P]]) : tensor<?x8xf32>
// LITE-NOT: moe.ffn %x
// NORM2:    weighing [#moe.normalize<sum, eps = 1.0e-20>] : tensor<?x8xf32>
// RAW3:     moe.router #moe.top_k<2> select(%[[C:.+]]) weigh(%[[S:.+]]) : tensor<?x8xf32>
// Biases are those of the shared expert.
// BIAS:     moe.ffn %own gate({{[^)]+}}) up({{[^)]+}}) down({{[^)]+}}) activation
// BIAS:     moe.ffn %x gate({{.+}}) down_bias(%shared_down_proj_bias) activation(#moe.silu) : (tensor<?x8xf32>, tensor<12x8xf32>,

//--- lite.json
{"model_type": "deepseek_v2", "num_hidden_layers": 2, "hidden_size": 8,
 "moe_intermediate_size": 4, "n_routed_experts": 8, "num_experts_per_tok": 2,
 "first_k_dense_replace": 1, "n_group": 2, "topk_group": 1,
 "topk_method": "greedy", "n_shared_experts": null}
//--- norm2.json
{"model_type": "deepseek_v2", "num_hidden_layers": 2, "hidden_size": 8,
 "moe_intermediate_size": 4, "n_routed_experts": 8, "num_experts_per_tok": 2,
 "first_k_dense_replace": 1, "norm_topk_prob": true,
 "routed_scaling_factor": 4.0}
//--- raw3.json
{"model_type": "deepseek_v3", "num_hidden_layers": 2, "hidden_size": 8,
 "moe_intermediate_size": 4, "n_routed_experts": 8, "num_experts_per_tok": 2,
 "first_k_dense_replace": 1, "norm_topk_prob": false,
 "routed_scaling_factor": 1.0, "n_group": 4, "topk_group": 4}
//--- bias.json
{"model_type": "deepseek_v2", "num_hidden_layers": 2, "hidden_size": 8,
 "moe_intermediate_size": 4, "n_routed_experts": 8, "num_experts_per_tok": 2,
 "n_shared_experts": 3, "mlp_bias": true}
