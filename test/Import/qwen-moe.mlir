// Qwen: softmax over all experts, normalised over the chosen ones by
// norm_topk_prob; which layers have experts; the shared expert's sigmoid gate.

// RUN: rm -rf %t && split-file %s %t
// RUN: moe-import --layers=3 --weights-type=bf16 %examples/models/Qwen3-30B-A3B.json | FileCheck %s --check-prefix=QWEN3
// RUN: moe-import %examples/models/Qwen1.5-MoE-A2.7B.json | FileCheck %s --check-prefix=QWEN2
// RUN: moe-import %examples/models/Qwen3-Next-80B-A3B.json | FileCheck %s --check-prefix=NEXT
// RUN: moe-import --layers=all %t/sparse.json | FileCheck %s --check-prefix=SPARSE
// RUN: moe-import --layers=all %examples/models/Qwen3-235B-A22B.json | grep -c func.func | FileCheck %s --check-prefix=ALL
// RUN: moe-import --layers=all %examples/models/Qwen3-235B-A22B.json | moe-opt --verify-roundtrip -o /dev/null

// The router's weight stays f32 whatever the type of the experts' weights.
// QWEN3:      func.func @layer_3(%x: tensor<?x2048xf32>
// QWEN3-SAME:   %router_weight: tensor<128x2048xf32>
// QWEN3-SAME:   %experts_gate_proj: tensor<128x768x2048xbf16>
// QWEN3-SAME:   %experts_up_proj: tensor<128x768x2048xbf16>
// QWEN3-SAME:   %experts_down_proj: tensor<128x2048x768xbf16>
// QWEN3-SAME:   moe.layer = 3 : i64, moe.model = "Qwen3-30B-A3B"
// QWEN3:        %[[Z:.+]] = linalg.matmul
// QWEN3:        %[[P:.+]] = linalg.softmax dimension(1) ins(%[[Z]] :
// QWEN3:        moe.router #moe.top_k<8> select(%[[P]]) weigh(%[[P]]) weighing [#moe.normalize<sum, eps = 0.0>]
// QWEN3-NOT:    moe.ffn %x
// QWEN3:        moe.combine %{{.+}} by %{{.+}} : tensor<?x2048xf32>, !moe.routing<128 x 8>

// QWEN2:      func.func @layer_0({{.+}}%shared_gate_proj: tensor<5632x2048xf32> {moe.name = "shared.gate_proj"}
// QWEN2-SAME:   %shared_down_proj: tensor<2048x5632xf32> {moe.name = "shared.down_proj"}
// QWEN2-SAME:   %shared_gate: tensor<1x2048xf32> {moe.name = "shared.gate"}
// QWEN2:        %[[P:.+]] = linalg.softmax
// QWEN2:        moe.router #moe.top_k<4> select(%[[P]]) weigh(%[[P]]) : tensor<?x60xf32>
// QWEN2:        %[[F:.+]] = moe.ffn %x gate(%shared_gate_proj) up(%shared_up_proj) down(%shared_down_proj)
// QWEN2:        %[[G:.+]] = linalg.matmul {{.+}} ins(%x, %shared_gate : tensor<?x2048xf32>, tensor<1x2048xf32>)
// QWEN2:        %[[S:.+]] = linalg.generic {{.+}} ins(%[[G]] : tensor<?x1xf32>)
// QWEN2:          arith.negf
// QWEN2-NEXT:     math.exp
// QWEN2-NEXT:     arith.addf
// QWEN2-NEXT:     arith.divf
// QWEN2:        %[[GATED:.+]] = linalg.generic {{.+}} ins(%[[F]], %[[S]] : tensor<?x2048xf32>, tensor<?x1xf32>)
// QWEN2:          arith.mulf
// QWEN2:        moe.combine %{{.+}} by %{{.+}} init(%[[GATED]] : tensor<?x2048xf32>)

// NEXT:       moe.router #moe.top_k<10> {{.+}} weighing [#moe.normalize<sum, eps = 0.0>] : tensor<?x512xf32>
// NEXT:       moe.combine {{.+}} init(

// Every second layer, but not layer 3.
// SPARSE-NOT:   func.func
// SPARSE:       func.func @layer_1(
// SPARSE:         linalg.softmax
// SPARSE:         select(%[[P:.+]]) weigh(%[[P]]) : tensor<?x4xf32>
// SPARSE:         activation(#moe.gelu_tanh)
// SPARSE-NOT:   func.func
// SPARSE:       func.func @layer_5(
// SPARSE-NOT:   func.func

// ALL: 94

//--- sparse.json
{"model_type": "qwen3_moe", "hidden_act": "gelu_pytorch_tanh",
 "num_hidden_layers": 6, "hidden_size": 8, "moe_intermediate_size": 4,
 "num_experts": 4, "num_experts_per_tok": 2, "norm_topk_prob": false,
 "decoder_sparse_step": 2, "mlp_only_layers": [3]}
