// Written by gen_balance_fixtures.py.
// RUN: moe-interpret %s --inputs=%S/Inputs/balance-t37.safetensors --expect=%S/Inputs/balance-t37-expected.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/balance-t1.safetensors --expect=%S/Inputs/balance-t1-expected.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/balance-t0.safetensors --expect=%S/Inputs/balance-t0-expected.safetensors --tolerance=1e-12

func.func @balance(
    %logits: tensor<?x8xf32> {moe.name = "logits", moe.dims = ["T"]},
    %probabilities: tensor<?x8xf32> {moe.name = "probabilities", moe.dims = ["T"]},
    %scores: tensor<?x8xf32> {moe.name = "scores", moe.dims = ["T"]},
    %top: tensor<?x3xi32> {moe.name = "top", moe.dims = ["T"]},
    %any: tensor<?x3xi32> {moe.name = "any", moe.dims = ["T"]},
    %weights: tensor<?x3xf32> {moe.name = "weights", moe.dims = ["T"]},
    %bias: tensor<8xf32> {moe.name = "bias"},
    %similarity: tensor<5x8xf32> {moe.name = "similarity"},
    %active: tensor<8xf32> {moe.name = "active"},
    %window_even: tensor<8xi32> {moe.name = "window.even"},
    %window_dominated: tensor<8xi32> {moe.name = "window.dominated"},
    %window_narrow: tensor<8xi32> {moe.name = "window.narrow"},
    %window_empty: tensor<8xi32> {moe.name = "window.empty"})
    -> (tensor<f32> {moe.name = "0.switch_loss"}, tensor<f32> {moe.name = "1.switch_loss"}, tensor<f32> {moe.name = "2.switch_loss"}, tensor<f32> {moe.name = "3.switch_loss"}, tensor<f32> {moe.name = "4.switch_loss"}, tensor<f32> {moe.name = "5.switch_loss"}, tensor<f32> {moe.name = "6.switch_loss"}, tensor<f32> {moe.name = "7.score_entropy"}, tensor<f32> {moe.name = "8.z_loss"}, tensor<f32> {moe.name = "9.sequence_loss"}, tensor<f32> {moe.name = "10.sequence_loss"}, tensor<f32> {moe.name = "11.dynmoe_load_loss"}, tensor<f32> {moe.name = "12.dynmoe_load_loss"}, tensor<f32> {moe.name = "13.dynmoe_loss"}, tensor<f32> {moe.name = "14.dynmoe_loss"}, tensor<8xf32> {moe.name = "15.bias_update"}, tensor<8xf32> {moe.name = "16.bias_update"}, tensor<8xf32> {moe.name = "17.bias_update"}, tensor<8xi32> {moe.name = "18.expert_counts"}, tensor<i32> {moe.name = "19.collapse"}, tensor<i32> {moe.name = "20.collapse"}, tensor<f32> {moe.name = "21.normalized_entropy"}, tensor<f32> {moe.name = "22.effective_experts"}, tensor<f32> {moe.name = "23.max_over_mean"}, tensor<f32> {moe.name = "24.max_violation"}, tensor<f32> {moe.name = "25.coefficient_of_variation"}, tensor<i32> {moe.name = "26.dead_experts"}, tensor<f32> {moe.name = "27.gini"}, tensor<f32> {moe.name = "28.normalized_entropy"}, tensor<f32> {moe.name = "29.effective_experts"}, tensor<f32> {moe.name = "30.max_over_mean"}, tensor<f32> {moe.name = "31.max_violation"}, tensor<f32> {moe.name = "32.coefficient_of_variation"}, tensor<i32> {moe.name = "33.dead_experts"}, tensor<f32> {moe.name = "34.gini"}, tensor<f32> {moe.name = "35.normalized_entropy"}, tensor<f32> {moe.name = "36.effective_experts"}, tensor<f32> {moe.name = "37.max_over_mean"}, tensor<f32> {moe.name = "38.max_violation"}, tensor<f32> {moe.name = "39.coefficient_of_variation"}, tensor<i32> {moe.name = "40.dead_experts"}, tensor<f32> {moe.name = "41.gini"}, tensor<i32> {moe.name = "42.collapse"}, tensor<i32> {moe.name = "43.collapse"}, tensor<f32> {moe.name = "44.normalized_entropy"}, tensor<f32> {moe.name = "45.effective_experts"}, tensor<f32> {moe.name = "46.max_over_mean"}, tensor<f32> {moe.name = "47.max_violation"}, tensor<f32> {moe.name = "48.coefficient_of_variation"}, tensor<i32> {moe.name = "49.dead_experts"}, tensor<f32> {moe.name = "50.gini"}, tensor<i32> {moe.name = "51.collapse"}, tensor<i32> {moe.name = "52.collapse"}, tensor<f32> {moe.name = "53.normalized_entropy"}, tensor<f32> {moe.name = "54.effective_experts"}, tensor<f32> {moe.name = "55.max_over_mean"}, tensor<f32> {moe.name = "56.max_violation"}, tensor<f32> {moe.name = "57.coefficient_of_variation"}, tensor<i32> {moe.name = "58.dead_experts"}, tensor<f32> {moe.name = "59.gini"}, tensor<i32> {moe.name = "60.collapse"}, tensor<i32> {moe.name = "61.collapse"}, tensor<f32> {moe.name = "62.normalized_entropy"}, tensor<f32> {moe.name = "63.effective_experts"}, tensor<f32> {moe.name = "64.max_over_mean"}, tensor<f32> {moe.name = "65.max_violation"}, tensor<f32> {moe.name = "66.coefficient_of_variation"}, tensor<i32> {moe.name = "67.dead_experts"}, tensor<f32> {moe.name = "68.gini"}, tensor<i32> {moe.name = "69.collapse"}, tensor<i32> {moe.name = "70.collapse"}, tensor<i32> {moe.name = "71.collapse"}) {
  %r_top = moe.routing.make %top, %weights : tensor<?x3xi32>, tensor<?x3xf32> -> !moe.routing<8 x 3>
  %r_any = moe.routing.make %any, %weights : tensor<?x3xi32>, tensor<?x3xf32> -> !moe.routing<8 x 3>
  %v0, %v1, %v2, %v3, %v4, %v7 = moe.balance %r_top
      [#moe.switch_loss,
       #moe.switch_loss<first>,
       #moe.switch_loss<k = 1>,
       #moe.switch_loss<length = 16>,
       #moe.switch_loss<first, length = 16>,
       #moe.score_entropy]
      scores(%probabilities : tensor<?x8xf32>)
      : !moe.routing<8 x 3> -> tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>
  %v5, %v6 = moe.balance %r_any
      [#moe.switch_loss<k = 1>,
       #moe.switch_loss<k = 2, length = 16>]
      scores(%probabilities : tensor<?x8xf32>)
      : !moe.routing<8 x 3> -> tensor<f32>, tensor<f32>
  %v8 = moe.balance %r_top
      [#moe.z_loss]
      logits(%logits : tensor<?x8xf32>)
      : !moe.routing<8 x 3> -> tensor<f32>
  %v9, %v10 = moe.balance %r_any
      [#moe.sequence_loss,
       #moe.sequence_loss<alpha = 0.5, k = 2, length = 16>]
      scores(%scores : tensor<?x8xf32>)
      : !moe.routing<8 x 3> -> tensor<f32>, tensor<f32>
  %v11, %v18, %v28, %v29, %v30, %v31, %v32, %v33, %v34 = moe.balance %r_any
      [#moe.dynmoe_load_loss,
       #moe.expert_counts,
       #moe.normalized_entropy,
       #moe.effective_experts,
       #moe.max_over_mean,
       #moe.max_violation,
       #moe.coefficient_of_variation,
       #moe.dead_experts,
       #moe.gini]
     
      : !moe.routing<8 x 3> -> tensor<f32>, tensor<8xi32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<i32>, tensor<f32>
  %v12, %v19, %v20, %v21, %v22, %v23, %v24, %v25, %v26, %v27 = moe.balance %r_top
      [#moe.dynmoe_load_loss,
       #moe.collapse,
       #moe.collapse<assignments = 1>,
       #moe.normalized_entropy,
       #moe.effective_experts,
       #moe.max_over_mean,
       #moe.max_violation,
       #moe.coefficient_of_variation,
       #moe.dead_experts,
       #moe.gini]
     
      : !moe.routing<8 x 3> -> tensor<f32>, tensor<i32>, tensor<i32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<i32>, tensor<f32>
  %v13 = moe.balance %r_any
      [#moe.dynmoe_loss]
      similarity(%similarity : tensor<5x8xf32>)
      : !moe.routing<8 x 3> -> tensor<f32>
  %v14 = moe.balance %r_any
      [#moe.dynmoe_loss]
      similarity(%similarity : tensor<5x8xf32>) active(%active : tensor<8xf32>)
      : !moe.routing<8 x 3> -> tensor<f32>
  %v15, %v16 = moe.balance %r_any
      [#moe.bias_update,
       #moe.bias_update<gamma = 0.25>]
      bias(%bias : tensor<8xf32>)
      : !moe.routing<8 x 3> -> tensor<8xf32>, tensor<8xf32>
  %v17 = moe.balance %r_any
      [#moe.bias_update<gamma = 0.25>]
      bias(%bias : tensor<8xf32>) counts(%window_even : tensor<8xi32>)
      : !moe.routing<8 x 3> -> tensor<8xf32>
  %v35, %v36, %v37, %v38, %v39, %v40, %v41, %v42, %v43 = moe.balance %r_any
      [#moe.normalized_entropy,
       #moe.effective_experts,
       #moe.max_over_mean,
       #moe.max_violation,
       #moe.coefficient_of_variation,
       #moe.dead_experts,
       #moe.gini,
       #moe.collapse<k = 1>,
       #moe.collapse<k = 2>]
      counts(%window_even : tensor<8xi32>)
      : !moe.routing<8 x 3> -> tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<i32>, tensor<f32>, tensor<i32>, tensor<i32>
  %v44, %v45, %v46, %v47, %v48, %v49, %v50, %v51, %v52, %v71 = moe.balance %r_any
      [#moe.normalized_entropy,
       #moe.effective_experts,
       #moe.max_over_mean,
       #moe.max_violation,
       #moe.coefficient_of_variation,
       #moe.dead_experts,
       #moe.gini,
       #moe.collapse<k = 1>,
       #moe.collapse<k = 2>,
       #moe.collapse<k = 2, spread = 0.0, share = 0.6, ratio = 2>]
      counts(%window_dominated : tensor<8xi32>)
      : !moe.routing<8 x 3> -> tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<i32>, tensor<f32>, tensor<i32>, tensor<i32>, tensor<i32>
  %v53, %v54, %v55, %v56, %v57, %v58, %v59, %v60, %v61 = moe.balance %r_any
      [#moe.normalized_entropy,
       #moe.effective_experts,
       #moe.max_over_mean,
       #moe.max_violation,
       #moe.coefficient_of_variation,
       #moe.dead_experts,
       #moe.gini,
       #moe.collapse<k = 1>,
       #moe.collapse<k = 2>]
      counts(%window_narrow : tensor<8xi32>)
      : !moe.routing<8 x 3> -> tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<i32>, tensor<f32>, tensor<i32>, tensor<i32>
  %v62, %v63, %v64, %v65, %v66, %v67, %v68, %v69, %v70 = moe.balance %r_any
      [#moe.normalized_entropy,
       #moe.effective_experts,
       #moe.max_over_mean,
       #moe.max_violation,
       #moe.coefficient_of_variation,
       #moe.dead_experts,
       #moe.gini,
       #moe.collapse<k = 1>,
       #moe.collapse<k = 2>]
      counts(%window_empty : tensor<8xi32>)
      : !moe.routing<8 x 3> -> tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<i32>, tensor<f32>, tensor<i32>, tensor<i32>
  return %v0, %v1, %v2, %v3, %v4, %v5, %v6, %v7, %v8, %v9, %v10, %v11, %v12, %v13, %v14, %v15, %v16, %v17, %v18, %v19, %v20, %v21, %v22, %v23, %v24, %v25, %v26, %v27, %v28, %v29, %v30, %v31, %v32, %v33, %v34, %v35, %v36, %v37, %v38, %v39, %v40, %v41, %v42, %v43, %v44, %v45, %v46, %v47, %v48, %v49, %v50, %v51, %v52, %v53, %v54, %v55, %v56, %v57, %v58, %v59, %v60, %v61, %v62, %v63, %v64, %v65, %v66, %v67, %v68, %v69, %v70, %v71 : tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xi32>, tensor<i32>, tensor<i32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<i32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<i32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<i32>, tensor<f32>, tensor<i32>, tensor<i32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<i32>, tensor<f32>, tensor<i32>, tensor<i32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<i32>, tensor<f32>, tensor<i32>, tensor<i32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<i32>, tensor<f32>, tensor<i32>, tensor<i32>, tensor<i32>
}
