# Reference pages made from TableGen: `ninja moe-docs` writes them to docs/ of
# the build folder. Every dialects/<name>/*Ops.td and every Passes.td gets one,
# so nothing can be missing; docs/README.md says where they are.

set(docs_dir "${PROJECT_BINARY_DIR}/docs")
set(pages "")

# moe_doc_page(page td flags...): TableGen's page, under a title of ours.
function(moe_doc_page page td)
  set(includes -I "${PROJECT_SOURCE_DIR}/dialects" -I "${PROJECT_SOURCE_DIR}/include")
  foreach(dir ${MLIR_INCLUDE_DIRS})
    list(APPEND includes -I "${dir}")
  endforeach()
  get_filename_component(folder "${td}" DIRECTORY)
  file(GLOB all_td CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/dialects/*/*.td" "${folder}/*.td")
  add_custom_command(
    OUTPUT "${docs_dir}/${page}.md"
    COMMAND "${CMAKE_COMMAND}" -E make_directory "${docs_dir}"
    COMMAND "${MLIR_TABLEGEN_EXE}" ${ARGN} ${includes} "${td}"
            -o "${docs_dir}/${page}.md"
    DEPENDS "${td}" ${all_td} "${MLIR_TABLEGEN_EXE}"
    COMMENT "Writing docs/${page}.md"
    VERBATIM)
  set(pages ${pages} "${docs_dir}/${page}.md" PARENT_SCOPE)
endfunction()

# dialects/moe/MoeOps.td -> dialect-moe.md; it includes the dialect's other files.
# Dialects without ops have <name>Attrs.td alone.
file(GLOB op_files CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/dialects/*/*Ops.td")
list(APPEND op_files "${PROJECT_SOURCE_DIR}/dialects/moe_amd/MoeAmdAttrs.td"
  "${PROJECT_SOURCE_DIR}/dialects/moe_cpu/MoeCpuAttrs.td"
  "${PROJECT_SOURCE_DIR}/dialects/moe_nvidia/MoeNvidiaAttrs.td"
  "${PROJECT_SOURCE_DIR}/dialects/moe_vulkan/MoeVulkanAttrs.td")
foreach(td ${op_files})
  get_filename_component(dialect "${td}" DIRECTORY)
  get_filename_component(dialect "${dialect}" NAME)
  moe_doc_page("dialect-${dialect}" "${td}" -gen-dialect-doc "-dialect=${dialect}")
endforeach()

# include/moe-mlir/Target/CPU/Passes.td -> passes-Target-CPU.md
file(GLOB_RECURSE pass_files CONFIGURE_DEPENDS
     "${PROJECT_SOURCE_DIR}/include/moe-mlir/Passes.td"
     "${PROJECT_SOURCE_DIR}/lib/Passes.td")
foreach(td ${pass_files})
  get_filename_component(layer "${td}" DIRECTORY)
  string(REGEX REPLACE "^${PROJECT_SOURCE_DIR}/(include/moe-mlir|lib)/" "" layer "${layer}")
  string(REPLACE "/" "-" layer "${layer}")
  moe_doc_page("passes-${layer}" "${td}" -gen-pass-doc)
endforeach()

file(GLOB interface_files CONFIGURE_DEPENDS
     "${PROJECT_SOURCE_DIR}/dialects/*/*Interfaces.td")
foreach(td ${interface_files})
  get_filename_component(name "${td}" NAME_WE)
  string(TOLOWER "${name}" name)
  string(REPLACE "interfaces" "" name "${name}")
  moe_doc_page("interfaces-${name}" "${td}" -gen-attr-interface-docs)
endforeach()

# include/moe-mlir/Analysis/WorkInterface.td -> interfaces-work.md
moe_doc_page("interfaces-work"
  "${PROJECT_SOURCE_DIR}/include/moe-mlir/Analysis/WorkInterface.td"
  -gen-op-interface-docs)

# include/moe-mlir/Quantize/EncodingInterface.td -> interfaces-encoding.md
moe_doc_page("interfaces-encoding"
  "${PROJECT_SOURCE_DIR}/include/moe-mlir/Quantize/EncodingInterface.td"
  -gen-attr-interface-docs)

add_custom_target(moe-docs ALL DEPENDS ${pages})

# Pages of what is gone.
file(GLOB old_pages "${docs_dir}/*.md")
list(REMOVE_ITEM old_pages "" ${pages})
if(old_pages)
  file(REMOVE ${old_pages})
endif()
