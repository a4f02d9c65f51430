"builtin.module"() <{sym_name = "IrToHlo.219"}> ({
  "func.func"() <{function_type = (tensor<32x24xf32>, tensor<24x32xf32>, tensor<1x6x32xf32>, tensor<24x32xf32>, tensor<16xf32>, tensor<16x32xf32>, tensor<16x48x32xf32>, tensor<16x32x24xf32>) -> tensor<1x6x32xf32>, sym_name = "main"}> ({
  ^bb0(%arg0: tensor<32x24xf32>, %arg1: tensor<24x32xf32>, %arg2: tensor<1x6x32xf32>, %arg3: tensor<24x32xf32>, %arg4: tensor<16xf32>, %arg5: tensor<16x32xf32>, %arg6: tensor<16x48x32xf32>, %arg7: tensor<16x32x24xf32>):
    %0 = "stablehlo.constant"() <{value = dense<2.500000e+00> : tensor<6x3xf32>}> : () -> tensor<6x3xf32>
    %1 = "stablehlo.constant"() <{value = dense<9.99999968E-21> : tensor<6x1xf32>}> : () -> tensor<6x1xf32>
    %2 = "stablehlo.constant"() <{value = dense<16> : tensor<18xi64>}> : () -> tensor<18xi64>
    %3 = "stablehlo.constant"() <{value = dense<0> : tensor<18xi64>}> : () -> tensor<18xi64>
    %4 = "stablehlo.constant"() <{value = dense<0xFF800000> : tensor<6x16xf32>}> : () -> tensor<6x16xf32>
    %5 = "stablehlo.constant"() <{value = dense<1.000000e+00> : tensor<6x2xf32>}> : () -> tensor<6x2xf32>
    %6 = "stablehlo.constant"() <{value = dense<0.000000e+00> : tensor<6x4xf32>}> : () -> tensor<6x4xf32>
    %7 = "stablehlo.constant"() <{value = dense<0.000000e+00> : tensor<6x16xf32>}> : () -> tensor<6x16xf32>
    %8 = "stablehlo.constant"() <{value = dense<0.000000e+00> : tensor<f32>}> : () -> tensor<f32>
    %9 = "stablehlo.reshape"(%arg2) : (tensor<1x6x32xf32>) -> tensor<6x32xf32>
    %10 = "stablehlo.transpose"(%arg5) <{permutation = array<i64: 1, 0>}> {result_layout = dense<[0, 1]> : tensor<2xindex>, xla_shape = "f32[32,16]{0,1}"} : (tensor<16x32xf32>) -> tensor<32x16xf32>
    %11 = "stablehlo.dot_general"(%9, %10) <{dot_dimension_numbers = #stablehlo.dot<lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [0]>, precision_config = [#stablehlo<precision DEFAULT>, #stablehlo<precision DEFAULT>]}> : (tensor<6x32xf32>, tensor<32x16xf32>) -> tensor<6x16xf32>
    %12 = "stablehlo.logistic"(%11) : (tensor<6x16xf32>) -> tensor<6x16xf32>
    %13 = "stablehlo.broadcast_in_dim"(%arg4) <{broadcast_dimensions = array<i64: 1>}> : (tensor<16xf32>) -> tensor<6x16xf32>
    %14 = "stablehlo.add"(%12, %13) : (tensor<6x16xf32>, tensor<6x16xf32>) -> tensor<6x16xf32>
    %15 = "stablehlo.reshape"(%14) : (tensor<6x16xf32>) -> tensor<6x4x4xf32>
    %16 = "stablehlo.sort"(%15) <{dimension = 2 : i64, is_stable = false}> ({
    ^bb0(%arg24: tensor<f32>, %arg25: tensor<f32>):
      %95 = "stablehlo.compare"(%arg24, %arg25) <{compare_type = #stablehlo<comparison_type TOTALORDER>, comparison_direction = #stablehlo<comparison_direction GT>}> : (tensor<f32>, tensor<f32>) -> tensor<i1>
      "stablehlo.return"(%95) : (tensor<i1>) -> ()
    }) : (tensor<6x4x4xf32>) -> tensor<6x4x4xf32>
    %17 = "stablehlo.slice"(%16) <{limit_indices = array<i64: 6, 4, 2>, start_indices = array<i64: 0, 0, 0>, strides = array<i64: 1, 1, 1>}> : (tensor<6x4x4xf32>) -> tensor<6x4x2xf32>
    %18 = "stablehlo.reduce"(%17, %8) <{dimensions = array<i64: 2>}> ({
    ^bb0(%arg22: tensor<f32>, %arg23: tensor<f32>):
      %94 = "stablehlo.add"(%arg22, %arg23) : (tensor<f32>, tensor<f32>) -> tensor<f32>
      "stablehlo.return"(%94) : (tensor<f32>) -> ()
    }) : (tensor<6x4x2xf32>, tensor<f32>) -> tensor<6x4xf32>
    %19 = "stablehlo.iota"() <{iota_dimension = 0 : i64}> : () -> tensor<4xi32>
    %20 = "stablehlo.broadcast_in_dim"(%19) <{broadcast_dimensions = array<i64: 1>}> : (tensor<4xi32>) -> tensor<6x4xi32>
    %21:2 = "stablehlo.sort"(%18, %20) <{dimension = 1 : i64, is_stable = false}> ({
    ^bb0(%arg18: tensor<f32>, %arg19: tensor<f32>, %arg20: tensor<i32>, %arg21: tensor<i32>):
      %93 = "stablehlo.compare"(%arg18, %arg19) <{compare_type = #stablehlo<comparison_type TOTALORDER>, comparison_direction = #stablehlo<comparison_direction GT>}> : (tensor<f32>, tensor<f32>) -> tensor<i1>
      "stablehlo.return"(%93) : (tensor<i1>) -> ()
    }) : (tensor<6x4xf32>, tensor<6x4xi32>) -> (tensor<6x4xf32>, tensor<6x4xi32>)
    %22 = "stablehlo.iota"() <{iota_dimension = 0 : i64}> : () -> tensor<6xi64>
    %23 = "stablehlo.broadcast_in_dim"(%22) <{broadcast_dimensions = array<i64: 0>}> : (tensor<6xi64>) -> tensor<6x2x1xi64>
    %24 = "stablehlo.slice"(%21#1) <{limit_indices = array<i64: 6, 2>, start_indices = array<i64: 0, 0>, strides = array<i64: 1, 1>}> : (tensor<6x4xi32>) -> tensor<6x2xi32>
    %25 = "stablehlo.convert"(%24) : (tensor<6x2xi32>) -> tensor<6x2xi64>
    %26 = "stablehlo.reshape"(%25) : (tensor<6x2xi64>) -> tensor<6x2x1xi64>
    %27 = "stablehlo.concatenate"(%23, %26) <{dimension = 2 : i64}> : (tensor<6x2x1xi64>, tensor<6x2x1xi64>) -> tensor<6x2x2xi64>
    %28 = "stablehlo.scatter"(%6, %27, %5) <{indices_are_sorted = false, scatter_dimension_numbers = #stablehlo.scatter<inserted_window_dims = [0, 1], scatter_dims_to_operand_dims = [0, 1], index_vector_dim = 2>, unique_indices = false}> ({
    ^bb0(%arg16: tensor<f32>, %arg17: tensor<f32>):
      "stablehlo.return"(%arg17) : (tensor<f32>) -> ()
    }) : (tensor<6x4xf32>, tensor<6x2x2xi64>, tensor<6x2xf32>) -> tensor<6x4xf32>
    %29 = "stablehlo.broadcast_in_dim"(%28) <{broadcast_dimensions = array<i64: 0, 1>}> : (tensor<6x4xf32>) -> tensor<6x4x4xf32>
    %30 = "stablehlo.reshape"(%29) : (tensor<6x4x4xf32>) -> tensor<6x16xf32>
    %31 = "stablehlo.compare"(%30, %7) <{comparison_direction = #stablehlo<comparison_direction NE>}> : (tensor<6x16xf32>, tensor<6x16xf32>) -> tensor<6x16xi1>
    %32 = "stablehlo.select"(%31, %14, %4) : (tensor<6x16xi1>, tensor<6x16xf32>, tensor<6x16xf32>) -> tensor<6x16xf32>
    %33 = "stablehlo.iota"() <{iota_dimension = 0 : i64}> : () -> tensor<16xi32>
    %34 = "stablehlo.broadcast_in_dim"(%33) <{broadcast_dimensions = array<i64: 1>}> : (tensor<16xi32>) -> tensor<6x16xi32>
    %35:2 = "stablehlo.sort"(%32, %34) <{dimension = 1 : i64, is_stable = false}> ({
    ^bb0(%arg12: tensor<f32>, %arg13: tensor<f32>, %arg14: tensor<i32>, %arg15: tensor<i32>):
      %92 = "stablehlo.compare"(%arg12, %arg13) <{compare_type = #stablehlo<comparison_type TOTALORDER>, comparison_direction = #stablehlo<comparison_direction GT>}> : (tensor<f32>, tensor<f32>) -> tensor<i1>
      "stablehlo.return"(%92) : (tensor<i1>) -> ()
    }) : (tensor<6x16xf32>, tensor<6x16xi32>) -> (tensor<6x16xf32>, tensor<6x16xi32>)
    %36 = "stablehlo.slice"(%35#1) <{limit_indices = array<i64: 6, 3>, start_indices = array<i64: 0, 0>, strides = array<i64: 1, 1>}> : (tensor<6x16xi32>) -> tensor<6x3xi32>
    %37 = "stablehlo.convert"(%36) : (tensor<6x3xi32>) -> tensor<6x3xi64>
    %38 = "stablehlo.reshape"(%37) : (tensor<6x3xi64>) -> tensor<18xi64>
    %39 = "stablehlo.compare"(%38, %3) <{comparison_direction = #stablehlo<comparison_direction LT>}> : (tensor<18xi64>, tensor<18xi64>) -> tensor<18xi1>
    %40 = "stablehlo.add"(%38, %2) : (tensor<18xi64>, tensor<18xi64>) -> tensor<18xi64>
    %41 = "stablehlo.select"(%39, %40, %38) : (tensor<18xi1>, tensor<18xi64>, tensor<18xi64>) -> tensor<18xi64>
    %42 = "stablehlo.reshape"(%41) : (tensor<18xi64>) -> tensor<18x1xi64>
    %43 = "stablehlo.gather"(%arg7, %42) <{dimension_numbers = #stablehlo.gather<offset_dims = [1, 2], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, indices_are_sorted = false, slice_sizes = array<i64: 1, 32, 24>}> : (tensor<16x32x24xf32>, tensor<18x1xi64>) -> tensor<18x32x24xf32>
    %44 = "stablehlo.gather"(%arg6, %42) <{dimension_numbers = #stablehlo.gather<offset_dims = [1, 2], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, indices_are_sorted = false, slice_sizes = array<i64: 1, 48, 32>}> : (tensor<16x48x32xf32>, tensor<18x1xi64>) -> tensor<18x48x32xf32>
    %45 = "stablehlo.broadcast_in_dim"(%9) <{broadcast_dimensions = array<i64: 0, 2>}> : (tensor<6x32xf32>) -> tensor<6x3x32xf32>
    %46 = "stablehlo.reshape"(%45) : (tensor<6x3x32xf32>) -> tensor<18x32x1xf32>
    %47 = "stablehlo.dot_general"(%44, %46) <{dot_dimension_numbers = #stablehlo.dot<lhs_batching_dimensions = [0], rhs_batching_dimensions = [0], lhs_contracting_dimensions = [2], rhs_contracting_dimensions = [1]>, precision_config = [#stablehlo<precision DEFAULT>, #stablehlo<precision DEFAULT>]}> : (tensor<18x48x32xf32>, tensor<18x32x1xf32>) -> tensor<18x48x1xf32>
    %48 = "stablehlo.reshape"(%47) : (tensor<18x48x1xf32>) -> tensor<18x48xf32>
    %49 = "stablehlo.slice"(%48) <{limit_indices = array<i64: 18, 24>, start_indices = array<i64: 0, 0>, strides = array<i64: 1, 1>}> : (tensor<18x48xf32>) -> tensor<18x24xf32>
    %50 = "stablehlo.logistic"(%49) : (tensor<18x24xf32>) -> tensor<18x24xf32>
    %51 = "stablehlo.multiply"(%49, %50) : (tensor<18x24xf32>, tensor<18x24xf32>) -> tensor<18x24xf32>
    %52 = "stablehlo.slice"(%48) <{limit_indices = array<i64: 18, 48>, start_indices = array<i64: 0, 24>, strides = array<i64: 1, 1>}> : (tensor<18x48xf32>) -> tensor<18x24xf32>
    %53 = "stablehlo.multiply"(%51, %52) : (tensor<18x24xf32>, tensor<18x24xf32>) -> tensor<18x24xf32>
    %54 = "stablehlo.reshape"(%53) : (tensor<18x24xf32>) -> tensor<18x24x1xf32>
    %55 = "stablehlo.dot_general"(%43, %54) <{dot_dimension_numbers = #stablehlo.dot<lhs_batching_dimensions = [0], rhs_batching_dimensions = [0], lhs_contracting_dimensions = [2], rhs_contracting_dimensions = [1]>, precision_config = [#stablehlo<precision DEFAULT>, #stablehlo<precision DEFAULT>]}> : (tensor<18x32x24xf32>, tensor<18x24x1xf32>) -> tensor<18x32x1xf32>
    %56 = "stablehlo.reshape"(%55) : (tensor<18x32x1xf32>) -> tensor<18x32xf32>
    %57 = "stablehlo.iota"() <{iota_dimension = 0 : i64}> : () -> tensor<6xui32>
    %58 = "stablehlo.broadcast_in_dim"(%57) <{broadcast_dimensions = array<i64: 0>}> : (tensor<6xui32>) -> tensor<6x3x1xui32>
    %59 = "stablehlo.convert"(%36) : (tensor<6x3xi32>) -> tensor<6x3xui32>
    %60 = "stablehlo.reshape"(%59) : (tensor<6x3xui32>) -> tensor<6x3x1xui32>
    %61 = "stablehlo.concatenate"(%58, %60) <{dimension = 2 : i64}> : (tensor<6x3x1xui32>, tensor<6x3x1xui32>) -> tensor<6x3x2xui32>
    %62 = "stablehlo.gather"(%12, %61) <{dimension_numbers = #stablehlo.gather<collapsed_slice_dims = [0, 1], start_index_map = [0, 1], index_vector_dim = 2>, indices_are_sorted = false, slice_sizes = array<i64: 1, 1>}> : (tensor<6x16xf32>, tensor<6x3x2xui32>) -> tensor<6x3xf32>
    %63 = "stablehlo.reduce"(%62, %8) <{dimensions = array<i64: 1>}> ({
    ^bb0(%arg10: tensor<f32>, %arg11: tensor<f32>):
      %91 = "stablehlo.add"(%arg10, %arg11) : (tensor<f32>, tensor<f32>) -> tensor<f32>
      "stablehlo.return"(%91) : (tensor<f32>) -> ()
    }) : (tensor<6x3xf32>, tensor<f32>) -> tensor<6xf32>
    %64 = "stablehlo.reshape"(%63) : (tensor<6xf32>) -> tensor<6x1xf32>
    %65 = "stablehlo.add"(%64, %1) : (tensor<6x1xf32>, tensor<6x1xf32>) -> tensor<6x1xf32>
    %66 = "stablehlo.reshape"(%65) : (tensor<6x1xf32>) -> tensor<6xf32>
    %67 = "stablehlo.broadcast_in_dim"(%66) <{broadcast_dimensions = array<i64: 0>}> : (tensor<6xf32>) -> tensor<6x3xf32>
    %68 = "stablehlo.divide"(%62, %67) : (tensor<6x3xf32>, tensor<6x3xf32>) -> tensor<6x3xf32>
    %69 = "stablehlo.multiply"(%68, %0) : (tensor<6x3xf32>, tensor<6x3xf32>) -> tensor<6x3xf32>
    %70 = "stablehlo.reshape"(%69) : (tensor<6x3xf32>) -> tensor<18xf32>
    %71 = "stablehlo.broadcast_in_dim"(%70) <{broadcast_dimensions = array<i64: 0>}> : (tensor<18xf32>) -> tensor<18x32xf32>
    %72 = "stablehlo.multiply"(%56, %71) : (tensor<18x32xf32>, tensor<18x32xf32>) -> tensor<18x32xf32>
    %73 = "stablehlo.reshape"(%72) : (tensor<18x32xf32>) -> tensor<6x3x32xf32>
    %74 = "stablehlo.reduce"(%73, %8) <{dimensions = array<i64: 1>}> ({
    ^bb0(%arg8: tensor<f32>, %arg9: tensor<f32>):
      %90 = "stablehlo.add"(%arg8, %arg9) : (tensor<f32>, tensor<f32>) -> tensor<f32>
      "stablehlo.return"(%90) : (tensor<f32>) -> ()
    }) : (tensor<6x3x32xf32>, tensor<f32>) -> tensor<6x32xf32>
    %75 = "stablehlo.reshape"(%74) : (tensor<6x32xf32>) -> tensor<1x6x32xf32>
    %76 = "stablehlo.transpose"(%arg3) <{permutation = array<i64: 1, 0>}> {result_layout = dense<[0, 1]> : tensor<2xindex>, xla_shape = "f32[32,24]{0,1}"} : (tensor<24x32xf32>) -> tensor<32x24xf32>
    %77 = "stablehlo.dot_general"(%9, %76) <{dot_dimension_numbers = #stablehlo.dot<lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [0]>, precision_config = [#stablehlo<precision DEFAULT>, #stablehlo<precision DEFAULT>]}> : (tensor<6x32xf32>, tensor<32x24xf32>) -> tensor<6x24xf32>
    %78 = "stablehlo.reshape"(%77) : (tensor<6x24xf32>) -> tensor<1x6x24xf32>
    %79 = "stablehlo.logistic"(%78) : (tensor<1x6x24xf32>) -> tensor<1x6x24xf32>
    %80 = "stablehlo.multiply"(%78, %79) : (tensor<1x6x24xf32>, tensor<1x6x24xf32>) -> tensor<1x6x24xf32>
    %81 = "stablehlo.transpose"(%arg1) <{permutation = array<i64: 1, 0>}> {result_layout = dense<[0, 1]> : tensor<2xindex>, xla_shape = "f32[32,24]{0,1}"} : (tensor<24x32xf32>) -> tensor<32x24xf32>
    %82 = "stablehlo.dot_general"(%9, %81) <{dot_dimension_numbers = #stablehlo.dot<lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [0]>, precision_config = [#stablehlo<precision DEFAULT>, #stablehlo<precision DEFAULT>]}> : (tensor<6x32xf32>, tensor<32x24xf32>) -> tensor<6x24xf32>
    %83 = "stablehlo.reshape"(%82) : (tensor<6x24xf32>) -> tensor<1x6x24xf32>
    %84 = "stablehlo.multiply"(%80, %83) : (tensor<1x6x24xf32>, tensor<1x6x24xf32>) -> tensor<1x6x24xf32>
    %85 = "stablehlo.reshape"(%84) : (tensor<1x6x24xf32>) -> tensor<6x24xf32>
    %86 = "stablehlo.transpose"(%arg0) <{permutation = array<i64: 1, 0>}> {result_layout = dense<[0, 1]> : tensor<2xindex>, xla_shape = "f32[24,32]{0,1}"} : (tensor<32x24xf32>) -> tensor<24x32xf32>
    %87 = "stablehlo.dot_general"(%85, %86) <{dot_dimension_numbers = #stablehlo.dot<lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [0]>, precision_config = [#stablehlo<precision DEFAULT>, #stablehlo<precision DEFAULT>]}> : (tensor<6x24xf32>, tensor<24x32xf32>) -> tensor<6x32xf32>
    %88 = "stablehlo.reshape"(%87) : (tensor<6x32xf32>) -> tensor<1x6x32xf32>
    %89 = "stablehlo.add"(%75, %88) : (tensor<1x6x32xf32>, tensor<1x6x32xf32>) -> tensor<1x6x32xf32>
    "func.return"(%89) : (tensor<1x6x32xf32>) -> ()
  }) : () -> ()
}) {mhlo.cross_program_prefetches = [], mhlo.input_output_alias = [], mhlo.is_dynamic = false, mhlo.use_auto_spmd_partitioning = false} : () -> ()

