// Each mistake in a configuration gets one line that names the file and the
// key; nothing is printed or written.

// RUN: rm -rf %t && split-file %s %t

// RUN: not moe-import %t/absent.json 2>&1 | FileCheck %s --check-prefix=ABSENT
// ABSENT: moe-import: error: {{.*}}absent.json: No such file or directory
// RUN: not moe-import %t 2>&1 | FileCheck %s --check-prefix=FOLDER
// FOLDER: moe-import: error: {{.*}}: has no .safetensors file

// RUN: not moe-import %t/truncated.json 2>&1 | FileCheck %s --check-prefix=TRUNCATED
// TRUNCATED: moe-import: error: {{.*}}truncated.json: not valid JSON: [3:0, {{.*}}

// RUN: not moe-import %t/array.json 2>&1 | FileCheck %s --check-prefix=ARRAY
// ARRAY: moe-import: error: {{.*}}array.json: not a model configuration: the file must hold a JSON object with the key 'model_type'{{$}}

// RUN: %python -c "print('[' * 1000000)" > %t/deep.json
// RUN: not moe-import %t/deep.json 2>&1 | FileCheck %s --check-prefix=DEEP
// DEEP: moe-import: error: {{.*}}deep.json: not a model configuration: nested too deeply

// RUN: not moe-import %t/untyped.json 2>&1 | FileCheck %s --check-prefix=UNTYPED
// UNTYPED: moe-import: error: {{.*}}untyped.json: key 'model_type' is missing; moe-import --list-models lists the {{[1-9][0-9]+}} model types that are, and --family=FILE.yaml adds one{{$}}

// RUN: not moe-import %t/unknown.json -o %t/unknown.mlir 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: not ls %t/unknown.mlir
// UNKNOWN: moe-import: error: {{.*}}unknown.json: key 'model_type' is 'bert', which is not supported; moe-import --list-models lists the {{[1-9][0-9]+}} model types that are, {{.*}}

// RUN: not moe-import %t/missing.json 2>/dev/null | FileCheck %s --check-prefix=SILENT --allow-empty
// SILENT-NOT: {{.}}
// RUN: not moe-import %t/missing.json 2>&1 | FileCheck %s --check-prefix=MISSING
// MISSING: moe-import: error: {{.*}}missing.json: key 'num_experts_per_tok' is missing (model_type 'deepseek_v2'){{$}}

// RUN: not moe-import %t/nested.json 2>&1 | FileCheck %s --check-prefix=NESTED
// NESTED: moe-import: error: {{.*}}nested.json: key 'text_config.num_local_experts' must be an integer from 1 to 1048576, but is "4" (model_type 'llama4'){{$}}
// RUN: not moe-import %t/nestedtype.json 2>&1 | FileCheck %s --check-prefix=NESTEDTYPE
// NESTEDTYPE: moe-import: error: {{.*}}nestedtype.json: key 'text_config' must be an object, but is [] (model_type 'llama4'){{.*}}

// RUN: not moe-import %t/string.json 2>&1 | FileCheck %s --check-prefix=STRING
// STRING: key 'hidden_size' must be an integer from 1 to 1048576, but is "4096"
// RUN: not moe-import %t/fraction.json 2>&1 | FileCheck %s --check-prefix=FRACTION
// FRACTION: key 'hidden_size' must be an integer from 1 to 1048576, but is 40.5
// RUN: not moe-import %t/zero.json 2>&1 | FileCheck %s --check-prefix=ZERO
// ZERO: key 'num_local_experts' must be an integer from 1 to 1048576, but is 0
// RUN: not moe-import %t/negative.json 2>&1 | FileCheck %s --check-prefix=NEGATIVE
// NEGATIVE: key 'hidden_size' must be an integer from 1 to 1048576, but is -1
// RUN: not moe-import %t/huge.json 2>&1 | FileCheck %s --check-prefix=HUGE
// HUGE: key 'num_hidden_layers' must be an integer from 1 to 1048576, but is 9223372036854775807
// RUN: not moe-import %t/flag.json 2>&1 | FileCheck %s --check-prefix=FLAG
// FLAG: key 'norm_topk_prob' must be true or false, but is 1
// RUN: not moe-import %t/list.json 2>&1 | FileCheck %s --check-prefix=LIST
// LIST: key 'mlp_only_layers' must be a list of integers, but is [0,"1"]
// RUN: not moe-import %t/act.json 2>&1 | FileCheck %s --check-prefix=ACT
// ACT: key 'hidden_act' names the unknown activation 'mish' (known are silu, swish, gelu, {{.*}})
// RUN: not moe-import %t/slots.json 2>&1 | FileCheck %s --check-prefix=SLOTS
// SLOTS: key 'num_experts_per_tok' is 9, more than the 8 experts of 'num_local_experts'
// RUN: not moe-import %t/groups.json 2>&1 | FileCheck %s --check-prefix=GROUPS
// GROUPS: key 'n_group' does not fit: 16 experts cannot be split evenly into 3 groups
// RUN: not moe-import %t/reach.json 2>&1 | FileCheck %s --check-prefix=REACH
// REACH: key 'n_group' does not fit: the 1 kept of 4 groups hold 4 experts, but 6 are chosen per token
// RUN: not moe-import %t/kept.json 2>&1 | FileCheck %s --check-prefix=KEPT
// KEPT: key 'topk_group' is more than the 4 groups of 'n_group'
// RUN: not moe-import %t/single.json 2>&1 | FileCheck %s --check-prefix=SINGLE
// SINGLE: key 'n_group' leaves fewer than two experts a group
// RUN: not moe-import %t/scoring.json 2>&1 | FileCheck %s --check-prefix=SCORING
// SCORING: key 'scoring_func' is "softmax"; this model type supports "sigmoid"
// RUN: not moe-import %t/scaling.json 2>&1 | FileCheck %s --check-prefix=SCALING
// SCALING: key 'routed_scaling_factor' must be a number that f32 holds, but is 1e+300
// RUN: not moe-import %t/dense.json 2>&1 | FileCheck %s --check-prefix=DENSE
// DENSE: error: {{.*}}dense.json: none of its 2 layers is a MoE layer

// Options that do not fit the model.

// RUN: not moe-import --layers=2 %examples/models/DeepSeek-V3.json 2>&1 | FileCheck %s --check-prefix=LAYER
// LAYER: error: {{.*}}DeepSeek-V3.json: layer 2 is dense; the MoE layers are 3-60
// RUN: not moe-import --layers=0-3 %examples/models/DeepSeek-V3.json 2>&1 | FileCheck %s --check-prefix=RANGE
// RANGE: error: {{.*}}DeepSeek-V3.json: layer 0 is dense; the MoE layers are 3-60
// RUN: not moe-import --layers=4 %examples/models/Llama-4-Maverick-17B-128E.json 2>&1 | FileCheck %s --check-prefix=ODD
// ODD: layer 4 is dense; the MoE layers are 1, 3, 5, 7, 9, 11, ..., 47
// RUN: not moe-import --layers=61 %examples/models/DeepSeek-V3.json 2>&1 | FileCheck %s --check-prefix=BEYOND
// BEYOND: there is no layer 61: the model has layers 0-60, of which MoE: 3-60
// RUN: not moe-import --layers=50-70 %examples/models/DeepSeek-V3.json 2>&1 | FileCheck %s --check-prefix=BEYOND
// RUN: not moe-import --layers=7-3 %examples/models/DeepSeek-V3.json 2>&1 | FileCheck %s --check-prefix=SYNTAX -DTEXT=7-3
// RUN: not moe-import --layers=-1 %examples/models/DeepSeek-V3.json 2>&1 | FileCheck %s --check-prefix=SYNTAX -DTEXT=-1
// RUN: not moe-import --layers=3- %examples/models/DeepSeek-V3.json 2>&1 | FileCheck %s --check-prefix=SYNTAX -DTEXT=3-
// RUN: not moe-import --layers=some %examples/models/DeepSeek-V3.json 2>&1 | FileCheck %s --check-prefix=SYNTAX -DTEXT=some
// SYNTAX: --layers=[[TEXT]] is neither a layer (3), a range (0-7) nor 'all'
// RUN: not moe-import --weights-type=f8 %examples/models/Mixtral-8x7B.json 2>&1 | FileCheck %s --check-prefix=WEIGHTS
// WEIGHTS: --weights-type: unknown value 'f8'; known are f32, bf16, {{.*}}q4_0
// RUN: not moe-import --tokens=0 %examples/models/Mixtral-8x7B.json 2>&1 | FileCheck %s --check-prefix=TOKENS
// TOKENS: --tokens needs a number of at least 1
// RUN: not moe-import --experts=9 %examples/models/Mixtral-8x7B.json 2>&1 | FileCheck %s --check-prefix=EXPERTS
// EXPERTS: --experts=9 is not between 1 and 8, the experts of this model
// RUN: not moe-import --experts=1 %examples/models/Mixtral-8x7B.json 2>&1 | FileCheck %s --check-prefix=FEW
// FEW: --experts=1 is less than the 2 experts chosen per token
// RUN: not moe-import --experts=12 %examples/models/DeepSeek-V3.json 2>&1 | FileCheck %s --check-prefix=GROUPSIZE
// GROUPSIZE: --experts=12 does not fit the model's groups of 32 experts; use a multiple of 32
// RUN: not moe-import %examples/models/Mixtral-8x7B.json -o %t/no/such/folder.mlir 2>&1 | FileCheck %s --check-prefix=OUTPUT
// OUTPUT: moe-import: error: {{.*}}folder.mlir: cannot write: No such file

//--- truncated.json
{"model_type": "mixtral",
 "hidden_size":
//--- array.json
["mixtral"]
//--- untyped.json
{"hidden_size": 4096}
//--- unknown.json
{"model_type": "bert", "hidden_size": 768}
//--- missing.json
{"model_type": "deepseek_v2", "num_hidden_layers": 32, "hidden_size": 64,
 "moe_intermediate_size": 64, "n_routed_experts": 8}
//--- nested.json
{"model_type": "llama4", "text_config":
 {"num_hidden_layers": 2, "hidden_size": 8, "intermediate_size": 8,
  "num_experts_per_tok": 1, "num_local_experts": "4"}}
//--- nestedtype.json
{"model_type": "llama4", "text_config": []}
//--- string.json
{"model_type": "mixtral", "num_hidden_layers": 32, "hidden_size": "4096",
 "intermediate_size": 64, "num_local_experts": 8, "num_experts_per_tok": 2}
//--- fraction.json
{"model_type": "mixtral", "num_hidden_layers": 32, "hidden_size": 40.5,
 "intermediate_size": 64, "num_local_experts": 8, "num_experts_per_tok": 2}
//--- zero.json
{"model_type": "mixtral", "num_hidden_layers": 32, "hidden_size": 32,
 "intermediate_size": 64, "num_local_experts": 0, "num_experts_per_tok": 2}
//--- negative.json
{"model_type": "mixtral", "num_hidden_layers": 32, "hidden_size": -1,
 "intermediate_size": 64, "num_local_experts": 8, "num_experts_per_tok": 2}
//--- huge.json
{"model_type": "mixtral", "num_hidden_layers": 9223372036854775807,
 "hidden_size": 32, "intermediate_size": 64, "num_local_experts": 8,
 "num_experts_per_tok": 2}
//--- flag.json
{"model_type": "qwen3_moe", "num_hidden_layers": 2, "hidden_size": 32,
 "moe_intermediate_size": 64, "num_experts": 8, "num_experts_per_tok": 2,
 "norm_topk_prob": 1}
//--- list.json
{"model_type": "qwen3_moe", "num_hidden_layers": 2, "hidden_size": 32,
 "moe_intermediate_size": 64, "num_experts": 8, "num_experts_per_tok": 2,
 "mlp_only_layers": [0, "1"]}
//--- act.json
{"model_type": "mixtral", "num_hidden_layers": 32, "hidden_size": 32,
 "intermediate_size": 64, "num_local_experts": 8, "num_experts_per_tok": 2,
 "hidden_act": "mish"}
//--- slots.json
{"model_type": "mixtral", "num_hidden_layers": 32, "hidden_size": 32,
 "intermediate_size": 64, "num_local_experts": 8, "num_experts_per_tok": 9}
//--- groups.json
{"model_type": "deepseek_v3", "num_hidden_layers": 4, "hidden_size": 32,
 "moe_intermediate_size": 64, "n_routed_experts": 16, "num_experts_per_tok": 2,
 "first_k_dense_replace": 0, "n_group": 3, "topk_group": 1}
//--- reach.json
{"model_type": "deepseek_v3", "num_hidden_layers": 4, "hidden_size": 32,
 "moe_intermediate_size": 64, "n_routed_experts": 16, "num_experts_per_tok": 6,
 "first_k_dense_replace": 0, "n_group": 4, "topk_group": 1}
//--- kept.json
{"model_type": "deepseek_v3", "num_hidden_layers": 4, "hidden_size": 32,
 "moe_intermediate_size": 64, "n_routed_experts": 16, "num_experts_per_tok": 2,
 "first_k_dense_replace": 0, "n_group": 4, "topk_group": 5}
//--- single.json
{"model_type": "deepseek_v3", "num_hidden_layers": 4, "hidden_size": 32,
 "moe_intermediate_size": 64, "n_routed_experts": 4, "num_experts_per_tok": 2,
 "first_k_dense_replace": 0, "n_group": 4, "topk_group": 2}
//--- scoring.json
{"model_type": "deepseek_v3", "num_hidden_layers": 4, "hidden_size": 32,
 "moe_intermediate_size": 64, "n_routed_experts": 16, "num_experts_per_tok": 2,
 "first_k_dense_replace": 0, "scoring_func": "softmax"}
//--- scaling.json
{"model_type": "deepseek_v3", "num_hidden_layers": 4, "hidden_size": 32,
 "moe_intermediate_size": 64, "n_routed_experts": 16, "num_experts_per_tok": 2,
 "first_k_dense_replace": 0, "routed_scaling_factor": 1e300}
//--- dense.json
{"model_type": "qwen3_moe", "num_hidden_layers": 2, "hidden_size": 32,
 "moe_intermediate_size": 64, "num_experts": 8, "num_experts_per_tok": 2,
 "mlp_only_layers": [0, 1]}
