// DBRX, Granite and Jamba.

// RUN: rm -rf %t && split-file %s %t
// RUN: moe-import %examples/models/DBRX.json | FileCheck %s --check-prefix=DBRX
// RUN: moe-import %t/dbrx.json | FileCheck %s --check-prefix=PLAIN
// RUN: moe-import %examples/models/Granite-3.0-3B-A800M.json | FileCheck %s --check-prefix=GRANITE
// RUN: moe-import %t/granite.json | FileCheck %s --check-prefix=SHARED
// RUN: moe-import --layers=all %examples/models/Jamba-v0.1.json | FileCheck %s --check-prefix=JAMBA

// DBRX: func.func @layer_0({{.+}}%experts_up_proj: tensor<16x10752x6144xf32>
// DBRX:   %[[P:.+]] = linalg.softmax
// DBRX:   moe.router #moe.top_k<4> select(%[[P]]) weigh(%[[P]]) weighing [#moe.normalize<p_norm, p = 1.0>]

// PLAIN: moe.router #moe.top_k<1> select(%[[P:.+]]) weigh(%[[P]]) : tensor<?x4xf32>
// PLAIN: activation(#moe.gelu)

// GRANITE: %[[Z:.+]] = linalg.matmul
// GRANITE: moe.router #moe.top_k<8> select(%[[Z]]) weigh(%[[Z]]) weighing [#moe.softmax] : tensor<?x40xf32>
// GRANITE-NOT: init(

// SHARED: func.func @layer_0({{.+}}%shared_up_proj: tensor<6x8xf32>
// SHARED: moe.combine {{.+}} init(

// JAMBA-NOT: func.func @layer_0(
// JAMBA: func.func @layer_1(
// JAMBA:   %[[P:.+]] = linalg.softmax
// JAMBA:   moe.router #moe.top_k<2> select(%[[P]]) weigh(%[[P]]) : tensor<?x16xf32>
// JAMBA: func.func @layer_3(

//--- dbrx.json
{"model_type": "dbrx", "n_layers": 1, "d_model": 8, "ffn_config":
 {"ffn_hidden_size": 4, "moe_num_experts": 4, "moe_top_k": 1,
  "moe_normalize_expert_weights": null, "ffn_act_fn": {"name": "gelu"}}}
//--- granite.json
{"model_type": "granitemoeshared", "num_hidden_layers": 1, "hidden_size": 8,
 "intermediate_size": 4, "num_local_experts": 4, "num_experts_per_tok": 2,
 "shared_intermediate_size": 6}
