// OLMoE: softmax over all experts, not normalised unless the key says so.

// RUN: rm -rf %t && split-file %s %t
// RUN: moe-import %examples/models/OLMoE-1B-7B.json | FileCheck %s
// RUN: moe-import %t/norm.json | FileCheck %s --check-prefix=NORM

// CHECK: func.func @layer_0({{.+}}%experts_down_proj: tensor<64x2048x1024xf32>
// CHECK:   %[[P:.+]] = linalg.softmax dimension(1)
// CHECK:   moe.router #moe.top_k<8> select(%[[P]]) weigh(%[[P]]) : tensor<?x64xf32> -> !moe.routing<64 x 8>

// NORM: weighing [#moe.normalize<sum, eps = 0.0>]

//--- norm.json
{"model_type": "olmoe", "num_hidden_layers": 1, "hidden_size": 8,
 "intermediate_size": 4, "num_experts": 4, "num_experts_per_tok": 2,
 "norm_topk_prob": true}
